package bunjobs

import (
	"context"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.LogStore = (*Store)(nil)

// logRow is a line of a job's log.
type logRow struct {
	bun.BaseModel `bun:"table:levqor_jobs_log,alias:l"`

	Job     int64      `bun:"job"`
	Line    int        `bun:"line"`
	Attempt int        `bun:"attempt"`
	At      bundb.Time `bun:"at"`
	Text    string     `bun:"text"`
}

// AppendLog implements [jobs.LogStore]. The job's row is locked, so lines are counted
// one after the other and none is added to a lease that is lost meanwhile.
func (s *Store) AppendLog(ctx context.Context, lease jobs.Lease, text string, now time.Time) error {
	now = bundb.Clock(s.db, now)
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		running, err := lockRunning(ctx, tx, bun.SafeQuery("id = ? AND epoch = ?", int64(lease.ID), lease.Epoch), now)
		if err != nil {
			return err
		}
		if len(running) == 0 {
			return jobs.ErrLeaseLost
		}
		row := logRow{Job: int64(lease.ID), Attempt: running[0].Attempt, At: running[0].Now, Text: text}
		if err := tx.NewRaw("SELECT COALESCE(max(line), 0) + 1 FROM levqor_jobs_log WHERE job = ?", row.Job).Scan(ctx, &row.Line); err != nil {
			return err
		}
		if _, err := tx.NewInsert().Model(&row).Exec(ctx); err != nil {
			return err
		}
		_, err = tx.NewRaw("DELETE FROM levqor_jobs_log WHERE job = ? AND line <= ?", row.Job, row.Line-jobs.KeptLogLines).Exec(ctx)
		return err
	}))
}

// ListLog implements [jobs.LogStore].
func (s *Store) ListLog(ctx context.Context, tenant string, id jobs.ID, after, limit int) ([]jobs.LogLine, error) {
	if _, err := s.Get(ctx, tenant, id); err != nil {
		return nil, err
	}
	var rows []logRow
	err := s.db.NewSelect().Model(&rows).Where("job = ? AND line > ?", int64(id), after).Order("line").Limit(int64(limit)).Scan(ctx)
	if err != nil {
		return nil, bundb.Err(err)
	}
	lines := make([]jobs.LogLine, len(rows))
	for i, r := range rows {
		lines[i] = jobs.LogLine{Line: r.Line, Attempt: r.Attempt, At: r.At.Time, Text: r.Text}
	}
	return lines, nil
}
