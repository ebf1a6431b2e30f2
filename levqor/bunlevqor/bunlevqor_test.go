package bunlevqor_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/levqortest"
)

func TestStores(t *testing.T) {
	dbtest.EachMigrated(t, bunlevqor.Migrate, func(t *testing.T, fresh func(testing.TB) string) {
		levqortest.TestStores(t, func(t *testing.T) levqor.Stores { return bunlevqor.Stores(dbtest.Open(t, fresh(t))) })
	})
}

// Four nodes that start on an empty database at once, each with a pool of its
// own, as four processes have.
func TestMigrateIsSafeForManyAtOnce(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		var wg sync.WaitGroup
		for range 4 {
			db := dbtest.Open(t, url)
			wg.Go(func() {
				if err := bunlevqor.Migrate(t.Context(), db); err != nil {
					t.Errorf("Migrate = %v", err)
				}
				if err := bunlevqor.Stores(db).Check(t.Context()); err != nil {
					t.Errorf("Check = %v", err)
				}
			})
		}
		wg.Wait()
	})
}

func TestCheckTellsWhatIsMissing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := dbtest.Open(t, fresh(t))
		if err := bunlevqor.Stores(db).Check(t.Context()); !errors.Is(err, levqor.ErrUnavailable) {
			t.Errorf("Check of an empty database = %v, want ErrUnavailable", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := bunlevqor.Stores(db).Check(t.Context()); !errors.Is(err, levqor.ErrUnavailable) {
			t.Errorf("Check of a closed database = %v, want ErrUnavailable", err)
		}
	})
}

func TestOpenRefusesWhatItDoesNotKnow(t *testing.T) {
	for _, url := range []string{"", "levqor.db", "mysql://root:hunter2@db/x", "sqlite://", "sqlite://:memory:", "postgres://user:hunter2@[db/x"} {
		_, err := bunlevqor.Open(url)
		if !errors.Is(err, levqor.ErrInvalid) || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("Open(%q) = %v, want ErrInvalid that does not repeat the URL", url, err)
		}
	}
}

// The two directories of migrations must not drift apart.
func TestBothDatabasesHaveTheSameColumns(t *testing.T) {
	columns := func(url, query string) string {
		db := dbtest.Open(t, url)
		if err := bunlevqor.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		var all []string
		if err := db.NewRaw(query).Scan(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		slices.Sort(all)
		return strings.Join(all, "\n")
	}
	lite := columns(dbtest.SQLite(t), `
		SELECT m.name || '.' || c.name || CASE WHEN c."notnull" = 1 OR c.pk > 0 THEN ' NOT NULL' ELSE '' END
		FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name LIKE 'levqor%'`)
	pg := columns(dbtest.Postgres(t), `
		SELECT table_name || '.' || column_name || CASE WHEN is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END
		FROM information_schema.columns
		WHERE table_schema = current_schema() AND table_name <> 'levqor_jobs_done_default'`)
	if lite != pg {
		t.Errorf("SQLite has\n%s\n\nPostgreSQL has\n%s", lite, pg)
	}
}

func TestInTxWaitsForItsTurnOnSQLite(t *testing.T) {
	url := dbtest.SQLite(t)
	first, second := dbtest.Open(t, url), dbtest.Open(t, url)
	if err := bunlevqor.Migrate(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	inside, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- bunlevqor.Stores(first).InTx(t.Context(), func(context.Context, levqor.Stores) error {
			close(inside)
			time.Sleep(300 * time.Millisecond) // longer than a first look
			return nil
		})
	}()
	<-inside
	err := bunlevqor.Stores(second).InTx(t.Context(), func(context.Context, levqor.Stores) error { return nil })
	if err := errors.Join(err, <-done); err != nil {
		t.Errorf("InTx = %v, want the second process to wait", err)
	}
}

// Workers are told of a job when it can be seen, also if it was stored in a transaction
// within another.
func TestWorkersAreWokenAfterTheCommit(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := dbtest.Open(t, fresh(t))
		if err := bunlevqor.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		told := &teller{told: make(chan []string, 10)}
		registry := jobs.NewRegistry(&jobs.RegistryOptions{Signals: told})
		stores := bunlevqor.Stores(db)
		queue := jobs.New(stores.Jobs, registry, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- registry.SendSignals(ctx) }()
		boom := errors.New("boom")
		for _, want := range []error{boom, nil} {
			err := stores.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
				enqueue := func(ctx context.Context, tx levqor.Stores, name string) error {
					_, err := queue.With(tx.Jobs).Enqueue(ctx, note{}, &jobs.EnqueueOptions{Queue: name})
					return err
				}
				err := tx.InTx(ctx, func(ctx context.Context, inner levqor.Stores) error { return enqueue(ctx, inner, "inner") })
				if err := errors.Join(err, enqueue(ctx, tx, "outer")); err != nil {
					return err
				}
				if _, ok := tx.Jobs.(jobs.Committer); !ok {
					t.Error("the store does not know of its transaction")
				}
				return want
			})
			if !errors.Is(err, want) {
				t.Fatalf("InTx = %v, want %v", err, want)
			}
			if _, err := queue.Enqueue(t.Context(), note{}, &jobs.EnqueueOptions{Queue: "mark"}); err != nil {
				t.Fatal(err)
			}
			var all []string
			for !strings.Contains(strings.Join(all, ","), "mark") {
				all = append(all, <-told.told...)
			}
			if has := len(all) == 3; has != (want == nil) {
				t.Errorf("%q was told after a transaction that ended with %v", all, want)
			}
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("SendSignals = %v", err)
		}
	})
}

type note struct{}

func (note) Kind() string { return "note" }

// teller keeps what is sent.
type teller struct{ told chan []string }

func (t *teller) Send(_ context.Context, texts []string) error {
	t.told <- texts
	return nil
}

func (*teller) Listen(ctx context.Context, _ func(), _ func(string)) error {
	<-ctx.Done()
	return ctx.Err()
}
