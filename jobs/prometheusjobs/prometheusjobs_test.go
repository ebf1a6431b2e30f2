package prometheusjobs_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
	"github.com/levqor/sdk/jobs/prometheusjobs"
)

// fixed is a store with figures of its own.
type fixed struct {
	prometheusjobs.Store
	counts jobs.Counts
	health jobs.Health
}

func (s fixed) CountsOfAll(context.Context, time.Time) (jobs.Counts, error) { return s.counts, nil }

func (s fixed) Health(context.Context, time.Time) (jobs.Health, time.Time, error) {
	return s.health, time.Now(), nil
}

func TestACollectorGivesCountsAndHealth(t *testing.T) {
	store := fixed{
		counts: jobs.Counts{CountedAt: time.UnixMicro(1_900_000_000_500_000), Queues: map[string]jobs.StateCounts{"mail": {jobs.Ready: 3, jobs.Completed: 1e9}}},
		health: jobs.Health{OldestReady: 1500 * time.Millisecond, Nodes: 2, LeaseLag: time.Second, DueLag: time.Minute, OldestTransaction: time.Hour},
	}
	want := `
		# HELP levqor_jobs Jobs of all tenants; those that are not over as they were counted last.
		# TYPE levqor_jobs gauge
		levqor_jobs{queue="mail",state="cancelled"} 0
		levqor_jobs{queue="mail",state="completed"} 1e+09
		levqor_jobs{queue="mail",state="discarded"} 0
		levqor_jobs{queue="mail",state="ready"} 3
		levqor_jobs{queue="mail",state="retryable"} 0
		levqor_jobs{queue="mail",state="running"} 0
		levqor_jobs{queue="mail",state="scheduled"} 0
		# HELP levqor_jobs_counted_timestamp_seconds When the jobs that are not over were counted last.
		# TYPE levqor_jobs_counted_timestamp_seconds gauge
		levqor_jobs_counted_timestamp_seconds 1.9000000005e+09
		# HELP levqor_jobs_due_lag_seconds How long the first job that waits for its time, or the first schedule, has been due.
		# TYPE levqor_jobs_due_lag_seconds gauge
		levqor_jobs_due_lag_seconds 60
		# HELP levqor_jobs_lease_lag_seconds How long the oldest lease that nobody took over has run out.
		# TYPE levqor_jobs_lease_lag_seconds gauge
		levqor_jobs_lease_lag_seconds 1
		# HELP levqor_jobs_nodes Workers that hold a lease.
		# TYPE levqor_jobs_nodes gauge
		levqor_jobs_nodes 2
		# HELP levqor_jobs_oldest_ready_seconds How long the longest of the jobs has waited that are the first of their lines.
		# TYPE levqor_jobs_oldest_ready_seconds gauge
		levqor_jobs_oldest_ready_seconds 1.5
		# HELP levqor_jobs_oldest_transaction_seconds Age of the oldest open transaction of the database.
		# TYPE levqor_jobs_oldest_transaction_seconds gauge
		levqor_jobs_oldest_transaction_seconds 3600
		# HELP levqor_jobs_scrape_errors_total Scrapes that lack figures because the store did not answer in time.
		# TYPE levqor_jobs_scrape_errors_total counter
		levqor_jobs_scrape_errors_total{of="counts"} 0
		levqor_jobs_scrape_errors_total{of="health"} 0
	`
	names := []string{"levqor_jobs"}
	for _, name := range []string{"counted_timestamp", "due_lag", "lease_lag", "oldest_ready", "oldest_transaction"} {
		names = append(names, "levqor_jobs_"+name+"_seconds")
	}
	names = append(names, "levqor_jobs_nodes", "levqor_jobs_scrape_errors_total")
	collector := prometheusjobs.NewCollector(store, nil)
	if err := testutil.CollectAndCompare(collector, strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(collector, "levqor_jobs_clock_skew_seconds"); n != 1 {
		t.Errorf("the clock skew has %d series", n)
	}
	for _, c := range []prometheus.Collector{collector, prometheusjobs.NewMetrics(nil)} {
		if problems, err := testutil.CollectAndLint(c); err != nil || len(problems) > 0 {
			t.Errorf("the names are not Prometheus's: %v, %v", problems, err)
		}
	}
}

// away is a store that does not answer.
type away struct{ prometheusjobs.Store }

func (away) CountsOfAll(ctx context.Context, _ time.Time) (jobs.Counts, error) {
	<-ctx.Done()
	return jobs.Counts{}, ctx.Err()
}

func (away) Health(ctx context.Context, _ time.Time) (jobs.Health, time.Time, error) {
	<-ctx.Done()
	return jobs.Health{}, time.Time{}, ctx.Err()
}

func TestAScrapeEndsWhereTheStoreDoesNotAnswer(t *testing.T) {
	collector := prometheusjobs.NewCollector(away{}, &prometheusjobs.Options{Timeout: 10 * time.Millisecond})
	text := scrape(t, collector)
	if strings.Contains(text, "levqor_jobs_nodes") || strings.Contains(text, "levqor_jobs{") {
		t.Errorf("the scrape gives figures that nobody knows:\n%s", text)
	}
	for _, of := range []string{"counts", "health"} {
		if want := fmt.Sprintf("levqor_jobs_scrape_errors_total{of=%q} 1\n", of); !strings.Contains(text, want) {
			t.Errorf("the scrape lacks %s:\n%s", want, text)
		}
	}
}

func TestQueuesPastTheMostAreSummedUp(t *testing.T) {
	store := fixed{counts: jobs.Counts{Queues: map[string]jobs.StateCounts{}}}
	for i := range 10 {
		store.counts.Queues[fmt.Sprint("q", i)] = jobs.StateCounts{jobs.Ready: i}
	}
	text := scrape(t, prometheusjobs.NewCollector(store, &prometheusjobs.Options{MaxQueues: 2}))
	for _, want := range []string{`{queue="q9",state="ready"} 9`, `{queue="q8",state="ready"} 8`, `{queue="(others)",state="ready"} 28`} {
		if !strings.Contains(text, "levqor_jobs"+want+"\n") {
			t.Errorf("the scrape lacks %s:\n%s", want, text)
		}
	}
	if strings.Contains(text, `"q7"`) {
		t.Errorf("a queue past the most has series of its own:\n%s", text)
	}
}

type call struct {
	Way string `json:"way"`
}

func (call) Kind() string { return "call" }

// A real handler gives what a worker has done and what the store holds.
func TestAScrapeTellsWhatWasDone(t *testing.T) {
	metrics := prometheusjobs.NewMetrics(&prometheusjobs.MetricsOptions{Buckets: []float64{60}})
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Intake: []jobs.IntakeHook{metrics.Intake}, Execution: []jobs.ExecutionHook{metrics.Execution}})
	err := jobs.Handle(registry, func(ctx context.Context, job *jobs.Job[call]) (any, error) {
		switch job.Args.Way {
		case "fail":
			return nil, jobs.Permanent(errors.New("boom"))
		case "panic":
			panic("boom")
		case "snooze":
			return nil, jobs.Snooze(time.Hour)
		case "hang":
			<-ctx.Done()
			return nil, ctx.Err()
		}
		return nil, nil
	}, &jobs.KindOptions{MaxAttempts: 1, Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	store := jobs.NewMemStore()
	queue := jobs.New(store, registry, nil)
	for _, way := range []string{"work", "fail", "panic", "snooze", "hang"} {
		if _, err := queue.Enqueue(t.Context(), call{way}, nil); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := queue.Enqueue(t.Context(), call{"twice"}, &jobs.EnqueueOptions{Delay: time.Hour, Unique: &jobs.Unique{}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := queue.EnqueueJSON(t.Context(), "made up", []byte(`{}`), nil); err == nil {
		t.Fatal("a kind that nobody knows was taken in")
	}
	stop := jobstest.Work(t, store, registry)
	jobstest.Settle(t, queue)
	stop()
	text := scrape(t, metrics, prometheusjobs.NewCollector(store, nil))
	for _, want := range []string{
		`levqor_jobs_enqueued_total{kind="call"} 6`,
		`levqor_jobs_duplicates_total{kind="call"} 1`,
		`levqor_jobs_attempts_started_total{kind="call",queue="default"} 5`,
		`levqor_jobs_attempts_finished_total{kind="call",outcome="completed",queue="default"} 1`,
		`levqor_jobs_attempts_finished_total{kind="call",outcome="failed",queue="default"} 2`,
		`levqor_jobs_attempts_finished_total{kind="call",outcome="snoozed",queue="default"} 1`,
		`levqor_jobs_attempts_finished_total{kind="call",outcome="interrupted",queue="default"} 1`,
		`levqor_jobs_attempt_duration_seconds_bucket{kind="call",queue="default",le="60"} 5`,
		`levqor_jobs_attempt_duration_seconds_count{kind="call",queue="default"} 5`,
		`levqor_jobs_wait_seconds_count{kind="call",queue="default"} 5`,
		`levqor_jobs{queue="default",state="completed"} 1`,
		`levqor_jobs{queue="default",state="discarded"} 3`,
		`levqor_jobs{queue="default",state="scheduled"} 2`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("the scrape lacks %s", want)
		}
	}
	if t.Failed() || strings.Contains(text, "made up") {
		t.Errorf("the scrape is\n%s", text)
	}
}

// scrape asks a real handler.
func scrape(t *testing.T, collectors ...prometheus.Collector) string {
	t.Helper()
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(collectors...)
	server := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("the scrape gave %d, %v:\n%s", resp.StatusCode, err, text)
	}
	return string(text)
}
