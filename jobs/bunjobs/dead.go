package bunjobs

import (
	"context"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.DeadLetterStore = (*Store)(nil)

// ListDead implements [jobs.DeadLetterStore]. The state is written out because a partial
// index is chosen by it.
func (s *Store) ListDead(ctx context.Context, tenant string, limit int) ([]jobs.DeadLetter, error) {
	var rows []struct {
		row
		Error string `bun:"error"`
	}
	err := s.db.NewRaw(`SELECT id, kind, queue, finished_at, COALESCE(substr(?, 1, ?), '') AS error
		FROM levqor_jobs_done WHERE state = 7 AND tenant = ? ORDER BY id DESC LIMIT ?`,
		bundb.LastText(s.db, "attempts", "error"), jobs.DeadLetterText, tenant, limit).Scan(ctx, &rows)
	if err != nil {
		return nil, bundb.Err(err)
	}
	dead := make([]jobs.DeadLetter, len(rows))
	for i, r := range rows {
		dead[i] = jobs.DeadLetter{ID: jobs.ID(r.ID), Kind: r.Kind, Queue: r.Queue, FinishedAt: r.FinishedAt.Time, Error: r.Error}
	}
	return dead, nil
}
