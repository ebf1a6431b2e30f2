package bundb

import (
	"context"
	"errors"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"
)

// Partitioned reports whether db keeps large tables in partitions: PostgreSQL does.
func Partitioned(db bun.IDB) bool { return postgres(db) }

// Turn tries to be the only transaction that does what name stands for, until it ends,
// and does not wait. It holds with a pooler too. On SQLite a transaction that writes
// is the only one anyway.
func Turn(ctx context.Context, tx bun.Tx, name string) (bool, error) {
	if !postgres(tx) {
		return true, nil
	}
	var mine bool
	err := tx.NewRaw("SELECT pg_try_advisory_xact_lock(hashtextextended(current_schema() || ?, 0))", "."+name).Scan(ctx, &mine)
	return mine, err
}

// Row returns the column that names a row within its table, on either database.
func Row(db bun.IDB) bun.Ident {
	if postgres(db) {
		return "ctid"
	}
	return "rowid"
}

// Partitions are the ranges of time in which PostgreSQL keeps a table, beside a default
// partition.
type Partitions struct {
	// Table is the table as a whole.
	Table bun.Ident
	// By is its column of times.
	By bun.Ident
}

// Partition is a part of a table.
type Partition struct {
	// Name is the name of its own table, as SQL.
	Name bun.Safe `bun:"name"`
	// From is the first instant that it is for, or the zero time for no bound, and To
	// the first that it is not for. Both are zero for the default partition.
	From Time `bun:"lower"`
	To   Time `bun:"upper"`
	// Default marks the default partition.
	Default bool `bun:"is_default"`
	// Bytes is its size without indexes.
	Bytes int64 `bun:"bytes"`
}

// List returns the partitions in the order of their times, the default partition first,
// and whether the role of the connection may change them.
func (p Partitions) List(ctx context.Context, tx bun.Tx) (parts []Partition, mine bool, err error) {
	err = tx.NewRaw(`
		SELECT c.oid::regclass::text AS name, b = 'DEFAULT' AS is_default, pg_relation_size(c.oid) AS bytes,
			substring(b from 'FROM \(''([^'']+)''\)')::timestamptz AS lower, substring(b from 'TO \(''([^'']+)''\)')::timestamptz AS upper
		FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid CROSS JOIN LATERAL pg_get_expr(c.relpartbound, c.oid) AS b
		WHERE i.inhparent = CAST(? AS regclass)
		ORDER BY is_default DESC, upper`, string(p.Table)).Scan(ctx, &parts)
	if err != nil {
		return nil, false, err
	}
	err = tx.NewRaw(`
		SELECT pg_has_role(relowner, 'USAGE') AND has_schema_privilege(current_schema(), 'CREATE')
		FROM pg_class WHERE oid = CAST(? AS regclass)`, string(p.Table)).Scan(ctx, &mine)
	return parts, mine, err
}

// lockTimeout bounds how long a change waits for a table, because meanwhile all later
// calls wait behind it.
const lockTimeout = "50ms"

// errInTheWay takes a change back that others are in the way of.
var errInTheWay = errors.New("others are in the way")

// Change runs fn, which changes partitions, in a transaction of its own. It reports false if
// fn changed nothing, which fn says itself, or could not: a table was not to be had at
// once, or its rows changed meanwhile.
func (p Partitions) Change(ctx context.Context, db bun.IDB, fn func(ctx context.Context, tx bun.Tx) (bool, error)) (bool, error) {
	changed := false
	err := InTx(ctx, db, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.ExecContext(ctx, "SET LOCAL lock_timeout = '"+lockTimeout+"'")
		if err == nil {
			changed, err = fn(ctx, tx)
		}
		return err
	})
	if sqlState(err) == "55P03" || errors.Is(err, errInTheWay) {
		return false, nil
	}
	return changed && err == nil, err
}

// Hold keeps others from making or removing partitions until the transaction ends. A statement
// that was planned before a partition was made does not look into it, and misses rows that
// have moved there.
func (p Partitions) Hold(ctx context.Context, tx bun.Tx) error {
	if !postgres(tx) {
		return nil
	}
	return run(ctx, tx, bun.SafeQuery("LOCK TABLE ? IN SHARE UPDATE EXCLUSIVE MODE", p.only()))
}

