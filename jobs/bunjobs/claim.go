package bunjobs

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// claimedColumns are what a claim reads of a job.
var claimedColumns = []string{
	"id", "tenant", "kind", "priority", "args", "attempt", "max_attempts", "attempts", "timeout",
	"created_at", "run_at", "started_at", "limit_key", "unique_key", "metadata", "epoch",
}

// taking returns the change that takes the jobs of a subquery. The node's row is locked
// against being deleted, so Rescue either sees these jobs or makes the claim find no node.
func taking(tx bun.Tx, node jobs.NodeID, ids schema.QueryAppender, now time.Time) bundb.Change {
	return bundb.Change{
		Table: live, IDs: ids,
		If: bun.SafeQuery("EXISTS (SELECT 1 FROM levqor_jobs_node WHERE id = ?0 AND lease_until > ?1 ?2)", int64(node), bundb.Now(tx, now), bundb.ForKeyShare(tx)),
		Set: []bundb.Assignment{
			{Column: "state", Value: bun.Safe("3")},
			{Column: "node", Value: bun.SafeQuery("?", int64(node))},
			{Column: "attempt", Value: bun.Safe("attempt + 1")},
			{Column: "epoch", Value: bun.Safe("epoch + 1")},
			{Column: "started_at", Value: bundb.Now(tx, now)},
			{Column: "fraction", Value: bun.Safe("0")},
			{Column: "note", Value: bun.Safe("''")},
		},
		Read: claimedColumns,
	}
}

// readySQL finds the jobs of one line in their order. The state is written out
// because the partial indexes are chosen by it.
const readySQL = `
	SELECT id FROM levqor_jobs_live
	WHERE state = 2 AND queue = ? AND tenant = ? AND limit_key ? ? AND kind IN (?)
	ORDER BY turn, id LIMIT ? ?`

// linesSQL finds lines with ready jobs, each by steps in an index however many jobs
// it has: of jobs without a limit key those whose tenants follow one in the order of
// their names, and then those from the beginning up to it; and the same of jobs with
// one.
var linesSQL = bundb.Fixed{SQL: `
	WITH RECURSIVE a (tenant, n) AS (
		SELECT * FROM (SELECT tenant, 1 FROM levqor_jobs_live WHERE state = 2 AND limit_key IS NULL AND queue = ?0 AND tenant > ?1 ORDER BY tenant LIMIT 1) AS f
		UNION ALL
		SELECT (SELECT tenant FROM levqor_jobs_live AS j WHERE state = 2 AND limit_key IS NULL AND queue = ?0 AND j.tenant > a.tenant ORDER BY tenant LIMIT 1), n + 1
		FROM a WHERE a.tenant IS NOT NULL AND n < ?4
	), b (tenant, n) AS (
		SELECT * FROM (SELECT tenant, 1 FROM levqor_jobs_live WHERE state = 2 AND limit_key IS NULL AND queue = ?0 AND tenant <= ?1 ORDER BY tenant LIMIT 1) AS f
		UNION ALL
		SELECT (SELECT tenant FROM levqor_jobs_live AS j WHERE state = 2 AND limit_key IS NULL AND queue = ?0 AND j.tenant > b.tenant AND j.tenant <= ?1 ORDER BY tenant LIMIT 1), n + 1
		FROM b WHERE b.tenant IS NOT NULL AND n < ?4
	), c (tenant, limit_key, n) AS (
		SELECT tenant, limit_key, 1 FROM levqor_jobs_live WHERE id = ` + lineAfter("?2", "?3") + `
		UNION ALL
		SELECT j.tenant, j.limit_key, n + 1 FROM c JOIN levqor_jobs_live AS j ON j.id = ` + lineAfter("c.tenant", "c.limit_key") + ` WHERE n < ?4
	), d (tenant, limit_key, n) AS (
		SELECT * FROM (SELECT tenant, limit_key, 1 FROM levqor_jobs_live WHERE state = 2 AND limit_key IS NOT NULL AND queue = ?0 ORDER BY tenant, limit_key LIMIT 1) AS f
		WHERE (tenant, limit_key) <= (?2, ?3)
		UNION ALL
		SELECT j.tenant, j.limit_key, n + 1 FROM d JOIN levqor_jobs_live AS j ON j.id = ` + lineAfter("d.tenant", "d.limit_key") + `
		WHERE n < ?4 AND (j.tenant, j.limit_key) <= (?2, ?3)
	)
	SELECT tenant, '' AS limit_key, 1 AS part FROM a WHERE tenant IS NOT NULL UNION ALL
	SELECT tenant, '', 2 FROM b WHERE tenant IS NOT NULL UNION ALL
	SELECT tenant, limit_key, 3 FROM c UNION ALL
	SELECT tenant, limit_key, 4 FROM d`}

