package sdk_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/jobs/cronjobs"
	"github.com/levqor/sdk/jobs/httpjobs"
	"github.com/levqor/sdk/jobs/pgxjobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/httpapi"
)

// The functions named readme… are the README's snippets, compiled. Lines that end
// in "// silent" are what the compiler wants and a reader does not.

type Resize struct{ Image string }

func (Resize) Kind() string { return "resize" }

type Size struct{ Width, Height int }

func resize(context.Context, string) (Size, error) { return Size{}, nil }

func readmeJobs(ctx context.Context, db *bun.DB) {
	registry := jobs.NewRegistry(nil)
	err := jobs.Handle(registry, func(ctx context.Context, job *jobs.Job[Resize]) (Size, error) {
		return resize(ctx, job.Args.Image)
	}, nil)

	err = bunjobs.Migrate(ctx, db) // your own *bun.DB
	store := bunjobs.New(db)
	queue := jobs.New(store, registry, nil)
	worker, err := jobs.NewWorker(store, registry, nil)
	go worker.Run(ctx)

	info, err := queue.Enqueue(ctx, Resize{Image: "a.png"}, nil)
	size, err := jobs.Await[Size](ctx, queue, info.ID)
	_, _ = size, err // silent
}

func readmeSchedules(ctx context.Context, store *bunjobs.Store, queue *jobs.Queue) {
	schedules := jobs.NewSchedules(store, queue, &jobs.SchedulesOptions{Parse: cronjobs.Parse})
	_, err := schedules.Put(ctx, "weekly", jobs.Plan{Spec: "30 9 * * MON", TimeZone: "Europe/Paris"}, Resize{Image: "a.png"})
	go schedules.Run(ctx)

	err = jobs.NewQueues(store).Put(ctx, jobs.QueueSettings{Queue: "default", MaxPerTenant: 20, Rate: jobs.Rate{Count: 100, Per: time.Second}})
	_ = err // silent
}

func readmeSignals(ctx context.Context) {
	signals, err := pgxjobs.Open("postgres://app@db.example.com/app", nil)
	registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: signals})
	go registry.SendSignals(ctx) // where no worker runs
	_ = err                      // silent
}

func readmeService(ctx context.Context, db *bun.DB, secret []byte, mux *http.ServeMux) {
	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: secret, Validator: httpapi.NewValidator()})
	err = httpjobs.Register(app.Registry, nil)
	handler, err := httpapi.New(app, nil)
	mux.Handle("/api/v1/", handler)
	go app.Run(ctx)
	_ = err // silent
}

func TestTheReadmesSnippetsAreThisCode(t *testing.T) {
	_, _, _, _ = readmeJobs, readmeSchedules, readmeSignals, readmeService
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "readme_test.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	snippets := 0
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || !strings.HasPrefix(f.Name.Name, "readme") {
			continue
		}
		snippets++
		body := source[fset.Position(f.Body.Lbrace).Offset+2 : fset.Position(f.Body.Rbrace).Offset]
		if !strings.Contains(string(readme), dedent(string(body))) {
			t.Errorf("the README lacks the body of %s:\n%s", f.Name.Name, dedent(string(body)))
		}
	}
	if snippets != 4 {
		t.Errorf("%d snippets were compared, want 4", snippets)
	}
}

// dedent takes one tab from each line and drops the silent ones.
func dedent(body string) string {
	var b strings.Builder
	for line := range strings.Lines(body) {
		if !strings.HasSuffix(line, "// silent\n") {
			b.WriteString(strings.TrimPrefix(line, "\t"))
		}
	}
	return b.String()
}
