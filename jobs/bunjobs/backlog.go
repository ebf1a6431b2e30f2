package bunjobs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// Counting takes the part 1/countShare of a process's time, and while it is at it the
// part 1/countPace.
const (
	countShare = 50
	countPace  = 5
)

// part are jobs that are not over and that an index holds in an order.
type part struct {
	where bun.Safe // the condition of the index
	order bun.Safe // its columns
	at    func(r *waitingRow) []any
	lines bool // jobs of one queue and tenant stand together, and all have the state
	state jobs.State
}

// parts are all jobs that are not over. Those that run are few.
var parts = []part{
	{
		where: "state IN (1, 4)", order: "run_at, id",
		at: func(r *waitingRow) []any { return []any{r.RunAt, r.ID} },
	},
	{
		where: "state = 2 AND limit_key IS NULL", order: "queue, tenant, turn, id", lines: true, state: jobs.Ready,
		at: func(r *waitingRow) []any { return []any{r.Queue, r.Tenant, r.Turn, r.ID} },
	},
	{
		where: "state = 2 AND limit_key IS NOT NULL", order: "queue, tenant, limit_key, turn, id", lines: true, state: jobs.Ready,
		at: func(r *waitingRow) []any { return []any{r.Queue, r.Tenant, r.LimitKey, r.Turn, r.ID} },
	},
	{
		where: "state = 3", order: "node, id",
		at: func(r *waitingRow) []any { return []any{r.Node, r.ID} },
	},
}

// countLive counts the jobs that are not over, along the indexes and in ranges each of
// which takes as long as nobody minds.
func (r *recount) countLive(ctx context.Context) error {
	r.found = map[countKey]int{}
	for _, p := range parts {
		var last *waitingRow
		for limit := 1000; ; {
			end, took, err := r.countRange(ctx, p, last, limit)
			if err != nil {
				return err
			}
			if end == nil {
				break
			}
			last, limit = end, nextLimit(limit, took, bundb.Slice(r.db))
			if ok, err := r.keep(ctx); err != nil || !ok {
				return err
			}
			if err := pause(ctx, took*(countPace-1)); err != nil {
				return err
			}
		}
	}
	return nil
}

// nextLimit returns how many jobs to count at a time after so many took a time.
func nextLimit(limit int, took, slice time.Duration) int {
	switch {
	case took > slice:
		return max(500, limit/2)
	case took < slice/2:
		return min(1_000_000, limit*2)
	default:
		return limit
	}
}

// countRange counts up to limit jobs of a part that come behind one. It returns the last
// of them, or nil if they were less than limit, and how long the database took.
func (r *recount) countRange(ctx context.Context, p part, after *waitingRow, limit int) (last *waitingRow, took time.Duration, err error) {
	var counts map[countKey]int
	err = bundb.InTx(ctx, r.db, func(ctx context.Context, tx bun.Tx) (err error) {
		begun := time.Now() // the process's only connection may have been in use before
		defer func() { took = time.Since(begun) }()
		if err := bundb.ByIndex(ctx, tx); err != nil {
			return err
		}
		if last, err = p.skip(ctx, tx, after, limit); err != nil {
			return err
		}
		if p.lines && after != nil && last != nil && after.Queue == last.Queue && after.Tenant == last.Tenant {
			counts = map[countKey]int{{last.Tenant, last.Queue, p.state}: limit}
			return nil
		}
		counts, err = p.count(ctx, tx, after, last)
		return err
	})
	r.busy += took
	for key, n := range counts {
		r.found[key] += n
	}
	return last, took, err
}

// skip returns the job that comes n places behind another, which takes nothing but a walk
// in the index, or nil if there is none.
func (p part) skip(ctx context.Context, tx bun.Tx, after *waitingRow, n int) (*waitingRow, error) {
	var rows []waitingRow
	err := tx.NewRaw("SELECT ? FROM levqor_jobs_live WHERE ? AND ? ORDER BY ? LIMIT 1 OFFSET ?",
		p.order, p.where, p.compare(">", after), p.order, n-1).Scan(ctx, &rows)
	if err != nil || len(rows) == 0 {
		return nil, err
	}
	return &rows[0], nil
}

// count counts jobs between two, the second one too.
func (p part) count(ctx context.Context, tx bun.Tx, after, last *waitingRow) (map[countKey]int, error) {
	groups := bun.Safe("queue, tenant, state")
	if p.lines { // as the index has them, so that nothing is sorted
		groups = "queue, tenant"
	}
	var found []struct {
		row
		N int `bun:"n"`
	}
	err := tx.NewRaw("SELECT ?, count(*) AS n FROM levqor_jobs_live WHERE ? AND ? AND ? GROUP BY ?",
		groups, p.where, p.compare(">", after), p.compare("<=", last), groups).Scan(ctx, &found)
	counts := make(map[countKey]int, len(found))
	for _, f := range found {
		state := jobs.State(f.State)
		if p.lines {
			state = p.state
		}
		counts[countKey{f.Tenant, f.Queue, state}] = f.N
	}
	return counts, err
}

// compare is the condition that jobs come behind or before one, if it is given.
func (p part) compare(operator bun.Safe, at *waitingRow) schema.QueryAppender {
	if at == nil {
		return bun.Safe("1 = 1")
	}
	return bun.SafeQuery("(?) ? (?)", p.order, operator, bun.List(p.at(at)))
}

// countRow counts jobs that are not over.
type countRow struct {
	bun.BaseModel `bun:"table:levqor_jobs_count"`

	Level  int    `bun:"level"`
	Tenant string `bun:"tenant"`
	Queue  string `bun:"queue"`
	State  uint8  `bun:"state"`
	N      int    `bun:"n"`
}

// saveCounts writes the counts that are others than they were.
func saveCounts(ctx context.Context, tx bun.Tx, found map[countKey]int) error {
	now := map[countRow]int{} // by rows without their number
	for key, n := range found {
		now[countRow{Level: levelTenant, Tenant: key.tenant, Queue: key.queue, State: uint8(key.state)}] = n
		now[countRow{Level: levelAll, Queue: key.queue, State: uint8(key.state)}] += n
	}
	var before, changed []countRow
	if err := tx.NewSelect().Model(&before).Scan(ctx); err != nil {
		return err
	}
	for _, r := range before {
		n := r.N
		r.N = 0
		switch now[r] {
		case n:
			delete(now, r)
		case 0:
			changed = append(changed, r)
		}
	}
	for r, n := range now {
		r.N = n
		changed = append(changed, r)
	}
	for batch := range slices.Chunk(changed, foldBatch) {
		if _, err := tx.NewInsert().Model(&batch).On("CONFLICT (level, tenant, queue, state) DO UPDATE").Set("n = EXCLUDED.n").Exec(ctx); err != nil {
			return err
		}
	}
	_, err := tx.NewRaw("DELETE FROM levqor_jobs_count WHERE n = 0").Exec(ctx)
	return err
}

// pause waits, or returns why the context has ended.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(cmp.Or(d, time.Microsecond))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
