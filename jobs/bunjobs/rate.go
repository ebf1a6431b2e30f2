package bunjobs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// loadArrivals reads when lines may start more by their rates.
func (g *guard) loadArrivals(ctx context.Context, tx bun.Tx, lines []jobs.LineKey) error {
	if len(lines) == 0 {
		return nil
	}
	asked := bundb.Rows{Len: len(lines), Columns: []bundb.Column{
		{Name: "tenant", Text: func(i int) (string, bool) { return lines[i].Tenant, true }},
		{Name: "limit_key", Text: func(i int) (string, bool) { return lines[i].Key, true }},
	}}
	var rows []struct {
		lineRow
		Arrival bundb.Time `bun:"arrival"`
	}
	err := tx.NewRaw("SELECT r.tenant, r.limit_key, r.arrival FROM (?) AS v JOIN levqor_jobs_rate AS r ON r.queue = ? AND r.tenant = v.tenant AND r.limit_key = v.limit_key",
		asked, g.settings.Queue).Scan(ctx, &rows)
	for _, r := range rows {
		g.arrivals[jobs.LineKey{Tenant: r.Tenant, Key: r.Key}] = r.Arrival.Time
	}
	return err
}

// started takes note of what a claim starts where a rate counts it.
func (g *guard) started(ctx context.Context, tx bun.Tx, claimed []jobs.Info) error {
	counts := map[jobs.LineKey]int{}
	if g.settings.Rate.Count > 0 && len(claimed) > 0 {
		counts[jobs.LineKey{}] = len(claimed)
	}
	for _, job := range claimed {
		if job.LimitKey != "" && g.settings.RatePerKey.Count > 0 {
			counts[job.Line()]++
		}
	}
	if len(counts) == 0 {
		return nil
	}
	if err := g.saveArrivals(ctx, tx, counts); err != nil {
		return err
	}
	return g.forget(ctx, tx, len(counts))
}

// saveArrivals moves the arrival times of lines on by what each starts, all in one
// statement and in the order of the lines.
func (g *guard) saveArrivals(ctx context.Context, tx bun.Tx, counts map[jobs.LineKey]int) error {
	lines := slices.SortedFunc(maps.Keys(counts), func(a, b jobs.LineKey) int {
		return cmp.Or(strings.Compare(a.Tenant, b.Tenant), strings.Compare(a.Key, b.Key))
	})
	rows := bundb.Rows{Len: len(lines), Columns: []bundb.Column{
		{Name: "tenant", Text: func(i int) (string, bool) { return lines[i].Tenant, true }},
		{Name: "limit_key", Text: func(i int) (string, bool) { return lines[i].Key, true }},
		{Name: "arrival", Int: func(i int) (int64, bool) {
			rate := g.settings.RatePerKey
			if lines[i] == (jobs.LineKey{}) {
				rate = g.settings.Rate
			}
			return rate.After(g.arrivals[lines[i]], g.now, counts[lines[i]]).UnixMicro(), true
		}},
	}}
	// Without WHERE, SQLite takes ON for the beginning of a join.
	_, err := bundb.Exec(ctx, tx, bun.SafeQuery(`
		INSERT INTO levqor_jobs_rate (queue, tenant, limit_key, arrival)
		SELECT ?, tenant, limit_key, ? FROM (?) AS v WHERE 1 = 1
		ON CONFLICT (queue, tenant, limit_key) DO UPDATE SET arrival = EXCLUDED.arrival`,
		g.settings.Queue, bundb.AtColumn(tx, "arrival"), rows))
	return err
}

// forget removes arrival times that have passed, twice as many as were added, so the
// table stays as small as what is going on.
func (g *guard) forget(ctx context.Context, tx bun.Tx, added int) error {
	_, err := tx.NewRaw(`
		DELETE FROM levqor_jobs_rate WHERE queue = ?0 AND (tenant, limit_key) IN
			(SELECT tenant, limit_key FROM levqor_jobs_rate WHERE queue = ?0 AND arrival < ?1 LIMIT ?2)`,
		g.settings.Queue, bundb.Time{Time: g.now}, 2*added).Exec(ctx)
	return err
}
