package bundb

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/fault"
)

// Migrations are the schema changes of one room.
type Migrations struct {
	// Room names the version table, levqor_<room>_migrations, so the rooms of one
	// database count independently.
	Room string
	// Files holds postgres/NNNN_name.tx.up.sql and sqlite/NNNN_name.tx.up.sql,
	// the same numbers in both. A file may hold several statements. Files are
	// frozen once released.
	Files fs.FS
}

// Sub returns the folder "migrations" of a room's embedded files.
func Sub(files embed.FS) fs.FS {
	sub, err := fs.Sub(files, "migrations")
	if err != nil {
		panic(err) // the name is a valid path
	}
	return sub
}

type migration struct {
	version int
	name    string
	sql     string
}

// Migrate applies what is missing, in order and in one transaction: all of it or
// nothing. Other processes that migrate the same room wait and then find nothing
// to do. An older program may run on a newer schema: versions that it does not
// know are left alone.
func (m Migrations) Migrate(ctx context.Context, db *bun.DB) error {
	all, err := m.load(db)
	if err != nil {
		return err
	}
	return Err(InTx(ctx, db, func(ctx context.Context, tx bun.Tx) error {
		if err := m.lock(ctx, tx); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS ? (version integer PRIMARY KEY, name text NOT NULL, applied_at text NOT NULL)", m.table()); err != nil {
			return err
		}
		applied, err := m.applied(ctx, tx)
		if err != nil {
			return err
		}
		for _, mig := range all {
			if slices.Contains(applied, mig.version) {
				continue
			}
			if err := m.apply(ctx, tx, mig); err != nil {
				return err
			}
		}
		return nil
	}))
}

// Check returns nil if every migration has been applied, else an ErrUnavailable.
func (m Migrations) Check(ctx context.Context, db *bun.DB) error {
	all, err := m.load(db)
	if err != nil {
		return err
	}
	applied, err := m.applied(ctx, db)
	if err != nil {
		return fault.Opaque(fault.ErrUnavailable, err)
	}
	for _, mig := range all {
		if !slices.Contains(applied, mig.version) {
			return fmt.Errorf("migration %d of %s is not applied: %w", mig.version, m.Room, fault.ErrUnavailable)
		}
	}
	return nil
}

func (m Migrations) table() bun.Ident { return bun.Ident("levqor_" + m.Room + "_migrations") }

// lock waits until this transaction is the only one that migrates the room.
// Transactions on SQLite are immediate: the first one holds the write lock.
func (m Migrations) lock(ctx context.Context, tx bun.Tx) error {
	if !postgres(tx) {
		return nil
	}
	_, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ?, 0))", "."+string(m.table()))
	return err
}

func (m Migrations) applied(ctx context.Context, db bun.IDB) ([]int, error) {
	var versions []int
	err := db.NewSelect().ColumnExpr("version").TableExpr("?", m.table()).Scan(ctx, &versions)
	return versions, err
}

func (m Migrations) apply(ctx context.Context, tx bun.Tx, mig migration) error {
	// The file goes to the driver as it is: bun would read each ? as a parameter.
	if _, err := tx.Tx.ExecContext(ctx, mig.sql); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "INSERT INTO ? (version, name, applied_at) VALUES (?, ?, ?)",
		m.table(), mig.version, mig.name, time.Now().UTC().Format(time.RFC3339))
	return err
}

// load reads the files of db's dialect, ordered by version.
func (m Migrations) load(db bun.IDB) ([]migration, error) {
	dir := "sqlite"
	if postgres(db) {
		dir = "postgres"
	}
	files, err := fs.Glob(m.Files, path.Join(dir, "*.tx.up.sql"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("bundb: %s has no migrations for %s", m.Room, dir)
	}
	all := make([]migration, len(files))
	for i, file := range files {
		number, name, _ := strings.Cut(strings.TrimSuffix(path.Base(file), ".tx.up.sql"), "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("bundb: migration file %s has no number", path.Base(file))
		}
		text, err := fs.ReadFile(m.Files, file)
		if err != nil {
			return nil, fmt.Errorf("bundb: read migration: %w", err)
		}
		all[i] = migration{version: version, name: name, sql: string(text)}
	}
	return all, nil
}
