package bunjobs

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

var _ jobs.LimitStore = (*Store)(nil)

// queueRow are the settings of a queue.
type queueRow struct {
	bun.BaseModel `bun:"table:levqor_jobs_queue,alias:q"`

	Name         string `bun:"name,pk"`
	Paused       bool   `bun:"paused"`
	MaxRunning   int    `bun:"max_running"`
	MaxPerTenant int    `bun:"max_per_tenant"`
	MaxPerKey    int    `bun:"max_per_key"`
	RateCount    int    `bun:"rate_count"`
	RatePer      int64  `bun:"rate_per"`
	KeyRateCount int    `bun:"key_rate_count"`
	KeyRatePer   int64  `bun:"key_rate_per"`
	Weights      string `bun:"weights"`
}

// queueColumns are those of a queueRow.
const queueColumns = bun.Safe("name, paused, max_running, max_per_tenant, max_per_key, rate_count, rate_per, key_rate_count, key_rate_per, weights")

func queueRowOf(s jobs.QueueSettings) (queueRow, error) {
	weights, err := json.Marshal(s.Weights)
	return queueRow{
		Name: s.Queue, Paused: s.Paused, MaxRunning: s.MaxRunning, MaxPerTenant: s.MaxPerTenant, MaxPerKey: s.MaxPerKey,
		RateCount: s.Rate.Count, RatePer: s.Rate.Per.Microseconds(),
		KeyRateCount: s.RatePerKey.Count, KeyRatePer: s.RatePerKey.Per.Microseconds(), Weights: string(weights),
	}, err
}

// settings returns the settings of the row. Weights that somebody has written by hand
// and that are none count as not set: the queue goes on under its limits.
func (r *queueRow) settings() jobs.QueueSettings {
	s := jobs.QueueSettings{
		Queue: r.Name, Paused: r.Paused, MaxRunning: r.MaxRunning, MaxPerTenant: r.MaxPerTenant, MaxPerKey: r.MaxPerKey,
		Rate:       jobs.Rate{Count: r.RateCount, Per: duration(r.RatePer)},
		RatePerKey: jobs.Rate{Count: r.KeyRateCount, Per: duration(r.KeyRatePer)},
	}
	if json.Unmarshal([]byte(r.Weights), &s.Weights) != nil {
		s.Weights = nil
	}
	maps.DeleteFunc(s.Weights, func(_ string, weight int) bool { return weight < 1 || weight > 100 })
	return s
}

// PutQueue implements [jobs.LimitStore].
func (s *Store) PutQueue(ctx context.Context, settings jobs.QueueSettings) error {
	defer s.queues.forget(settings.Queue)
	return bundb.Err(putQueue(ctx, s.db, settings))
}

// ReplaceQueue implements [jobs.LimitStore]. A queue without settings gets a row that says
// so first: what there is no row of cannot be locked.
func (s *Store) ReplaceQueue(ctx context.Context, known, settings jobs.QueueSettings) error {
	defer s.queues.forget(settings.Queue)
	return bundb.Err(bundb.InTx(ctx, s.db, func(ctx context.Context, tx bun.Tx) error {
		_, err := tx.NewRaw("INSERT INTO levqor_jobs_queue (?) VALUES (?, FALSE, 0, 0, 0, 0, 0, 0, 0, 'null') ON CONFLICT DO NOTHING",
			queueColumns, settings.Queue).Exec(ctx)
		if err != nil {
			return err
		}
		before, err := readQueue(ctx, tx, settings.Queue, bundb.ForUpdate(tx))
		if err != nil {
			return err
		}
		if !before.Equal(known) {
			return jobs.ErrConflict
		}
		return putQueue(ctx, tx, settings)
	}))
}

func putQueue(ctx context.Context, db bun.IDB, settings jobs.QueueSettings) error {
	row, err := queueRowOf(settings)
	if err != nil {
		return err
	}
	query := db.NewInsert().Model(&row).On("CONFLICT (name) DO UPDATE")
	for _, column := range []string{
		"paused", "max_running", "max_per_tenant", "max_per_key", "rate_count", "rate_per", "key_rate_count", "key_rate_per", "weights",
	} {
		query.Set("? = EXCLUDED.?", bun.Ident(column), bun.Ident(column))
	}
	_, err = query.Exec(ctx)
	return err
}

// PauseQueue implements [jobs.LimitStore].
func (s *Store) PauseQueue(ctx context.Context, queue string, paused bool) (changed bool, err error) {
	defer s.queues.forget(queue)
	statement := bun.SafeQuery("UPDATE levqor_jobs_queue SET paused = FALSE WHERE name = ? AND paused", queue)
	if paused {
		statement = bun.SafeQuery(`
			INSERT INTO levqor_jobs_queue AS q (?) VALUES (?, TRUE, 0, 0, 0, 0, 0, 0, 0, 'null')
			ON CONFLICT (name) DO UPDATE SET paused = TRUE WHERE NOT q.paused`, queueColumns, queue)
	}
	n, err := bundb.Exec(ctx, s.db, statement)
	return n == 1, bundb.Err(err)
}

