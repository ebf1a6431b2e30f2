// Package prometheusjobs tells Prometheus how jobs are doing.
//
//	metrics := prometheusjobs.NewMetrics(nil) // what this process takes in and runs
//	registry := jobs.NewRegistry(&jobs.RegistryOptions{
//		Intake:    []jobs.IntakeHook{metrics.Intake},
//		Execution: []jobs.ExecutionHook{metrics.Execution},
//	})
//	prometheus.MustRegister(metrics, prometheusjobs.NewCollector(store, nil)) // what all processes share
//
// A [Collector] asks the store at each scrape, so every process of a service gives the
// same figures: take the maximum over them, not the sum. [Metrics] are each process's own:
// add them up. All of them are about all tenants, so they are for the operator of a
// service alone.
package prometheusjobs

import (
	"cmp"
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/levqor/sdk/jobs"
)

// Store is what a [Collector] asks.
type Store interface {
	jobs.CountStore
	jobs.HealthStore
}

// Options configure a [Collector]. The zero value of each field means its default.
type Options struct {
	// Timeout bounds what one scrape asks of the store. Default: 5 s.
	Timeout time.Duration
	// MaxQueues bounds the queues with series of their own, those with the most jobs:
	// callers choose the names of queues. The others are summed up under [OtherQueues].
	// Default: 100.
	MaxQueues int
	// Logger gets the reason why a figure is missing. Default: discard.
	Logger *slog.Logger
}

// OtherQueues is the label of the queues that have no series of their own; no queue has
// such a name.
const OtherQueues = "(others)"

// Collector gives the counts of jobs and their health, as gauges:
//
//   - levqor_jobs{queue, state}: jobs
//   - levqor_jobs_counted_timestamp_seconds: when those that are not over were counted
//   - levqor_jobs_oldest_ready_seconds, levqor_jobs_nodes, levqor_jobs_lease_lag_seconds,
//     levqor_jobs_due_lag_seconds, levqor_jobs_oldest_transaction_seconds,
//     levqor_jobs_clock_skew_seconds: see [jobs.Health]
//
// and the counter levqor_jobs_scrape_errors_total{of}: scrapes that lack the counts or the
// health because the store did not answer in time.
type Collector struct {
	store  Store
	opts   Options
	errors *prometheus.CounterVec
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector that asks a store. Options may be nil.
func NewCollector(store Store, opts *Options) *Collector {
	c := &Collector{store: store}
	if opts != nil {
		c.opts = *opts
	}
	c.opts.Timeout = cmp.Or(c.opts.Timeout, 5*time.Second)
	c.opts.MaxQueues = cmp.Or(c.opts.MaxQueues, 100)
	if c.opts.Logger == nil {
		c.opts.Logger = slog.New(slog.DiscardHandler)
	}
	c.errors = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "levqor_jobs_scrape_errors_total", Help: "Scrapes that lack figures because the store did not answer in time.",
	}, []string{"of"})
	for _, of := range []string{"counts", "health"} {
		c.errors.WithLabelValues(of)
	}
	return c
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

var (
	descJobs    = desc("levqor_jobs", "Jobs of all tenants; those that are not over as they were counted last.", "queue", "state")
	descCounted = desc("levqor_jobs_counted_timestamp_seconds", "When the jobs that are not over were counted last.")
)

// figures are those of the health, each a gauge.
var figures = []struct {
	desc  *prometheus.Desc
	value func(h *jobs.Health) float64
}{
	{
		desc("levqor_jobs_oldest_ready_seconds", "How long the longest of the jobs has waited that are the first of their lines."),
		func(h *jobs.Health) float64 { return h.OldestReady.Seconds() },
	},
	{
		desc("levqor_jobs_nodes", "Workers that hold a lease."),
		func(h *jobs.Health) float64 { return float64(h.Nodes) },
	},
	{
		desc("levqor_jobs_lease_lag_seconds", "How long the oldest lease that nobody took over has run out."),
		func(h *jobs.Health) float64 { return h.LeaseLag.Seconds() },
	},
	{
		desc("levqor_jobs_due_lag_seconds", "How long the first job that waits for its time, or the first schedule, has been due."),
		func(h *jobs.Health) float64 { return h.DueLag.Seconds() },
	},
	{
		desc("levqor_jobs_oldest_transaction_seconds", "Age of the oldest open transaction of the database."),
		func(h *jobs.Health) float64 { return h.OldestTransaction.Seconds() },
	},
	{
		desc("levqor_jobs_clock_skew_seconds", "How far this process's clock is ahead of the store's."),
		func(h *jobs.Health) float64 { return h.ClockSkew.Seconds() },
	},
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	ch <- descJobs
	ch <- descCounted
	for _, f := range figures {
		ch <- f.desc
	}
	c.errors.Describe(ch)
}

// Collect implements [prometheus.Collector]. What the store does not tell in time is left
// out.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), c.opts.Timeout)
	defer cancel()
	counts, err := c.store.CountsOfAll(ctx, time.Time{})
	if c.answered(ctx, "counts", err) {
		c.collectCounts(ch, counts)
	}
	health, err := jobs.CheckHealth(ctx, c.store)
	if c.answered(ctx, "health", err) {
		for _, f := range figures {
			ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, f.value(&health))
		}
	}
	c.errors.Collect(ch)
}

func (c *Collector) answered(ctx context.Context, of string, err error) bool {
	if err != nil {
		c.errors.WithLabelValues(of).Inc()
		c.opts.Logger.ErrorContext(ctx, "prometheusjobs: the store did not answer", slog.String("of", of), slog.Any("error", err))
	}
	return err == nil
}

// collectCounts gives each state of each queue, also those without jobs, so that a series
// goes to zero before it ends.
func (c *Collector) collectCounts(ch chan<- prometheus.Metric, counts jobs.Counts) {
	if !counts.CountedAt.IsZero() {
		ch <- prometheus.MustNewConstMetric(descCounted, prometheus.GaugeValue, float64(counts.CountedAt.UnixMicro())/1e6)
	}
	for queue, states := range largest(counts.Queues, c.opts.MaxQueues) {
		for _, state := range jobs.States() {
			ch <- prometheus.MustNewConstMetric(descJobs, prometheus.GaugeValue, float64(states[state]), queue, state.String())
		}
	}
}

// largest returns the n queues with the most jobs, and the sum of the others.
func largest(queues map[string]jobs.StateCounts, n int) map[string]jobs.StateCounts {
	if len(queues) <= n {
		return queues
	}
	size := func(queue string) (total int) {
		for _, jobs := range queues[queue] {
			total += jobs
		}
		return total
	}
	names := slices.SortedFunc(maps.Keys(queues), func(a, b string) int {
		return cmp.Or(cmp.Compare(size(b), size(a)), cmp.Compare(a, b))
	})
	kept := map[string]jobs.StateCounts{OtherQueues: {}}
	for i, name := range names {
		if i < n {
			kept[name] = queues[name]
			continue
		}
		for state, jobs := range queues[name] {
			kept[OtherQueues][state] += jobs
		}
	}
	return kept
}
