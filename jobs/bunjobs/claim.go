package bunjobs

import (
	"context"
	"sync"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// claimSQL takes the jobs of a subquery in one statement. The node's row is locked
// against being deleted, so Rescue either sees these jobs or makes the claim find
// no node.
const claimSQL = `
	WITH n AS (SELECT id FROM levqor_jobs_node WHERE id = ?0 AND lease_until > ?1 ?2)
	UPDATE levqor_jobs_live AS j
	SET state = 3, node = ?0, attempt = attempt + 1, epoch = epoch + 1, started_at = ?1, fraction = 0, note = ''
	WHERE EXISTS (SELECT 1 FROM n) AND j.id ?3 ?4 ?5
	RETURNING id, tenant, kind, priority, args, attempt, max_attempts, attempts, timeout, created_at, run_at, started_at, unique_key, epoch`

// readySQL finds the jobs of one tenant in their order. The state is written out
// because the partial index is chosen by it.
const readySQL = `
	SELECT id FROM levqor_jobs_live
	WHERE state = 2 AND queue = ? AND tenant = ? AND kind IN (?)
	ORDER BY turn, id LIMIT ? ?`

// tenantsSQL finds the tenants with ready jobs that follow one in the order of
// their names, a step in the index for each however many jobs it has.
const tenantsSQL = `
	WITH RECURSIVE t (tenant, n) AS (
		SELECT * FROM (SELECT tenant, 1 FROM levqor_jobs_live WHERE state = 2 AND queue = ?0 AND tenant ?1 ?2 ORDER BY tenant LIMIT 1) AS first
		UNION ALL
		SELECT (SELECT tenant FROM levqor_jobs_live AS j WHERE state = 2 AND queue = ?0 AND j.tenant > t.tenant ORDER BY tenant LIMIT 1), n + 1
		FROM t WHERE t.tenant IS NOT NULL AND n < ?3
	)
	SELECT tenant FROM t WHERE tenant IS NOT NULL`

// maxShares bounds the tenants that share one claim.
const maxShares = 64

// turns remembers for each queue which tenant a claim ended with, so the next one
// goes on behind it.
type turns struct {
	mu   sync.Mutex
	last map[string]string
}

func (t *turns) after(queue string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last[queue]
}

func (t *turns) served(queue, tenant string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last == nil {
		t.last = map[string]string{}
	}
	t.last[queue] = tenant
}

// Claim implements [jobs.WorkerStore].
func (s *Store) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	if len(c.Kinds) == 0 || c.Limit <= 0 {
		return nil, nil
	}
	now = bundb.Clock(s.db, now)
	var claimed []jobs.Info
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		claimed = claimed[:0]
		if err := bundb.ByIndex(ctx, tx); err != nil {
			return err
		}
		tenants, err := s.tenants(ctx, tx, c)
		if err != nil || len(tenants) == 0 {
			return err
		}
		return jobs.Share(tenants, c.Limit, func(shares []jobs.TenantShare) (map[string]int, error) {
			rows, err := take(ctx, tx, c, shares, now)
			if err != nil {
				return nil, err
			}
			got := map[string]int{}
			for i := range rows {
				rows[i].Queue, rows[i].State = c.Queue, uint8(jobs.Running)
				got[rows[i].Tenant]++
			}
			claimed = append(claimed, infos(rows)...)
			return got, nil
		})
	})
	if err != nil {
		return nil, bundb.Err(err)
	}
	jobs.SortByTurn(claimed) // RETURNING has no order
	return claimed, nil
}

// tenants returns whose turn it is, at most as many as there are places.
func (s *Store) tenants(ctx context.Context, tx bun.Tx, c jobs.Claim) ([]string, error) {
	limit := min(c.Limit, maxShares)
	after := s.turns.after(c.Queue)
	var found, wrapped []string
	if err := tx.NewRaw(tenantsSQL, c.Queue, bun.Safe(">"), after, limit).Scan(ctx, &found); err != nil {
		return nil, err
	}
	if len(found) < limit {
		if err := tx.NewRaw(tenantsSQL, c.Queue, bun.Safe(">="), "", limit-len(found)).Scan(ctx, &wrapped); err != nil {
			return nil, err
		}
	}
	for _, tenant := range wrapped {
		if tenant > after {
			break // found before
		}
		found = append(found, tenant)
	}
	if len(found) > 0 {
		s.turns.served(c.Queue, found[len(found)-1])
	}
	return found, nil
}

// take claims each tenant's share.
func take(ctx context.Context, tx bun.Tx, c jobs.Claim, shares []jobs.TenantShare, now time.Time) ([]row, error) {
	parts := make(union, len(shares))
	for i, share := range shares {
		parts[i] = bun.SafeQuery(readySQL, c.Queue, share.Tenant, bun.List(c.Kinds), share.Limit, bundb.SkipLocked(tx))
	}
	open, end := bundb.InArray(tx)
	var rows []row
	err := tx.NewRaw(claimSQL, int64(c.Node), bundb.Now(tx, now), bundb.ForKeyShare(tx), open, parts, end).Scan(ctx, &rows)
	return rows, err
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