// GetQueue implements [jobs.LimitStore].
func (s *Store) GetQueue(ctx context.Context, queue string) (jobs.QueueSettings, error) {
	settings, err := readQueue(ctx, s.db, queue, "")
	return settings, bundb.Err(err)
}

// readQueue reads the settings of a queue, and locks them if that is what the clause
// says.
func readQueue(ctx context.Context, db bun.IDB, queue string, lock bun.Safe) (jobs.QueueSettings, error) {
	var row queueRow
	err := db.NewRaw("SELECT * FROM levqor_jobs_queue WHERE name = ? ?", queue, lock).Scan(ctx, &row)
	if errors.Is(bundb.Err(err), jobs.ErrNotFound) {
		return jobs.QueueSettings{Queue: queue}, nil
	}
	if err != nil {
		return jobs.QueueSettings{}, err
	}
	return row.settings(), nil
}

// ListQueues implements [jobs.LimitStore].
func (s *Store) ListQueues(ctx context.Context) ([]jobs.QueueSettings, error) {
	var rows []queueRow
	if err := s.db.NewSelect().Model(&rows).Order("name").Scan(ctx); err != nil {
		return nil, bundb.Err(err)
	}
	all := make([]jobs.QueueSettings, len(rows))
	for i := range rows {
		all[i] = rows[i].settings()
	}
	return all, nil
}

// settingsAge is how long a claim believes that a queue has no settings without
// looking again.
const settingsAge = 250 * time.Millisecond

// queues remembers which queues had no settings, and when that was seen.
type queues struct {
	mu   sync.Mutex
	free map[string]time.Time
}

func (q *queues) areFree(queue string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	seen, ok := q.free[queue]
	return ok && time.Since(seen) < settingsAge
}

func (q *queues) seenFree(queue string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.free == nil {
		q.free = map[string]time.Time{}
	}
	q.free[queue] = time.Now()
}

func (q *queues) forget(queue string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.free, queue)
}

// guard decides what of a queue may start. It lives as long as the transaction of a
// claim, which holds the queue's row if there is something to decide.
type guard struct {
	settings jobs.QueueSettings
	running  map[jobs.LineKey]int
	now      time.Time
	arrivals map[jobs.LineKey]time.Time // theoretical arrival times, of the queue under no line
	widely   bool                       // lines were found that have no jobs for the claim
	hurried  bool                       // the claim is at no given instant and may overlook what takes long to find
}

func (s *Store) guard(ctx context.Context, tx bun.Tx, queue string, now time.Time) (*guard, error) {
	g := &guard{}
	if s.queues.areFree(queue) {
		return g, nil
	}
	var err error
	if g.settings, err = readQueue(ctx, tx, queue, ""); err != nil || g.settings.Paused {
		return g, err
	}
	if !g.settings.Guarded() {
		s.queues.seenFree(queue)
		return g, nil
	}
	// Claims of the queue go one after the other from here on, and see what those
	// before have started.
	if g.settings, err = readQueue(ctx, tx, queue, bundb.ForUpdate(tx)); err != nil {
		return g, err
	}
	if g.now, err = bundb.Instant(ctx, tx, now); err != nil {
		return g, err
	}
	return g, g.load(ctx, tx)
}

// runningSQL counts what runs of a queue.
var runningSQL = bundb.Fixed{SQL: `
	SELECT tenant, COALESCE(limit_key, ''), count(*) FROM levqor_jobs_live
	WHERE state = 3 AND queue = ?0 GROUP BY tenant, limit_key`}

// load reads what runs and when the queue may start more.
func (g *guard) load(ctx context.Context, tx bun.Tx) error {
	g.running = map[jobs.LineKey]int{}
	err := runningSQL.Each(ctx, tx, func(scan func(...any) error) error {
		var line jobs.LineKey
		var n int
		err := scan(&line.Tenant, &line.Key, &n)
		g.running[line] = n
		return err
	}, g.settings.Queue)
	g.arrivals = map[jobs.LineKey]time.Time{}
	if err == nil && g.settings.Rate.Count > 0 {
		err = g.loadArrivals(ctx, tx, []jobs.LineKey{{}})
	}
	return err
}

// allow returns what of the ready lines may start, and how many jobs altogether.
func (g *guard) allow(ctx context.Context, tx bun.Tx, ready []jobs.LineKey) ([]jobs.Line, map[string]jobs.TenantLoad, int, error) {
	lines, loads, most := g.settings.Lines(ready, g.running)
	most = min(most, g.settings.Rate.Allowance(g.arrivals[jobs.LineKey{}], g.now))
	if g.settings.RatePerKey.Count == 0 {
		return lines, loads, most, nil
	}
	keyed := slices.DeleteFunc(slices.Clone(ready), func(l jobs.LineKey) bool { return l.Key == "" })
	if err := g.loadArrivals(ctx, tx, keyed); err != nil {
		return nil, nil, 0, err
	}
	for i, line := range lines {
		if line.Key != "" {
			lines[i].Most = min(line.Most, g.settings.RatePerKey.Allowance(g.arrivals[line.LineKey], g.now))
		}
	}
	lines = slices.DeleteFunc(lines, func(l jobs.Line) bool { return l.Most == 0 })
	return lines, loads, most, nil
}
