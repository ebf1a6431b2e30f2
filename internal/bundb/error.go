package bundb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"slices"
	"strings"

	"github.com/levqor/sdk/internal/fault"
)

// errInternal is the kind of driver errors that only a bug explains.
var errInternal = errors.New("database error")

// Err returns err in the form in which stores return it: printing only what kind
// it is, and unwrapping to that kind and to the driver's error. It returns nil
// for nil, and errors that have a kind already as they are.
func Err(err error) error {
	if err == nil || known(err) {
		return err
	}
	return fault.Opaque(kind(err), err)
}

// known reports whether err comes from a store rather than from a driver.
func known(err error) bool {
	for _, k := range []error{
		fault.ErrInvalid, fault.ErrUnauthenticated, fault.ErrForbidden, fault.ErrNotFound,
		fault.ErrConflict, fault.ErrLimit, fault.ErrUnavailable, errInternal,
	} {
		if errors.Is(err, k) {
			return true
		}
	}
	return false
}

func kind(err error) error {
	for _, k := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, k) {
			return k
		}
	}
	if errors.Is(err, sql.ErrNoRows) {
		return fault.ErrNotFound
	}
	if k := stateKind(sqlState(err)); k != nil {
		return k
	}
	if k := sqliteKind(sqliteCode(err)); k != nil {
		return k
	}
	var netErr net.Error
	var unsent interface{ SafeToRetry() bool } // pgx's, also where the connection has been closed meanwhile
	if errors.As(err, &netErr) || errors.As(err, &unsent) && unsent.SafeToRetry() || slices.ContainsFunc(connectionLost, func(lost error) bool { return errors.Is(err, lost) }) {
		return fault.ErrUnavailable
	}
	return errInternal
}

// connectionLost are the errors of a connection that has ended without a word.
var connectionLost = []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF}

// sqlState returns the five characters of a PostgreSQL error, however the driver
// offers them: pgx as a method, pgdriver as a field of the wire protocol.
func sqlState(err error) string {
	var pgx interface{ SQLState() string }
	if errors.As(err, &pgx) {
		return pgx.SQLState()
	}
	var pgdriver interface{ Field(k byte) string }
	if errors.As(err, &pgdriver) {
		return pgdriver.Field('C')
	}
	return ""
}

// misrouted is the state of a row that waited for the default partition of its table while
// the partition that it belongs in was made. Tables have no other checks to violate.
const misrouted = "23514"

// uniqueViolation is the state of a key that is there already.
const uniqueViolation = "23505"

// stateKind maps a SQLSTATE by its class; see PostgreSQL's manual, appendix A.
func stateKind(state string) error {
	switch {
	case state == "":
		return nil
	case state == uniqueViolation:
		return fault.ErrConflict
	case state == misrouted:
		return fault.ErrUnavailable
	case strings.HasPrefix(state, "22"), strings.HasPrefix(state, "23"):
		return fault.ErrInvalid
	case strings.HasPrefix(state, "08"), strings.HasPrefix(state, "40"), strings.HasPrefix(state, "53"),
		strings.HasPrefix(state, "57"), strings.HasPrefix(state, "58"), state == "25006", state == "55P03":
		return fault.ErrUnavailable
	default:
		return errInternal
	}
}

// SQLite's primary result codes; see https://www.sqlite.org/rescode.html.
const (
	sqlitePerm       = 3
	sqliteBusy       = 5
	sqliteLocked     = 6
	sqliteReadOnly   = 8
	sqliteIOErr      = 10
	sqliteFull       = 13
	sqliteCantOpen   = 14
	sqliteTooBig     = 18
	sqliteConstraint = 19
)

// sqliteCode returns SQLite's result code, 0 for other errors.
func sqliteCode(err error) int {
	var modernc interface{ Code() int }
	if errors.As(err, &modernc) {
		return modernc.Code()
	}
	return 0
}

func sqliteKind(code int) error {
	const uniqueKey, primaryKey = sqliteConstraint | 8<<8, sqliteConstraint | 6<<8
	if code == uniqueKey || code == primaryKey {
		return fault.ErrConflict
	}
	switch code & 0xff {
	case sqlitePerm, sqliteBusy, sqliteLocked, sqliteReadOnly, sqliteIOErr, sqliteFull, sqliteCantOpen:
		return fault.ErrUnavailable
	case sqliteTooBig, sqliteConstraint:
		return fault.ErrInvalid
	default:
		return nil
	}
}

// mayRepeat reports whether a transaction failed only because of another one:
// a deadlock, a serialization failure, a new partition or a writer that did not get its
// turn.
func mayRepeat(err error) bool {
	if err == nil {
		return false
	}
	state := sqlState(err)
	return state == "40001" || state == "40P01" || state == misrouted || sqliteCode(err)&0xff == sqliteBusy
}
