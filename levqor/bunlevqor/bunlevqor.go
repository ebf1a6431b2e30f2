// Package bunlevqor puts all rooms on one database through bun.
//
//	db, err := bunlevqor.Open("postgres://app@db.example.com/app")
//	err = bunlevqor.Migrate(ctx, db)
//	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: secret})
//
// A host that has opened its database itself passes it to [Migrate] and [Stores]
// instead; see package bunjobs for what they count on with SQLite.
package bunlevqor

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/internal/bunopen"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

//go:embed migrations
var files embed.FS

// Migrations returns the schema of this package's own tables as files,
// postgres/NNNN_name.tx.up.sql and sqlite/NNNN_name.tx.up.sql, for teams that
// apply them with a tool of their own. Each domain's bun package has its own.
func Migrations() fs.FS { return bundb.Sub(files) }

func migrations() bundb.Migrations { return bundb.Migrations{Room: "levqor", Files: Migrations()} }

// Open opens a database without connecting to it: "sqlite://" and the path of a
// file, or a "postgres://" URL as libpq reads it. It returns an error, which
// never repeats the URL, for anything else.
// Servers on other machines are reached over TLS alone and prove who they are, unless
// sslmode in the URL says otherwise.
func Open(url string) (*bun.DB, error) { return bunopen.Open(url) }

// Migrate creates or updates the tables of all rooms. Any number of processes
// may call it at once: one works, the others wait.
func Migrate(ctx context.Context, db *bun.DB) error {
	if err := bunjobs.Migrate(ctx, db); err != nil {
		return fmt.Errorf("bunlevqor: migrate jobs: %w", err)
	}
	if err := migrations().Migrate(ctx, db); err != nil {
		return fmt.Errorf("bunlevqor: migrate: %w", err)
	}
	return nil
}

// Stores returns the stores of all rooms on a database.
func Stores(db *bun.DB) levqor.Stores {
	s := bind(db, nil)
	s.Check = func(ctx context.Context) error {
		if err := bunjobs.Check(ctx, db); err != nil {
			return err
		}
		return migrations().Check(ctx, db)
	}
	return s
}

// bind returns the stores on a database, or on a transaction that commits what is
// within outer.
func bind(db bun.IDB, outer *commit) levqor.Stores {
	store := bunjobs.New(db)
	gate := bundb.NewGate(db)
	var queued jobs.Store = store
	var keys identity.KeyStore = &keyStore{db}
	if outer != nil {
		queued = &committer{store, outer}
		keys = &keyCommitter{keys, outer}
	}
	return levqor.Stores{
		Jobs:        queued,
		Schedules:   store,
		Limits:      store,
		Health:      store,
		Sealed:      store,
		Keys:        keys,
		Directory:   &directory{db},
		Invitations: &directory{db},
		Links:       &linkStore{db},
		Sessions:    &sessionStore{db},
		Factors:     &factorStore{db},
		Rates:       &rateStore{db, gate},
		SecurityLog: &logStore{db},
		SSO:         &ssoStore{db},
		Idempotency: &idempotencyStore{db},
		Tx: func(ctx context.Context, fn func(context.Context, levqor.Stores) error) error {
			var done *commit
			err := gate.InTx(ctx, func(ctx context.Context, tx bun.Tx) error {
				done = &commit{}
				if err := fn(ctx, bind(tx, done)); err != nil {
					return &ownError{err}
				}
				return nil
			})
			if err == nil {
				done.pass(outer)
			}
			if own, ok := errors.AsType[*ownError](err); ok {
				return own.error
			}
			return bundb.Err(err)
		},
		Check: func(context.Context) error { return nil },
	}
}

// ownError is what a function in a transaction returned, which is the caller's whatever it
// is. It is not that of the transaction, which may end in another way.
type ownError struct{ error }

func (e *ownError) Unwrap() error { return e.error }
