package jobs_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/jobstest"
)

func TestMemStore(t *testing.T) {
	jobstest.TestStore(t, func(*testing.T) jobs.Store { return jobs.NewMemStore() })
}

func TestMemScheduleStore(t *testing.T) {
	jobstest.TestScheduleStore(t, func(*testing.T) jobstest.ScheduleStore { return jobs.NewMemStore() })
}

func TestMemLimitStore(t *testing.T) {
	jobstest.TestLimitStore(t, func(*testing.T) jobstest.LimitStore { return jobs.NewMemStore() })
}

func TestMemHealthStore(t *testing.T) {
	jobstest.TestHealthStore(t, func(*testing.T) jobstest.HealthStore { return jobs.NewMemStore() })
}

func TestMemLogStore(t *testing.T) {
	jobstest.TestLogStore(t, func(*testing.T) jobstest.LogStore { return jobs.NewMemStore() })
}

func TestMemCountStore(t *testing.T) {
	jobstest.TestCountStore(t, func(*testing.T) jobstest.CountStore { return jobs.NewMemStore() })
}

func TestMemDeadLetterStore(t *testing.T) {
	jobstest.TestDeadLetterStore(t, func(*testing.T) jobstest.DeadLetterStore { return jobs.NewMemStore() })
}

func TestMemSealedStore(t *testing.T) {
	jobstest.TestSealedStore(t, func(*testing.T) jobstest.SealedStore { return jobs.NewMemStore() })
}

func TestMemHistoryStore(t *testing.T) {
	jobstest.TestHistoryStore(t, func(*testing.T) jobstest.HistoryStore { return jobs.NewMemStore() })
}

func TestMemStoreAtomically(t *testing.T) {
	boom := errors.New("boom")
	store := jobs.NewMemStore()
	insert := func(s jobs.Store, id jobs.ID) {
		t.Helper()
		taken, err := s.Insert(t.Context(), []jobs.Insertion{{Info: &jobs.Info{ID: id, Kind: "k", Queue: "q"}}}, time.Time{})
		if err != nil || len(taken) > 0 {
			t.Fatalf("Insert = %v, %v", taken, err)
		}
	}
	insert(store, 1)
	err := store.Atomically(func(tx *jobs.MemStore) error {
		insert(tx, 2)
		if _, err := tx.Cancel(t.Context(), "", 1, time.Time{}); err != nil {
			t.Fatal(err)
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Atomically = %v, want what fn returned", err)
	}
	if _, err := store.Get(t.Context(), "", 2); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound: the insertion was undone", err)
	}
	if info, err := store.Get(t.Context(), "", 1); err != nil || info.State != jobs.Ready {
		t.Errorf("Get = %s, %v; want ready: the cancellation was undone", info.State, err)
	}
	if err := store.Atomically(func(tx *jobs.MemStore) error { insert(tx, 3); return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), "", 3); err != nil {
		t.Errorf("Get = %v, want the job of the transaction that was kept", err)
	}
}

func TestMemStoreAtomicallyWithinItself(t *testing.T) {
	boom := errors.New("boom")
	store := jobs.NewMemStore()
	insert := func(s jobs.Store, id jobs.ID) {
		t.Helper()
		taken, err := s.Insert(t.Context(), []jobs.Insertion{{Info: &jobs.Info{ID: id, Kind: "k", Queue: "q"}}}, time.Time{})
		if err != nil || len(taken) > 0 {
			t.Fatalf("Insert = %v, %v", taken, err)
		}
	}
	stored := func() (ids []jobs.ID) {
		all, err := store.List(t.Context(), jobs.ListQuery{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		for _, info := range all {
			ids = append(ids, info.ID)
		}
		return ids
	}
	for _, outer := range []error{boom, nil} {
		err := store.Atomically(func(tx *jobs.MemStore) error {
			insert(tx, 1)
			if err := tx.Atomically(func(tx *jobs.MemStore) error { insert(tx, 2); return boom }); !errors.Is(err, boom) {
				t.Errorf("the inner Atomically = %v, want what fn returned", err)
			}
			if err := tx.Atomically(func(tx *jobs.MemStore) error { insert(tx, 3); return nil }); err != nil {
				t.Errorf("the inner Atomically = %v", err)
			}
			return outer
		})
		if !errors.Is(err, outer) {
			t.Errorf("Atomically = %v, want %v", err, outer)
		}
		if got := stored(); outer != nil && len(got) > 0 {
			t.Errorf("%v is stored, want nothing: the outer transaction failed", got)
		}
	}
	if got := stored(); !slices.Equal(got, []jobs.ID{3, 1}) {
		t.Errorf("%v is stored, want 3 and 1: the first inner transaction failed", got)
	}
}

func TestMemStoreAtomicallyUndoesAPanic(t *testing.T) {
	store := jobs.NewMemStore()
	func() {
		defer func() { _ = recover() }()
		_ = store.Atomically(func(tx *jobs.MemStore) error {
			_, err := tx.Insert(t.Context(), []jobs.Insertion{{Info: &jobs.Info{ID: 1}}}, time.Time{})
			panic(err)
		})
	}()
	if _, err := store.Get(t.Context(), "", 1); !errors.Is(err, jobs.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound and the lock released", err)
	}
}
