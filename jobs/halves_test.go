package jobs_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"

	"github.com/levqor/sdk/jobs"
)

// moody are arguments whose check does what it is told.
type moody struct {
	Check func() error `json:"-"`
}

func (moody) Kind() string { return "moody" }

func (m moody) Validate() error {
	if m.Check == nil {
		return nil
	}
	return m.Check()
}

// Of a thousand jobs another goroutine checks one half, which must make no difference.
func TestBothHalvesOfALongBatchAreChecked(t *testing.T) {
	const n = 1000
	wrong := func() error { return errors.New("is wrong") }
	entries := func(checks map[int]func() error) []jobs.Entry {
		all := make([]jobs.Entry, n)
		for i := range all {
			all[i].Args = moody{checks[i]}
		}
		return all
	}
	enqueue := func(checks map[int]func() error) (err error) {
		store := jobs.NewMemStore()
		defer func() {
			found, listed := store.List(t.Context(), jobs.ListQuery{Limit: 1})
			if listed != nil || len(found) > 0 {
				t.Errorf("List = %v, %v; want nothing stored", found, listed)
			}
		}()
		_, err = jobs.New(store, jobs.NewRegistry(nil), nil).EnqueueMany(t.Context(), entries(checks))
		return err
	}

	err := enqueue(map[int]func() error{3: wrong, n - 2: wrong, 4: wrong})
	if err == nil {
		t.Fatal("wrong arguments were stored")
	}
	text := err.Error()
	first, second, third := strings.Index(text, "/3/args"), strings.Index(text, "/4/args"), strings.Index(text, "/998/args")
	if first < 0 || second < first || third < second {
		t.Errorf("EnqueueMany = %s, want the jobs 3, 4 and 998 named in their order", text)
	}

	for _, at := range []int{3, n - 2} {
		func() {
			defer func() {
				if p := recover(); p != "a panic" {
					t.Errorf("the check of job %d panics, and the caller recovers %v", at, p)
				}
			}()
			_ = enqueue(map[int]func() error{at: func() error { panic("a panic") }})
			t.Errorf("the panic of job %d was lost", at)
		}()
	}

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer func() { _ = recover() }()
		_ = enqueue(map[int]func() error{3: func() error { runtime.Goexit(); return nil }})
		t.Error("EnqueueMany returns though a check ended its goroutine")
	}()
	<-ended
}
