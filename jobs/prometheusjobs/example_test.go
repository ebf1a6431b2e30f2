package prometheusjobs_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/prometheusjobs"
)

// The metrics of all tenants are the operator's: serve them on a listener of their own.
func ExampleNewCollector() {
	metrics := prometheusjobs.NewMetrics(nil)
	registry := jobs.NewRegistry(&jobs.RegistryOptions{
		Intake:    []jobs.IntakeHook{metrics.Intake},
		Execution: []jobs.ExecutionHook{metrics.Execution},
	})
	store := jobs.NewMemStore() // bunjobs.New(db) in a program that must not forget
	queue := jobs.New(store, registry, nil)

	scraped := prometheus.NewRegistry()
	scraped.MustRegister(metrics, prometheusjobs.NewCollector(store, nil))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(scraped, promhttp.HandlerOpts{}))

	err := jobs.Handle(registry, func(context.Context, *jobs.Job[call]) (any, error) { return nil, nil }, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := queue.Enqueue(context.Background(), call{}, nil); err != nil {
		fmt.Println(err)
		return
	}
	rec := httptest.NewRecorder()
	mux.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(rec.Body.String()) {
		if strings.HasPrefix(line, "levqor_jobs_enqueued") || strings.Contains(line, `state="ready"`) {
			fmt.Print(line)
		}
	}
	// Output:
	// levqor_jobs{queue="default",state="ready"} 1
	// levqor_jobs_enqueued_total{kind="call"} 1
}