// lineAfter returns the SQL for a job of the line behind one: another of the tenant, or
// else the first of the tenants that follow. Of (tenant, limit_key) > (?, ?) SQLite uses
// the first column alone, and would walk along all jobs of the line.
func lineAfter(tenant, key string) string {
	const keyedJobs = "SELECT id FROM levqor_jobs_live AS k WHERE state = 2 AND limit_key IS NOT NULL AND queue = ?0"
	return "COALESCE((" + keyedJobs + " AND k.tenant = " + tenant + " AND k.limit_key > " + key + " ORDER BY k.limit_key LIMIT 1), (" +
		keyedJobs + " AND k.tenant > " + tenant + " ORDER BY k.tenant, k.limit_key LIMIT 1))"
}

// maxShares bounds the lines of each sort that share one claim.
const maxShares = 64

// turns remembers for each queue which lines a claim ended with, so the next one goes
// on behind them, and how many jobs it took, so the next one makes room for as many.
type turns struct {
	mu   sync.Mutex
	last map[string]turn
}

// turn is the last tenant of jobs without a limit key, the last line of those with
// one, and how many jobs the claim took.
type turn struct {
	tenant  string
	line    jobs.LineKey
	brought int
}

func (t *turns) after(queue string) turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[queue]
}

func (t *turns) brought(queue string) int { return t.after(queue).brought }

func (t *turns) bring(queue string, n int) {
	t.update(queue, func(last *turn) { last.brought = n })
}

// skip goes on behind lines that cannot start anything.
func (t *turns) skip(queue string, lines []jobs.LineKey) {
	t.update(queue, func(last *turn) {
		for _, line := range lines {
			last.pass(line)
		}
	})
}

func (t *turns) update(queue string, change func(last *turn)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[string]turn{}
	}
	last := t.last[queue]
	change(&last)
	t.last[queue] = last
}

// served goes on behind those of the lines that a claim took jobs of.
func (t *turns) served(queue string, lines []jobs.Line, claimed []jobs.Info) {
	took := map[jobs.LineKey]bool{}
	for _, job := range claimed {
		took[job.Line()] = true
	}
	var served []jobs.LineKey
	for _, line := range lines {
		if took[line.LineKey] || len(took) == 0 {
			served = append(served, line.LineKey)
		}
	}
	t.skip(queue, served)
}

func (t *turn) pass(line jobs.LineKey) {
	if line.Key == "" {
		t.tenant = line.Tenant
	} else {
		t.line = line
	}
}

// Claim implements [jobs.WorkerStore].
func (s *Store) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	if len(c.Kinds) == 0 || c.Limit <= 0 {
		return nil, nil
	}
	hurried := now.IsZero()
	now = bundb.Clock(s.db, now)
	claimed := make([]jobs.Info, 0, min(c.Limit, s.turns.brought(c.Queue)))
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		claimed = claimed[:0]
		if err := bundb.ByIndex(ctx, tx); err != nil {
			return err
		}
		guard, err := s.guard(ctx, tx, c.Queue, now)
		if err != nil || guard.settings.Paused {
			return err
		}
		guard.hurried = hurried
		for range maxLooks { // lines that have nothing for this claim do not hide others
			more, err := s.claimLines(ctx, tx, c, guard, now, &claimed)
			if err != nil {
				return err
			}
			if !more || len(claimed) > 0 {
				break
			}
			guard.widely = true
		}
		return guard.started(ctx, tx, claimed)
	})
	if err != nil {
		return nil, bundb.Err(err)
	}
	s.turns.bring(c.Queue, len(claimed))
	jobs.SortByTurn(claimed) // RETURNING has no order
	return claimed, nil
}

// claimLines takes jobs of the lines whose turn it is, and reports whether there are
// others.
func (s *Store) claimLines(ctx context.Context, tx bun.Tx, c jobs.Claim, g *guard, now time.Time, claimed *[]jobs.Info) (more bool, err error) {
	lines, loads, most, more, err := s.lines(ctx, tx, c, g)
	if err != nil || len(lines) == 0 {
		return false, err
	}
	defer func() {
		s.turns.served(c.Queue, lines, *claimed)
		s.seen.served(c.Queue, *claimed)
	}()
	return more, jobs.Share(lines, loads, min(c.Limit, most), func(shares []jobs.LineShare) (map[jobs.LineKey]int, error) {
		before := len(*claimed)
		err := s.take(ctx, tx, c, g, shares, now, claimed)
		got := map[jobs.LineKey]int{}
		for _, job := range (*claimed)[before:] {
			got[job.Line()]++
		}
		return got, err
	})
}

// lineRow is a line with ready jobs; see linesSQL.
type lineRow struct {
	Tenant string `bun:"tenant"`
	Key    string `bun:"limit_key"`
	Part   int    `bun:"part"`
}

