package jobs

import (
	"context"
	"fmt"
	"time"
)

// Health tells an operator whether jobs are worked off. Its figures are signals, each
// with the trouble that it tells of.
type Health struct {
	// OldestReady is how long the longest of those jobs has waited past its RunAt that are
	// the first of their lines, which are the ready jobs of one queue, tenant and limit key:
	// grows if workers are too few, dead, or do not know a kind. Paused queues count. A
	// store may look at the first thousand lines alone, by the names of their queues.
	OldestReady time.Duration
	// OldestReadyQueue is where that job waits; empty if none does.
	OldestReadyQueue string
	// Nodes is how many workers hold a lease.
	Nodes int
	// LeaseLag is how long the oldest lease that nobody took over has run out: grows
	// if no worker is alive to rescue what the dead ones held.
	LeaseLag time.Duration
	// DueLag is how long the first job that waits for its time, or the first schedule,
	// has been due: grows if nobody promotes or fires.
	DueLag time.Duration
	// OldestTransaction is the age of the oldest open transaction of the database: an
	// old one keeps dead rows from being cleared away. PostgreSQL shows those of other
	// roles to a role with pg_read_all_stats only. Always 0 on a store without such.
	OldestTransaction time.Duration
	// ClockSkew is how far this process's clock is ahead of the store's, to within
	// the time of a call: decides nothing, but confuses whoever reads logs.
	ClockSkew time.Duration
}

// HealthStore is what a [Store] can tell about how it is doing.
type HealthStore interface {
	// Health returns all figures but ClockSkew, and the instant that it worked with.
	// It takes the same time however many jobs there are.
	Health(ctx context.Context, now time.Time) (Health, time.Time, error)
}

// CheckHealth returns how the jobs of a store are doing.
func CheckHealth(ctx context.Context, store HealthStore) (Health, error) {
	begun := time.Now() //nolint:forbidigo // compared with the store's clock
	health, at, err := store.Health(ctx, time.Time{})
	if err != nil {
		return Health{}, fmt.Errorf("jobs: check health: %w", err)
	}
	took := time.Since(begun) //nolint:forbidigo // compared with the store's clock
	health.ClockSkew = begun.Add(took / 2).Sub(at)
	return health, nil
}

// Older makes the age of a job that is ready since runAt that of OldestReady if it is
// higher, for stores.
func (h *Health) Older(queue string, runAt, now time.Time) {
	if age := now.Sub(runAt); h.OldestReadyQueue == "" || age > h.OldestReady {
		h.OldestReady, h.OldestReadyQueue = max(0, age), queue
	}
}
