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

// Levels of counts: as a call added them, summed up by tenant, and over all tenants.
const (
	levelFresh = iota
	levelTenant
	levelAll
)

// countKey is what jobs are counted by.
type countKey struct {
	tenant, queue string
	state         jobs.State
}

// compare orders keys, so that two callers lock rows in the same order.
func (k countKey) compare(other countKey) int {
	return cmp.Or(cmp.Compare(k.tenant, other.tenant), cmp.Compare(k.queue, other.queue), cmp.Compare(k.state, other.state))
}

// tally adds rows with n for each key, which count jobs that finished on a day. It is
// called in the transaction that moves the jobs to the history or out of it.
func tally(ctx context.Context, tx bun.Tx, day schema.QueryAppender, counts map[countKey]int) error {
	if len(counts) == 0 {
		return nil
	}
	var rows tuples
	for key, n := range counts {
		rows = append(rows, bun.SafeQuery("(?, ?, ?, ?, ?, ?)", levelFresh, day, key.tenant, key.queue, int(key.state), n))
	}
	_, err := tx.NewRaw("INSERT INTO levqor_jobs_tally (level, day, tenant, queue, state, n) VALUES ?", rows).Exec(ctx)
	return err
}

// tallyJobs counts jobs that came into the history (n is 1) or left it (n is -1).
func tallyJobs(ctx context.Context, tx bun.Tx, all []jobs.Info, n int) error {
	byDay := map[time.Time]map[countKey]int{}
	for _, job := range all {
		day := job.FinishedAt.Truncate(24 * time.Hour)
		if byDay[day] == nil {
			byDay[day] = map[countKey]int{}
		}
		byDay[day][countKey{job.Tenant, job.Queue, job.State}] += n
	}
	for day, counts := range byDay {
		if err := tally(ctx, tx, bundb.Time{Time: day}, counts); err != nil {
			return err
		}
	}
	return nil
}

// forgetTallies forgets the counts of days that left the history as a whole, from its
// beginning if the first instant is not given. Only some states of the days may have left.
func forgetTallies(ctx context.Context, tx bun.Tx, from, to bundb.Time, states schema.QueryAppender) error {
	since := bun.SafeQuery("1 = 1")
	if !from.IsZero() {
		since = bun.SafeQuery("day >= ?", from)
	}
	_, err := tx.NewRaw("DELETE FROM levqor_jobs_tally WHERE ? AND day < ? AND ?", since, to, states).Exec(ctx)
	return err
}

// tallyCompleted counts outcomes that completed their jobs, all but the lost ones. Around
// midnight the day may be the next one: the count then outlives the jobs by a day.
func tallyCompleted(ctx context.Context, tx bun.Tx, outcomes []jobs.Outcome, lost []jobs.Lease, now time.Time) error {
	counts := map[countKey]int{}
	for i := range outcomes {
		if len(lost) == 0 || !slices.Contains(lost, outcomes[i].Lease) {
			counts[countKey{outcomes[i].Tenant, outcomes[i].Queue, jobs.Completed}]++
		}
	}
	return tally(ctx, tx, bundb.Day(tx, now), counts)
}

// nameJobs fills in whose jobs outcomes are about where the caller does not know. Tenant
// and queue of a running job do not change.
func nameJobs(ctx context.Context, tx bun.Tx, outcomes []jobs.Outcome) error {
	var unknown []int64
	for i := range outcomes {
		if outcomes[i].Queue == "" {
			unknown = append(unknown, int64(outcomes[i].Lease.ID))
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	var found []row
	err := tx.NewRaw("SELECT id, tenant, queue FROM ? WHERE ? AND id IN (?)", live, isRunning, bun.List(unknown)).Scan(ctx, &found)
	if err != nil {
		return err
	}
	names := make(map[jobs.ID]row, len(found))
	for _, r := range found {
		names[jobs.ID(r.ID)] = r
	}
	for i := range outcomes {
		if out := &outcomes[i]; out.Queue == "" {
			out.Tenant, out.Queue = names[out.Lease.ID].Tenant, names[out.Lease.ID].Queue
		}
	}
	return nil
}

// foldBatch bounds the rows summed up by one transaction.
const foldBatch = 1000

// fold sums up the rows that calls have added. Each row is summed up once, however many
// callers there are.
func (s *Store) fold(ctx context.Context) error {
	for {
		n := 0
		err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
			open, end := bundb.InArray(tx)
			var fresh []tallyRow
			err := tx.NewRaw("DELETE FROM levqor_jobs_tally WHERE level = 0 AND id ? SELECT id FROM levqor_jobs_tally WHERE level = 0 ORDER BY id LIMIT ? ? ? RETURNING day, tenant, queue, state, n",
				open, foldBatch, bundb.SkipLocked(tx), end).Scan(ctx, &fresh)
			if n = len(fresh); err != nil || n == 0 {
				return err
			}
			return addSums(ctx, tx, fresh)
		})
		if err != nil || n < foldBatch {
			return err
		}
	}
}

// tallyRow counts jobs that are over.
type tallyRow struct {
	Day    bundb.Time `bun:"day"`
	Tenant string     `bun:"tenant"`
	Queue  string     `bun:"queue"`
	State  uint8      `bun:"state"`
	N      int        `bun:"n"`
}

// addSums adds fresh rows to their sums.
func addSums(ctx context.Context, tx bun.Tx, fresh []tallyRow) error {
	type sumKey struct {
		level int
		countKey
		day time.Time
	}
	sums := map[sumKey]int{}
	for _, r := range fresh {
		key := countKey{r.Tenant, r.Queue, jobs.State(r.State)}
		sums[sumKey{levelTenant, key, r.Day.Time}] += r.N
		key.tenant = ""
		sums[sumKey{levelAll, key, r.Day.Time}] += r.N
	}
	keys := make([]sumKey, 0, len(sums))
	for key := range sums {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b sumKey) int {
		return cmp.Or(cmp.Compare(a.level, b.level), a.compare(b.countKey), a.day.Compare(b.day))
	})
	rows := make(tuples, len(keys))
	for i, key := range keys {
		rows[i] = bun.SafeQuery("(?, ?, ?, ?, ?, ?)", key.level, bundb.Time{Time: key.day}, key.tenant, key.queue, int(key.state), sums[key])
	}
	_, err := tx.NewRaw(`INSERT INTO levqor_jobs_tally AS t (level, day, tenant, queue, state, n) VALUES ?
		ON CONFLICT (level, tenant, queue, state, day) WHERE level > 0 DO UPDATE SET n = t.n + EXCLUDED.n`, rows).Exec(ctx)
	return err
}

// tuples writes rows of a VALUES list.
type tuples []schema.QueryAppender

// AppendQuery writes the rows.
func (t tuples) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	for i, tuple := range t {
		if i > 0 {
			b = append(b, ", "...)
		}
		var err error
		if b, err = tuple.AppendQuery(gen, b); err != nil {
			return nil, err
		}
	}
	return b, nil
}
