package bunjobs_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// counter counts the statements that hold a text.
type counter struct {
	text string
	n    atomic.Int32
}

func (c *counter) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (c *counter) AfterQuery(_ context.Context, event *bun.QueryEvent) {
	if strings.Contains(event.Query, c.text) {
		c.n.Add(1)
	}
}

// A claim notes what it starts of all lines in one statement, and each line's rate
// holds all the same.
func TestArrivalsOfAllLinesAreOneStatement(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := open(t, fresh(t))
		store := bunjobs.New(db)
		fillLines(t, store, 40, true)
		settings := jobs.QueueSettings{Queue: "q", Rate: jobs.Rate{Count: 25, Per: time.Minute}, RatePerKey: jobs.Rate{Count: 2, Per: time.Minute}}
		if err := store.PutQueue(t.Context(), settings); err != nil {
			t.Fatal(err)
		}
		if err := store.Join(t.Context(), jobs.Node{ID: 1}, time.Hour, noon); err != nil {
			t.Fatal(err)
		}
		claim := func(at time.Time, want int) {
			t.Helper()
			claimed, err := store.Claim(t.Context(), jobs.Claim{Node: 1, Queue: "q", Kinds: []string{"k"}, Limit: 100}, at)
			if err != nil || len(claimed) != want {
				t.Errorf("Claim after %v = %d jobs, %v; want %d", at.Sub(noon), len(claimed), err, want)
			}
		}
		stored := &counter{text: "INSERT INTO levqor_jobs_rate"}
		db = db.WithQueryHook(stored)
		store = bunjobs.New(db)
		claim(noon, 20) // two of each line
		if n := stored.n.Load(); n != 1 {
			t.Errorf("a claim of ten lines stored arrivals in %d statements, want 1", n)
		}
		claim(noon, 0)
		claim(noon.Add(30*time.Second), 10) // one of each line
		if n := stored.n.Load(); n != 2 {
			t.Errorf("three claims stored arrivals in %d statements, want 2: one of them started nothing", n)
		}
	})
}