// lines returns whose turn it is and what they may start, and whether more lines wait
// for their turn.
func (s *Store) lines(ctx context.Context, tx bun.Tx, c jobs.Claim, g *guard) (lines []jobs.Line, loads map[string]jobs.TenantLoad, most int, more bool, err error) {
	if known := s.seen.of(c.Queue); g.hurried && len(known) > 0 {
		lines, loads, most, err = g.allow(ctx, tx, known)
		return lines, loads, most, false, err
	}
	limit := maxShares
	if !g.settings.Guarded() && !g.widely { // each of them takes a place at least
		limit = min(c.Limit, maxShares)
	}
	again := g.hurried && s.seen.lately(c.Queue)
	if again {
		limit = maxShares // to remember them all
	}
	for range maxLooks {
		begun, last := time.Now(), s.turns.after(c.Queue)
		ready, all, err := readyLines(ctx, tx, c.Queue, last, limit)
		switch took := time.Since(begun); {
		case err != nil:
		case !slow(took, 0):
			s.seen.drop(c.Queue)
		case again:
			s.seen.keep(c.Queue, ready, took)
		default:
			err = s.sight(ctx, tx, c.Queue, g, last, took)
		}
		if err != nil {
			return nil, nil, 0, false, err
		}
		lines, loads, most, err := g.allow(ctx, tx, ready)
		if err != nil || len(lines) > 0 || all || most == 0 {
			return lines, loads, most, !all, err
		}
		s.turns.skip(c.Queue, ready)
	}
	return nil, nil, 0, false, nil
}

// readyLines returns up to limit lines of each sort that follow those of the claim before,
// and whether these are all.
func readyLines(ctx context.Context, tx bun.Tx, queue string, last turn, limit int) (ready []jobs.LineKey, all bool, err error) {
	var rows []lineRow
	err = linesSQL.Each(ctx, tx, func(scan func(...any) error) error {
		var r lineRow
		err := scan(&r.Tenant, &r.Key, &r.Part)
		rows = append(rows, r)
		return err
	}, queue, last.tenant, last.line.Tenant, last.line.Key, limit)
	if err != nil {
		return nil, false, err
	}
	all = true
	var tenants, lines int // of jobs without a limit key, and of those with one
	for _, r := range rows {
		count := &tenants
		if r.Part > 2 {
			count = &lines
		}
		if *count == limit {
			all = false // the rest of the round comes next time
			continue
		}
		*count++
		ready = append(ready, jobs.LineKey{Tenant: r.Tenant, Key: r.Key})
	}
	return ready, all && tenants < limit && lines < limit, nil
}

// take claims each line's share and adds the jobs to those of the claim.
func (s *Store) take(ctx context.Context, tx bun.Tx, c jobs.Claim, g *guard, shares []jobs.LineShare, now time.Time, claimed *[]jobs.Info) error {
	parts, begins := make(union, len(shares)), make([]floor, len(shares))
	for i, share := range shares {
		begins[i] = s.floors.begin(&c, share.LineKey)
		parts[i] = bun.SafeQuery(readySQL, c.Queue, share.Tenant, keyed(share.LineKey), begins[i],
			bun.List(c.Kinds), share.Limit, bundb.SkipLocked(tx))
	}
	var r row
	var limitKey, uniqueKey sql.NullString
	begun, before := time.Now(), len(*claimed)
	err := taking(tx, c.Node, parts, now).Each(ctx, tx, func(scan func(...any) error) (int64, error) {
		err := scan(&r.ID, &r.Tenant, &r.Kind, &r.Priority, &r.Args, &r.Attempt, &r.MaxAttempts, &r.Attempts, &r.Timeout,
			&r.CreatedAt, &r.RunAt, &r.StartedAt, &limitKey, &uniqueKey, &r.Metadata, &r.Epoch)
		r.Queue, r.State, r.LimitKey, r.UniqueKey = c.Queue, uint8(jobs.Running), limitKey.String, uniqueKey.String
		*claimed = append(*claimed, r.info())
		return r.ID, err
	})
	s.floors.advance(&c, (*claimed)[before:])
	switch took := time.Since(begun); {
	case err != nil || !g.hurried:
	case !slow(took, len(*claimed)-before):
		s.floors.drop(&c, shares, begins)
	default:
		err = s.floors.learn(ctx, tx, &c, g, shares, begins, (*claimed)[before:], took)
	}
	return err
}

// union writes subqueries that have an order and a limit each.
type union []schema.QueryAppender

// AppendQuery writes the subqueries.
func (u union) AppendQuery(gen schema.QueryGen, b []byte) ([]byte, error) {
	if len(u) == 1 {
		return u[0].AppendQuery(gen, b)
	}
	for i, part := range u {
		if i > 0 {
			b = append(b, " UNION ALL "...)
		}
		b = append(b, "SELECT id FROM ("...)
		var err error
		if b, err = part.AppendQuery(gen, b); err != nil {
			return nil, err
		}
		b = append(b, ") AS x"...)
	}
	return b, nil
}

// Promote implements [jobs.WorkerStore].
func (s *Store) Promote(ctx context.Context, limit int, now time.Time) (int, error) {
	open, end := bundb.InArray(s.db)
	res, err := s.db.NewRaw(`
		UPDATE levqor_jobs_live SET state = 2 WHERE state IN (1, 4) AND id ?
			SELECT id FROM levqor_jobs_live WHERE state IN (1, 4) AND run_at <= ? ORDER BY run_at, id LIMIT ? ?
		?`, open, bundb.Now(s.db, now), limit, bundb.SkipLocked(s.db), end).Exec(ctx)
	if err != nil {
		return 0, bundb.Err(err)
	}
	n, err := res.RowsAffected()
	return int(n), bundb.Err(err)
}
