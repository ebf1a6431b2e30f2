package prometheusjobs

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/levqor/sdk/jobs"
)

// MetricsOptions configure [Metrics]. The zero value of each field means its default.
type MetricsOptions struct {
	// Buckets are the upper bounds of the histograms, in seconds. Default: 1 ms to
	// 262 s, each four times the one before.
	Buckets []float64
}

// Metrics count what this process takes in and runs:
//
//   - levqor_jobs_enqueued_total{kind}: jobs that were stored, also where the caller's
//     transaction is rolled back later; jobs of schedules do not count
//   - levqor_jobs_duplicates_total{kind}: jobs that were there already, see [jobs.Unique]
//   - levqor_jobs_attempts_started_total{kind, queue}
//   - levqor_jobs_attempts_finished_total{kind, queue, outcome}: "completed", "failed",
//     "snoozed", or "interrupted" by the end of the attempt's context, which its timeout,
//     a cancellation, a lost lease or the end of the worker brings
//   - levqor_jobs_attempt_duration_seconds{kind, queue}: a histogram
//   - levqor_jobs_wait_seconds{kind, queue}: a histogram of the time from when a job
//     might have run to its attempt
//
// The outcome is the handler's. What became of the jobs is in the counts of a [Collector]:
// the store refuses the outcome of a lost lease.
type Metrics struct {
	enqueued, duplicates, started, finished *prometheus.CounterVec
	duration, wait                          *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Metrics)(nil)

// NewMetrics returns metrics that start at zero. Options may be nil. Put [Metrics.Intake]
// and [Metrics.Execution] among the hooks of the registry, and register the metrics with
// Prometheus, once.
func NewMetrics(opts *MetricsOptions) *Metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 4, 10)
	if opts != nil && len(opts.Buckets) > 0 {
		buckets = opts.Buckets
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	histogram := func(name, help string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, []string{"kind", "queue"})
	}
	return &Metrics{
		enqueued:   counter("levqor_jobs_enqueued_total", "Jobs that this process stored.", "kind"),
		duplicates: counter("levqor_jobs_duplicates_total", "Jobs that this process would have stored and that were there already.", "kind"),
		started:    counter("levqor_jobs_attempts_started_total", "Attempts that this process began.", "kind", "queue"),
		finished:   counter("levqor_jobs_attempts_finished_total", "Attempts that ended in this process, by outcome.", "kind", "queue", "outcome"),
		duration:   histogram("levqor_jobs_attempt_duration_seconds", "How long attempts took."),
		wait:       histogram("levqor_jobs_wait_seconds", "How long jobs waited for their attempts when they might have run."),
	}
}

func (m *Metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.enqueued, m.duplicates, m.started, m.finished, m.duration, m.wait}
}

// Describe implements [prometheus.Collector].
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.all() {
		c.Describe(ch)
	}
}

// Collect implements [prometheus.Collector].
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.all() {
		c.Collect(ch)
	}
}

// Intake counts what is taken in; it is a [jobs.IntakeHook]. Kinds are counted once they
// are stored, so what callers make up adds no series.
func (m *Metrics) Intake(ctx context.Context, entries []jobs.Entry, next func(context.Context, []jobs.Entry) ([]jobs.Info, error)) ([]jobs.Info, error) {
	infos, err := next(ctx, entries)
	if err != nil {
		return infos, err
	}
	for i := range infos {
		if infos[i].Duplicate {
			m.duplicates.WithLabelValues(infos[i].Kind).Inc()
		} else {
			m.enqueued.WithLabelValues(infos[i].Kind).Inc()
		}
	}
	return infos, nil
}

// Execution measures attempts; it is a [jobs.ExecutionHook]. Put it first, so that it
// measures the other hooks too.
func (m *Metrics) Execution(ctx context.Context, job jobs.Info, next func(context.Context) error) (err error) {
	m.started.WithLabelValues(job.Kind, job.Queue).Inc()
	m.wait.WithLabelValues(job.Kind, job.Queue).Observe(waited(&job).Seconds())
	begun := time.Now() //nolint:forbidigo // measures a duration
	outcome := "failed" // also of a handler that panics
	defer func() {
		m.duration.WithLabelValues(job.Kind, job.Queue).Observe(time.Since(begun).Seconds()) //nolint:forbidigo // measures a duration
		m.finished.WithLabelValues(job.Kind, job.Queue, outcome).Inc()
	}()
	err = next(ctx)
	outcome = outcomeOf(ctx, err)
	return err
}

func outcomeOf(ctx context.Context, err error) string {
	if err == nil {
		return "completed"
	}
	if _, ok := jobs.Snoozed(err); ok {
		return "snoozed"
	}
	if ctx.Err() != nil {
		return "interrupted"
	}
	return "failed"
}

// waited returns how long a job waited for its attempt. RunAt may be any time in the past.
func waited(job *jobs.Info) time.Duration {
	since := job.RunAt
	if since.Before(job.CreatedAt) {
		since = job.CreatedAt
	}
	return max(job.StartedAt.Sub(since), 0)
}
