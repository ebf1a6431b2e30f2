package bunjobs

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// errTaken rolls an insertion back.
var errTaken = errors.New("an ID is taken")

// Insert implements [jobs.QueueStore].
func (s *Store) Insert(ctx context.Context, batch []jobs.Insertion, now time.Time) ([]int, error) {
	if len(batch) == 0 {
		return nil, nil
	}
	for range maxLooks {
		err := s.insert(ctx, batch, now)
		if !errors.Is(err, errTaken) {
			return nil, bundb.Err(err)
		}
		taken, err := s.taken(ctx, batch)
		if err != nil || len(taken) > 0 {
			return taken, bundb.Err(err)
		}
		// Whoever had the ID has rolled back since, or a job that one of the batch
		// would repeat has moved.
	}
	return nil, jobs.ErrConflict
}

func (s *Store) insert(ctx context.Context, batch []jobs.Insertion, now time.Time) error {
	if anyUnique(batch) {
		return bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error { return insertUnique(ctx, tx, batch, now) })
	}
	if len(batch) == 1 {
		if stored, err := insertOne(ctx, s.db, &batch[0], now); stored || err != nil {
			return err
		}
	}
	return bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error { return insertRows(ctx, tx, batch, now) })
}

func anyUnique(batch []jobs.Insertion) bool {
	for i := range batch { // no function of slices, which would copy each
		if batch[i].Unique.Key != "" {
			return true
		}
	}
	return false
}

// insertOneSQL does for one job what insertSQL does for many. Its text changes once a day,
// so that a server may keep its plan: reading and planning a statement costs more than
// running this one. It looks for the ID in the history of three days, which is all that
// there can be if the ID was made within a day of now; else it stores nothing.
var insertOneSQL = bundb.InsertOne{Key: "id", SQL: `
	INSERT INTO levqor_jobs_live (id, tenant, kind, queue, state, priority, args, fraction, note, attempt, max_attempts, timeout, limit_key, metadata, created_at, run_at, turn, epoch)
	SELECT ?0, ?1, ?2, ?3, CASE WHEN ?due > ?now THEN 1 ELSE 2 END, ?4, ?5, 0, '', 0, ?6, ?7, ?8, ?9, ?now, ?due, ?later, 0
	WHERE ?now < ?until AND NOT EXISTS (SELECT 1 FROM levqor_jobs_done WHERE tenant = ?1 AND id = ?0 AND finished_at >= ?since AND finished_at < ?until)`}

func insertOne(ctx context.Context, db bun.IDB, j *jobs.Insertion, now time.Time) (stored bool, err error) {
	from := since(j.ID).Time
	stored, at, err := insertOneSQL.Run(ctx, db, now, bundb.Instants{At: j.RunAt, Delay: j.Delay, Later: j.Turn().Sub(j.RunAt), Since: from, Until: from.Add(3 * day)},
		int64(j.ID), j.Tenant, j.Kind, j.Queue, j.Priority, string(j.Args), j.MaxAttempts, microseconds(j.Timeout), nullable(j.LimitKey), metadataText(j.Metadata))
	if stored {
		j.Created(at)
	}
	return stored, err
}

// nullable returns a text as a column: NULL for none.
func nullable(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// insertSQL stores jobs.
const insertSQL = `
	INSERT INTO levqor_jobs_live (id, tenant, kind, queue, state, priority, args, fraction, note, attempt, max_attempts, timeout, limit_key, metadata, created_at, run_at, turn, epoch)
	SELECT id, tenant, kind, queue, state, priority, args, 0, '', 0, max_attempts, timeout, limit_key, metadata, ?, ?, ?, 0
	FROM (?) AS v`

const day = 24 * time.Hour

// since returns the beginning of a day before which no job with an ID has finished, so
// that older partitions are left out. It allows for clocks that are up to a day ahead.
func since(id jobs.ID) bundb.Time { return bundb.Time{Time: id.Time().Add(-day).Truncate(day)} }

// firstID returns the lowest ID of a batch.
func firstID(batch []jobs.Insertion) jobs.ID {
	first := batch[0].ID
	for i := range batch {
		first = min(first, batch[i].ID)
	}
	return first
}

// While the database stores the jobs of one statement, the text of the next is written.
// The first one is short, so that there is something to do at once, and the others grow.
const (
	insertFirst  = 500
	insertGrowth = 5
	insertMost   = 10_000
	insertBytes  = 32 << 20 // of arguments; PostgreSQL takes a message of 1 GB
)

// fitting returns how many of the first jobs one statement may store, at least one.
func fitting(batch []jobs.Insertion) int {
	size := 0
	for i := range batch {
		if size += len(batch[i].Args); size > insertBytes && i > 0 {
			return i
		}
	}
	return len(batch)
}

// insertRows stores the jobs and sets what the instant decided about each, or
// returns errTaken if it could not store all of them. It asks for the instant
// first, so the statements hold no arithmetic and return no rows.
func insertRows(ctx context.Context, tx bun.Tx, batch []jobs.Insertion, now time.Time) error {
	at, err := bundb.Instant(ctx, tx, now)
	if err != nil {
		return err
	}
	var statements []schema.QueryAppender
	for rest, size := batch, insertFirst; len(rest) > 0; size = min(size*insertGrowth, insertMost) {
		n := fitting(rest[:min(size, len(rest))])
		statements = append(statements, insertion{tx, rest[:n], at})
		rest = rest[n:]
	}
	n, err := bundb.ExecAll(ctx, tx, statements)
	if errors.Is(bundb.Err(err), jobs.ErrConflict) {
		return errTaken
	}
	if err != nil {
		return err
	}
	over, err := anyOver(ctx, tx, batch)
	if err != nil {
		return err
	}
	if over || n < len(batch) {
		return errTaken
	}
	for i := range batch {
		batch[i].Created(at)
	}
	return nil
}

// anyOver reports whether the ID of one of the jobs is that of a job that is over. Asked
// after the insertion, nobody can end a job with such an ID any more. An ID repeats only
// within the millisecond that it begins with, so the history is looked through around the
// IDs of the batch and not once for each of them.
func anyOver(ctx context.Context, tx bun.Tx, batch []jobs.Insertion) (bool, error) {
	var tenants []string
	first, last := batch[0].ID, batch[0].ID
	for i := range batch {
		first, last = min(first, batch[i].ID), max(last, batch[i].ID)
		if t := batch[i].Tenant; !slices.Contains(tenants, t) {
			tenants = append(tenants, t)
		}
	}
	var over []jobs.ID
	err := tx.NewRaw("SELECT id FROM ? WHERE tenant IN (?) AND id BETWEEN ? AND ? AND finished_at >= ?",
		done, bun.List(tenants), int64(first), int64(last), since(first)).Scan(ctx, &over)
	if err != nil || len(over) == 0 {
		return false, err
	}
	ids := make(map[jobs.ID]bool, len(batch))
	for i := range batch {
		ids[batch[i].ID] = true
	}
	return slices.ContainsFunc(over, func(id jobs.ID) bool { return ids[id] }), nil
}

// insertion writes the statement that stores jobs.
type insertion struct {
	db    bun.IDB
	batch []jobs.Insertion
	at    time.Time
}

// AppendQuery writes the statement.
func (in insertion) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	rows, due, turn := newRows(in.db, in.batch, in.at)
	return bun.SafeQuery(insertSQL, bundb.Time{Time: in.at}, due, turn, rows).AppendQuery(gen, b)
}

