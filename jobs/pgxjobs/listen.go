package pgxjobs

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/jackc/pgx/v5"
)

var errDeaf = errors.New("what was sent to PostgreSQL was not heard back: is there a pooler in transaction mode in between? " +
	"Signals need the URL of the server itself")

// Listen implements [jobs.Signals]. It returns an ErrUnavailable as soon as it knows that
// the connection is gone, and if what is sent does not come back.
func (s *Signals) Listen(ctx context.Context, listening func(), heard func(text string)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return opaque(ctx, err)
	}
	defer s.hangUp(conn)
	if err := s.subscribe(ctx, conn); err != nil {
		return opaque(ctx, err)
	}
	listening()
	for {
		text, err := s.next(ctx, conn)
		if err != nil {
			return opaque(ctx, err)
		}
		heard(text)
	}
}

// subscribe begins to listen and makes sure of it, by a text that goes the whole way.
func (s *Signals) subscribe(ctx context.Context, conn *pgx.Conn) error {
	call, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	var name string
	if err := conn.QueryRow(call, "SELECT "+channel).Scan(&name); err != nil {
		return err
	}
	if _, err := conn.Exec(call, "LISTEN "+pgx.Identifier{name}.Sanitize()); err != nil {
		return err
	}
	probe := "probe " + rand.Text()
	if err := s.Send(call, []string{probe}); err != nil {
		return err
	}
	for {
		switch n, err := conn.WaitForNotification(call); {
		case err != nil && call.Err() != nil && ctx.Err() == nil:
			return errDeaf
		case err != nil:
			return err
		case n.Payload == probe:
			return nil
		}
	}
}

// next waits for a text, and meanwhile sees to it that the connection stands.
func (s *Signals) next(ctx context.Context, conn *pgx.Conn) (string, error) {
	for {
		quiet, cancel := context.WithTimeout(ctx, 2*s.timeout)
		n, err := conn.WaitForNotification(quiet)
		late := quiet.Err() != nil
		cancel()
		if err == nil {
			return n.Payload, nil
		}
		if !late || ctx.Err() != nil {
			return "", err
		}
		if err := s.ping(ctx, conn); err != nil {
			return "", err
		}
	}
}

func (s *Signals) ping(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	return conn.Ping(ctx)
}
