// Package bunopen opens databases from their URLs, with the settings that the
// stores count on. It is apart from package bundb because it brings the drivers.
package bunopen

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect/pgdialect"
	"github.com/uptrace/bun/dialect/sqlitedialect"
	"modernc.org/sqlite"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/internal/pgxurl"
)

// Open opens the database at a URL without connecting to it: "sqlite://" and the
// path of a file, or a "postgres://" URL as libpq reads it. It returns an
// ErrInvalid, which never repeats the URL, for anything else.
// Servers on other machines are reached over TLS alone and prove who they are, unless
// sslmode in the URL says otherwise.
func Open(address string) (*bun.DB, error) {
	scheme, rest, _ := strings.Cut(address, "://")
	switch scheme {
	case "sqlite":
		return openSQLite(rest)
	case "postgres", "postgresql":
		return openPostgres(address)
	default:
		return nil, invalid("unknown_scheme", "must begin with sqlite:// or postgres://")
	}
}

// openSQLite opens a file with what every store relies on: a write-ahead log, so
// readers and the writer do not block each other; a wait instead of an error
// while another process writes; transactions that take the write lock at once,
// because one that has to upgrade from reading cannot wait; foreign keys.
// One connection per process makes writers of this process stand in line, which
// is faster than the busy handler's sleeping. With a write-ahead log,
// synchronous=NORMAL survives the death of the process; the death of the machine
// may undo the last commits, but never tears the file. The log is copied into the file
// each 16 MB, not 4 as by default, so that a quarter as many commits wait for it: of claims
// of a hundred jobs fewer than one in a hundred.
func openSQLite(path string) (*bun.DB, error) {
	if path == "" || strings.ContainsRune(path, '\x00') {
		return nil, invalid("required", "must name a file after sqlite://")
	}
	if strings.Contains(path, ":memory:") {
		return nil, invalid("not_a_file", "must name a file: a database in memory ends with its connection")
	}
	params := url.Values{"_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(15000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(ON)", "temp_store(MEMORY)",
		"wal_autocheckpoint(4000)",
	}}
	dsn := (&url.URL{Scheme: "file", OmitHost: true, Path: slashed(path), RawQuery: params.Encode()}).String()
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		return nil, fault.Opaque(fault.ErrUnavailable, err)
	}
	db := sql.OpenDB(fileConnector{connector})
	db.SetMaxOpenConns(1)
	return bun.NewDB(db, sqlitedialect.New()), nil
}

// openPostgres opens a pool.
func openPostgres(address string) (*bun.DB, error) {
	config, err := pgxurl.Parse(address)
	if err != nil {
		return nil, invalid("invalid_url", "is not a PostgreSQL URL")
	}
	config.RuntimeParams["standard_conforming_strings"] = "on" // literals are quoted by its rules
	db := sql.OpenDB(connector{stdlib.GetConnector(*config)})
	db.SetMaxOpenConns(max(20, 4*runtime.GOMAXPROCS(0)))
	db.SetMaxIdleConns(20)
	db.SetConnMaxIdleTime(5 * time.Minute)
	return bun.NewDB(db, pgdialect.New()), nil
}

// connector makes connections that prepare only statements with parameters. The
// others hold their values in the text, written by bun, so no two are alike, and each
// would cost a round trip and a place among those that are kept. What the URL says about
// default_query_exec_mode holds for statements with parameters: "exec" keeps them
// unprepared too, as PgBouncer wants it in transaction mode.
type connector struct{ driver.Connector }

// Connect opens a connection.
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	pgxConn, ok := conn.(*stdlib.Conn)
	if !ok {
		return conn, nil
	}
	return &connection{pgxConn}, nil
}

type connection struct{ *stdlib.Conn }

// QueryContext runs a statement that returns rows.
func (c *connection) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		args = []driver.NamedValue{{Ordinal: 1, Value: pgx.QueryExecModeExec}}
	}
	return c.Conn.QueryContext(ctx, query, args)
}

// slashed returns path as SQLite's file URLs want it: /C:/dir/file on Windows.
func slashed(path string) string {
	if filepath.VolumeName(path) != "" {
		return "/" + filepath.ToSlash(path)
	}
	return filepath.ToSlash(path)
}

func invalid(code, detail string) error {
	return fmt.Errorf("open database: %w", fault.Invalid("/database_url", code, detail))
}