// newRows returns the rows of a batch, and the SQL for when each is due and for its
// turn.
func newRows(db bun.IDB, batch []jobs.Insertion, at time.Time) (rows bundb.Rows, due, turn schema.QueryAppender) {
	number := func(name string, value func(j *jobs.Insertion) int64) bundb.Column {
		return bundb.Column{Name: name, Int: func(i int) (int64, bool) { return value(&batch[i]), true }}
	}
	word := func(name string, value func(j *jobs.Insertion) string) bundb.Column {
		return bundb.Column{Name: name, Text: func(i int) (string, bool) { return value(&batch[i]), true }}
	}
	rows = bundb.Rows{Len: len(batch), Columns: []bundb.Column{
		number("id", func(j *jobs.Insertion) int64 { return int64(j.ID) }),
		word("tenant", func(j *jobs.Insertion) string { return j.Tenant }),
		word("kind", func(j *jobs.Insertion) string { return j.Kind }),
		word("queue", func(j *jobs.Insertion) string { return j.Queue }),
		number("state", func(j *jobs.Insertion) int64 { _, state := j.Begin(at); return int64(state) }),
		number("priority", func(j *jobs.Insertion) int64 { return int64(j.Priority) }),
		word("args", func(j *jobs.Insertion) string { return readOnly(j.Args) }),
		number("max_attempts", func(j *jobs.Insertion) int64 { return int64(j.MaxAttempts) }),
		number("timeout", func(j *jobs.Insertion) int64 { return microseconds(j.Timeout) }),
		{Name: "limit_key", Text: func(i int) (string, bool) { return batch[i].LimitKey, batch[i].LimitKey != "" }},
		metadataColumn(batch),
	}}
	when := func(name string, value func(j *jobs.Insertion) time.Time) schema.QueryAppender {
		column := number(name, func(j *jobs.Insertion) int64 { return value(j).UnixMicro() })
		if column.Constant(len(batch)) {
			return bundb.Time{Time: value(&batch[0])}
		}
		rows.Columns = append(rows.Columns, column)
		return bundb.AtColumn(db, bun.Ident(name))
	}
	due = when("due", func(j *jobs.Insertion) time.Time { runAt, _ := j.Begin(at); return runAt })
	turn = when("turn", func(j *jobs.Insertion) time.Time {
		runAt, _ := j.Begin(at)
		return (&jobs.Info{RunAt: runAt, Priority: j.Priority}).Turn()
	})
	return rows, due, turn
}

// taken returns the indexes of the jobs whose IDs are not free.
func (s *Store) taken(ctx context.Context, batch []jobs.Insertion) ([]int, error) {
	ids := make([]int64, len(batch))
	tenants := map[string]bool{}
	for i := range batch {
		ids[i] = int64(batch[i].ID)
		tenants[batch[i].Tenant] = true
	}
	var found []int64
	err := s.db.NewRaw("SELECT id FROM ? WHERE id IN (?) UNION ALL SELECT id FROM ? WHERE tenant IN (?) AND id IN (?) AND finished_at >= ?",
		live, bun.List(ids), done, bun.List(slices.Collect(maps.Keys(tenants))), bun.List(ids), since(firstID(batch))).Scan(ctx, &found)
	var taken []int
	for i, id := range ids {
		if slices.Contains(found, id) || slices.Contains(ids[:i], id) {
			taken = append(taken, i)
		}
	}
	return taken, err
}
