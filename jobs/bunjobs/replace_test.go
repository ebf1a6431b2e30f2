package bunjobs_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// pause stops a database after its first insertion.
type pause struct{ reached, goOn chan struct{} }

func (*pause) BeforeQuery(ctx context.Context, _ *bun.QueryEvent) context.Context { return ctx }

func (p *pause) AfterQuery(_ context.Context, e *bun.QueryEvent) {
	select {
	case <-p.reached:
	default:
		if strings.HasPrefix(e.Query, "INSERT") {
			close(p.reached)
			<-p.goOn
		}
	}
}

// Two know the same settings. The second looks at them while the transaction of the first is
// open, waits for its end, and learns that it came too late. SQLite has one writer.
func TestWhoeverReplacesSettingsWaitsForWhoCameFirst(t *testing.T) {
	r := newRig(t, dbtest.Postgres(t))
	known := jobs.QueueSettings{Queue: "q", MaxRunning: 1}
	if err := r.store.PutQueue(t.Context(), known); err != nil {
		t.Fatal(err)
	}
	p, late := &pause{make(chan struct{}), make(chan struct{})}, make(chan error, 1)
	second := bunjobs.New(r.db.WithQueryHook(p))
	go func() {
		late <- second.ReplaceQueue(t.Context(), known, jobs.QueueSettings{Queue: "q", MaxRunning: 3})
	}()
	select {
	case <-p.reached:
	case err := <-late:
		t.Fatalf("ReplaceQueue ended before it looked: %v", err)
	}
	err := bundb.InTx(t.Context(), r.db, func(ctx context.Context, tx bun.Tx) error {
		err := bunjobs.New(tx).ReplaceQueue(ctx, known, jobs.QueueSettings{Queue: "q", MaxRunning: 2})
		close(p.goOn)
		time.Sleep(200 * time.Millisecond) // the second comes as far as it can
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-late; !errors.Is(err, jobs.ErrConflict) {
		t.Errorf("ReplaceQueue of who came second = %v, want ErrConflict", err)
	}
	if got, err := r.store.GetQueue(t.Context(), "q"); err != nil || got.MaxRunning != 2 {
		t.Errorf("GetQueue = %+v, %v; want what the first put", got, err)
	}
}
