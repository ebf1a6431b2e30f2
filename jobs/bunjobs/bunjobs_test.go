package bunjobs_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

// open returns a migrated database.
func open(tb testing.TB, url string) *bun.DB {
	tb.Helper()
	db := dbtest.Open(tb, url)
	if err := bunjobs.Migrate(tb.Context(), db); err != nil {
		tb.Fatalf("Migrate: %v", err)
	}
	return db
}

func TestStore(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) {
		jobstest.TestStore(t, func(t *testing.T) jobs.Store { return bunjobs.New(open(t, dbtest.SQLite(t))) })
	})
	t.Run("PostgreSQL", func(t *testing.T) {
		jobstest.TestStore(t, func(t *testing.T) jobs.Store {
			db := open(t, dbtest.Postgres(t))
			return transactor{bunjobs.New(db), db}
		})
	})
}

func TestScheduleStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestScheduleStore(t, func(t *testing.T) jobstest.ScheduleStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

func TestLimitStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestLimitStore(t, func(t *testing.T) jobstest.LimitStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

func TestHealthStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestHealthStore(t, func(t *testing.T) jobstest.HealthStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

func TestLogStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestLogStore(t, func(t *testing.T) jobstest.LogStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

func TestCountStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestCountStore(t, func(t *testing.T) jobstest.CountStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

func TestDeadLetterStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestDeadLetterStore(t, func(t *testing.T) jobstest.DeadLetterStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

func TestSealedStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestSealedStore(t, func(t *testing.T) jobstest.SealedStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

func TestHistoryStore(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		jobstest.TestHistoryStore(t, func(t *testing.T) jobstest.HistoryStore { return bunjobs.New(open(t, fresh(t))) })
	})
}

// An open transaction of anybody keeps dead rows alive.
func TestHealthTellsOfAnOldTransaction(t *testing.T) {
	db := open(t, dbtest.Postgres(t))
	tx, err := db.BeginTx(t.Context(), &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(t.Context(), "SELECT pg_sleep(0.05)"); err != nil {
		t.Fatal(err)
	}
	health, err := jobs.CheckHealth(t.Context(), bunjobs.New(db))
	if err != nil || health.OldestTransaction < 50*time.Millisecond || health.ClockSkew.Abs() > time.Minute {
		t.Errorf("CheckHealth = %+v, %v; want the transaction's age", health, err)
	}
}

// transactor is a store whose transactions run side by side.
type transactor struct {
	*bunjobs.Store
	db *bun.DB
}

func (s transactor) InTx(ctx context.Context, fn func(tx jobs.Store) error) error {
	return s.db.RunInTx(ctx, nil, func(_ context.Context, tx bun.Tx) error { return fn(bunjobs.New(tx)) })
}

type note struct {
	Text string `json:"text"`
}

func (note) Kind() string { return "note" }

// A job that was enqueued in the host's transaction shares its fate.
func TestAJobCommitsWithTheHostsRows(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := open(t, fresh(t))
		queue := jobs.New(bunjobs.New(db), jobs.NewRegistry(nil), nil)
		boom := errors.New("boom")
		for _, want := range []error{boom, nil} {
			var infos []jobs.Info
			err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) (err error) {
				infos, err = queue.With(bunjobs.New(tx)).EnqueueMany(ctx, []jobs.Entry{{Args: note{"a"}}, {Args: note{"b"}}})
				return errors.Join(err, want)
			})
			if !errors.Is(err, want) {
				t.Fatalf("RunInTx = %v, want %v", err, want)
			}
			for _, info := range infos {
				if _, err := queue.Get(t.Context(), info.ID); (err == nil) != (want == nil) {
					t.Errorf("Get after a transaction that returned %v = %v", want, err)
				}
			}
		}
	})
}

// A collision of IDs within the host's transaction must not spoil it.
func TestATakenIDLeavesTheHostsTransactionUsable(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := open(t, fresh(t))
		job := jobs.Insertion{Info: &jobs.Info{ID: 1, Kind: "k", Queue: "q", Priority: 5, MaxAttempts: 1, Args: []byte(`{}`)}}
		info := *job.Info
		info.ID = 2
		other := jobs.Insertion{Info: &info}
		err := db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			store := bunjobs.New(tx)
			for i, want := range []int{0, 1} {
				taken, err := store.Insert(ctx, []jobs.Insertion{job}, time.Time{})
				if err != nil || len(taken) != want {
					t.Errorf("insertion %d = %v, %v", i, taken, err)
				}
			}
			if taken, err := store.Insert(ctx, []jobs.Insertion{other, job}, time.Time{}); err != nil || len(taken) == 0 {
				t.Errorf("Insert = %v, %v; want the taken ID", taken, err)
			}
			_, err := store.Insert(ctx, []jobs.Insertion{other}, time.Time{})
			return err
		})
		if err != nil {
			t.Errorf("RunInTx = %v", err)
		}
	})
}

func TestMigrationsAreThereForBothDatabases(t *testing.T) {
	for _, dir := range []string{"postgres", "sqlite"} {
		files, err := fs.Glob(bunjobs.Migrations(), dir+"/*.tx.up.sql")
		if err != nil || len(files) == 0 {
			t.Errorf("%s has %d migrations, %v", dir, len(files), err)
		}
	}
}

func TestADatabaseThatIsGoneIsUnavailable(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := open(t, fresh(t))
		if err := bunjobs.Check(t.Context(), db); err != nil {
			t.Errorf("Check = %v", err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if err := bunjobs.Check(t.Context(), db); !errors.Is(err, jobs.ErrUnavailable) {
			t.Errorf("Check = %v, want ErrUnavailable", err)
		}
	})
}

func TestAnInsertionOfManyStatementsIsAllOrNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		store := bunjobs.New(open(t, fresh(t)))
		batch := make([]jobs.Insertion, 6001) // three statements
		for i := range batch {
			batch[i] = jobs.Insertion{Info: &jobs.Info{ID: jobs.ID(i + 1), Tenant: "a", Kind: "k", Queue: "q", Args: []byte("{}"), MaxAttempts: 1}}
		}
		newest := func(want jobs.ID) {
			t.Helper()
			all, err := store.List(t.Context(), jobs.ListQuery{Tenant: "a", Limit: 1})
			if err != nil || len(all) != 1 || all[0].ID != want {
				t.Errorf("the newest job is %v, %v; want %s", all, err, want)
			}
		}
		if taken, err := store.Insert(t.Context(), batch[6000:], time.Time{}); err != nil || len(taken) > 0 {
			t.Fatalf("Insert = %v, %v", taken, err)
		}
		if taken, err := store.Insert(t.Context(), batch, time.Time{}); err != nil || len(taken) != 1 || taken[0] != 6000 {
			t.Errorf("Insert = %v, %v; want the last ID taken", taken, err)
		}
		if _, err := store.Get(t.Context(), "a", 1); !errors.Is(err, jobs.ErrNotFound) {
			t.Errorf("Get = %v, want nothing stored by the first statement", err)
		}
		batch[6000].ID = 7000
		if taken, err := store.Insert(t.Context(), batch, time.Time{}); err != nil || len(taken) > 0 {
			t.Errorf("Insert = %v, %v", taken, err)
		}
		newest(7000)
	})
}
