//go:build unix

package faults_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/bunopen"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

// taskVariable makes the test program a child that does a task.
const taskVariable = "LEVQOR_FAULTS_TASK"

func TestMain(m *testing.M) {
	if raw := os.Getenv(taskVariable); raw != "" {
		os.Exit(perform(raw))
	}
	os.Exit(m.Run())
}

// perform does a task until SIGTERM, and returns the exit code of the child. A child
// ends with its parent too, which then closes its standard input.
func perform(raw string) int {
	var t task
	if err := json.Unmarshal([]byte(raw), &t); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	say("awake", 0, 0, "")
	db, err := bunopen.Open(t.URL)
	if err == nil {
		defer db.Close()
		err = map[string]func(context.Context, task, *database) error{"work": work, "enqueue": enqueue, "schedule": schedule, "take": take, "serve": serve}[t.Role](ctx, t, db)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, t.Role, err, fault.Cause(err))
		return 1
	}
	return 0
}

// say tells the parent what happened to a job, as one line that is written whole.
func say(word string, id jobs.ID, epoch int64, rest string) {
	fmt.Fprint(os.Stdout, line(word, id, epoch, rest))
}

func line(word string, id jobs.ID, epoch int64, rest string) string {
	return fmt.Sprintf("%s %d %d %d %s\n", word, time.Now().UnixNano(), id, epoch, rest)
}

// full reports whether more than the sample is asked for.
func full() bool { return os.Getenv("LEVQOR_FAULTS") != "" }

// parallel lets samples, which spend their time waiting, run beside each other. Figures
// want the machine alone.
func parallel(t *testing.T) {
	t.Helper()
	if !full() {
		t.Parallel()
	}
}

// size returns how much of a test to run.
func size(t *testing.T, sample int) int {
	t.Helper()
	if !full() {
		return sample
	}
	n, err := strconv.Atoi(os.Getenv("LEVQOR_FAULTS"))
	if err != nil || n < 1 {
		t.Fatal("LEVQOR_FAULTS must be a number above 0")
	}
	return n
}

// seeded returns random numbers that are the same in each run.
func seeded() *rand.Rand { return rand.New(rand.NewPCG(7, 5)) }

func between(rnd *rand.Rand, low, high time.Duration) time.Duration {
	return low + time.Duration(rnd.Int64N(int64(high-low)))
}
