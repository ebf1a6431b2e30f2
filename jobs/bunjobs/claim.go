package bunjobs

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// claimSQL takes jobs in one statement. The node's row is locked against being
// deleted, so Rescue either sees these jobs or makes the claim find no node.
// The states are written out because the partial index is chosen by them.
const claimSQL = `
	WITH n AS (SELECT id FROM levqor_jobs_node WHERE id = ?0 AND lease_until > ?1 ?2)
	UPDATE levqor_jobs_live AS j
	SET state = 3, node = ?0, attempt = attempt + 1, epoch = epoch + 1, started_at = ?1, fraction = 0, note = ''
	WHERE EXISTS (SELECT 1 FROM n) AND j.id ?3
		SELECT id FROM levqor_jobs_live
		WHERE state = 2 AND queue = ?4 AND kind IN (?5)
		ORDER BY priority, run_at, id LIMIT ?6 ?7
	?8 RETURNING ?9`

// Claim implements [jobs.WorkerStore].
func (s *Store) Claim(ctx context.Context, c jobs.Claim, now time.Time) ([]jobs.Info, error) {
	if len(c.Kinds) == 0 || c.Limit <= 0 {
		return nil, nil
	}
	var claimed []row
	err := bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		claimed = claimed[:0]
		if err := bundb.ByIndex(ctx, tx); err != nil {
			return err
		}
		open, end := bundb.InArray(tx)
		return tx.NewRaw(claimSQL, int64(c.Node), bundb.Now(tx, now), bundb.ForKeyShare(tx), open,
			c.Queue, bun.List(c.Kinds), c.Limit, bundb.SkipLocked(tx), end, bun.Safe(columns)).Scan(ctx, &claimed)
	})
	if err != nil {
		return nil, bundb.Err(err)
	}
	slices.SortFunc(claimed, func(a, b row) int { // RETURNING has no order
		return cmp.Or(cmp.Compare(a.Priority, b.Priority), a.RunAt.Compare(b.RunAt.Time), cmp.Compare(a.ID, b.ID))
	})
	return infos(claimed), nil
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
