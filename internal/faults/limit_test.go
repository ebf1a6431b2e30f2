//go:build unix

package faults_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
)

// Four processes make 2,000 calls at the same time, 500 each, under a limit of 100 an hour:
// exactly 100 pass. Then one process is killed amid its calls, as often as is asked for, and
// what passed anywhere is never more than the limit.
//
// The sample is 2 kills; LEVQOR_FAULTS is how many.
func TestALimitIsExactAcrossProcesses(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		parallel(t)
		r := newRig(t, fresh(t))
		if err := bunlevqor.Migrate(t.Context(), r.db); err != nil {
			t.Fatal(err)
		}
		r.takes(0)
		if passed, refused := len(r.all("passed")), len(r.all("refused")); passed != hourly.Limit || passed+refused != 2000 {
			r.fatal("%d calls passed and %d were refused, want %d of 2000", passed, refused, hourly.Limit)
		}
		for round := 1; round <= size(t, 2); round++ {
			before := len(r.all("passed"))
			r.takes(round)
			if passed := len(r.all("passed")) - before; passed > hourly.Limit || passed == 0 {
				r.fatal("%d calls passed beside a process that was killed, want at most %d", passed, hourly.Limit)
			}
		}
	})
}

// hourly gives nothing back while the test runs.
var hourly = guard.Policy{Name: "hourly", Limit: 100, Window: time.Hour}

// takes lets four processes make their calls for one key, of which one is killed in all
// rounds but the first.
func (r *rig) takes(round int) {
	r.Helper()
	gate := filepath.Join(r.TempDir(), "gate")
	children := make([]*child, 4)
	for i := range children {
		children[i] = r.start(task{Role: "take", Calls: 500, Gate: gate, Job: step{Name: fmt.Sprint("round ", round)}})
	}
	for _, c := range children {
		r.await(patience, "the process is ready", func() bool { return c.told("begun") > 0 })
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		r.Fatal(err)
	}
	if round > 0 {
		victim := children[0]
		r.await(patience, "the process makes calls", func() bool { return victim.told("passed")+victim.told("refused") > 0 })
		victim.kill()
		children = children[1:]
	}
	for _, c := range children {
		r.await(patience, "the process has made its calls", func() bool { return c.told("passed")+c.told("refused") == 500 })
		c.stop(patience)
	}
}

// take makes calls under the limit, all at the same time, and tells what came of each.
func take(ctx context.Context, t task, db *database) error {
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("s"), levqor.MinSecret))
	if err != nil {
		return err
	}
	store := bunlevqor.Stores(db).Rates
	shared := guard.NewLimiter(store, ring, nil)
	say("begun", 0, 0, "")
	for !exists(t.Gate) {
		time.Sleep(time.Millisecond)
	}
	var calls sync.WaitGroup
	for i := range t.Calls {
		calls.Go(func() {
			limiter := shared
			if i%2 == 0 { // remembers nothing, so the store decides
				limiter = guard.NewLimiter(store, ring, nil)
			}
			_, err := limiter.Take(ctx, guard.Charge{Policy: hourly, Key: t.Job.Name})
			switch {
			case err == nil:
				say("passed", 0, 0, "")
			case errors.Is(err, guard.ErrRateLimited):
				say("refused", 0, 0, "")
			default:
				fmt.Fprintln(os.Stderr, "take:", err, fault.Cause(err))
			}
		})
	}
	calls.Wait()
	<-ctx.Done()
	return nil
}