// Make makes a partition and moves rows of its time into it that stand in the default
// partition, which it locks. PostgreSQL reads all of the default partition meanwhile.
func (p Partitions) Make(ctx context.Context, tx bun.Tx, fallback, part Partition) error {
	return run(ctx, tx,
		bun.SafeQuery("CREATE TABLE ? (LIKE ? INCLUDING ALL)", part.Name, p.Table),
		bun.SafeQuery("LOCK TABLE ? IN SHARE UPDATE EXCLUSIVE MODE", p.only()),
		bun.SafeQuery("LOCK TABLE ? IN ACCESS EXCLUSIVE MODE", fallback.Name),
		bun.SafeQuery("WITH moved AS (DELETE FROM ? WHERE ? RETURNING *) INSERT INTO ? SELECT * FROM moved", fallback.Name, p.Within(part), part.Name),
		p.attach(part))
}

// Replace puts one partition in the place of others, which follow each other, with
// those of their rows that are to be kept. It puts none if no row is. What can be done
// before the table is locked is.
func (p Partitions) Replace(ctx context.Context, tx bun.Tx, old []Partition, part Partition, keep schema.QueryAppender) error {
	if err := run(ctx, tx, bun.SafeQuery("CREATE TABLE ? (LIKE ? INCLUDING ALL)", part.Name, p.Table)); err != nil {
		return err
	}
	var copied int
	for _, o := range old {
		n, err := Exec(ctx, tx, bun.SafeQuery("INSERT INTO ? SELECT * FROM ? WHERE ?", part.Name, o.Name, keep))
		if err != nil {
			return err
		}
		copied += n
	}
	// With the check PostgreSQL need not read the rows again.
	err := run(ctx, tx, bun.SafeQuery("ALTER TABLE ? ADD CHECK (?)", part.Name, p.Within(part)),
		bun.SafeQuery("LOCK TABLE ? IN ACCESS EXCLUSIVE MODE", p.only()))
	if err != nil {
		return err
	}
	if err := p.unchanged(ctx, tx, old, keep, copied); err != nil {
		return err
	}
	for _, o := range old {
		if err := p.Drop(ctx, tx, o); err != nil {
			return err
		}
	}
	if copied == 0 {
		return run(ctx, tx, bun.SafeQuery("DROP TABLE ?", part.Name))
	}
	return run(ctx, tx, p.attach(part))
}

// unchanged returns an error unless the partitions have as many rows to be kept as were
// copied: no rows are added to times that are past.
func (p Partitions) unchanged(ctx context.Context, tx bun.Tx, old []Partition, keep schema.QueryAppender, copied int) error {
	if err := ByIndex(ctx, tx); err != nil {
		return err
	}
	for _, o := range old {
		n, err := Count(ctx, tx, o.Name, keep, copied+1)
		if err != nil {
			return err
		}
		copied -= n
	}
	if copied != 0 {
		return errInTheWay
	}
	return nil
}

// Drop drops a partition with its rows.
func (p Partitions) Drop(ctx context.Context, tx bun.Tx, part Partition) error {
	return run(ctx, tx, bun.SafeQuery("LOCK TABLE ? IN ACCESS EXCLUSIVE MODE", p.only()), bun.SafeQuery("DROP TABLE ?", part.Name))
}

// Rename gives a partition another name.
func (p Partitions) Rename(ctx context.Context, tx bun.Tx, part Partition, name bun.Safe) error {
	return run(ctx, tx, bun.SafeQuery("ALTER TABLE ? RENAME TO ?", part.Name, name))
}

// Count returns how many rows of a table match, and at most limit.
func Count(ctx context.Context, tx bun.Tx, table, match schema.QueryAppender, limit int) (n int, err error) {
	err = tx.NewRaw("SELECT count(*) FROM (SELECT 1 FROM ? WHERE ? LIMIT ?) AS x", table, match, limit).Scan(ctx, &n)
	return n, err
}

// only names the table without its partitions.
func (p Partitions) only() schema.QueryAppender { return bun.SafeQuery("ONLY ?", p.Table) }

// Within is the condition that a row is of a partition's time.
func (p Partitions) Within(part Partition) schema.QueryAppender {
	if part.From.IsZero() {
		return bun.SafeQuery("? < ?", p.By, part.To)
	}
	return bun.SafeQuery("? >= ? AND ? < ?", p.By, part.From, p.By, part.To)
}

func (p Partitions) attach(part Partition) schema.QueryAppender {
	from := schema.QueryAppender(part.From)
	if part.From.IsZero() {
		from = bun.Safe("MINVALUE")
	}
	return bun.SafeQuery("ALTER TABLE ? ATTACH PARTITION ? FOR VALUES FROM (?) TO (?)", p.Table, part.Name, from, part.To)
}

// run runs statements one after the other.
func run(ctx context.Context, tx bun.Tx, statements ...schema.QueryAppender) error {
	for _, s := range statements {
		if _, err := tx.NewRaw("?", s).Exec(ctx); err != nil {
			return err
		}
	}
	return nil
}
