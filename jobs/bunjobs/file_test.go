package bunjobs_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
)

// Sixty-four goroutines use one SQLite file in every way while a worker runs. None of them
// is told that the file is busy.
func TestManyGoroutinesShareOneFile(t *testing.T) {
	const callers, rounds = 64, 20
	r := newRig(t, dbtest.SQLite(t))
	r.handle(func(context.Context, *jobs.Job[note]) (string, error) { return "ok", nil }, nil)
	var log journal
	stop := r.work(r.store, &jobs.WorkerOptions{Logger: log.logger()})
	var stored atomic.Int32
	atOnce(callers, func(caller int) {
		for range rounds {
			info, err := r.queue.Enqueue(r.Context(), note{"x"}, nil)
			if err == nil {
				stored.Add(1)
				switch caller % 4 {
				case 0:
					_, err = r.queue.Get(r.Context(), info.ID)
				case 1:
					_, err = r.queue.List(r.Context(), jobs.ListQuery{Limit: 10})
				case 2:
					_, err = r.queue.Cancel(r.Context(), info.ID)
				case 3:
					_, err = r.queue.EnqueueMany(r.Context(), []jobs.Entry{{Args: note{"y"}}, {Args: note{"z"}}})
					stored.Add(2)
				}
			}
			if err != nil && !errors.Is(err, jobs.ErrConflict) {
				r.Errorf("a call = %v", err)
			}
		}
	})
	r.await("all jobs end", 20*time.Second, func() bool { return r.count(jobs.Completed, jobs.Cancelled) == int(stored.Load()) })
	stop()
	if text := log.String(); strings.Contains(text, "level=ERROR") {
		r.Errorf("the worker logged %s", text)
	}
}

// childFile is the variable that makes a run of this test a worker process on the file
// that it names.
const childFile = "LEVQOR_TEST_CHILD_FILE"

// Two processes enqueue into one SQLite file and work it off. Each job runs once, and
// neither process is told that the file is busy.
func TestTwoProcessesShareOneFile(t *testing.T) {
	const each = 300
	url := os.Getenv(childFile)
	child := url != ""
	if !child {
		url = dbtest.SQLite(t)
	}
	r := newRig(t, url)
	r.handle(func(context.Context, *jobs.Job[note]) (string, error) { return fmt.Sprint(child), nil }, nil)
	var other *exec.Cmd
	var output bytes.Buffer
	if !child {
		other = exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestTwoProcessesShareOneFile$")
		other.Env = append(os.Environ(), childFile+"="+url)
		other.Stdout, other.Stderr = &output, &output
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
	}
	var log journal
	stop := r.work(r.store, &jobs.WorkerOptions{Queues: map[string]int{"default": 5}, Poll: 10 * time.Millisecond, Logger: log.logger()})
	for range each {
		r.enqueue(1, nil)
	}
	r.await("both have enqueued and all jobs are completed", 30*time.Second, func() bool { return r.count(jobs.Completed) == 2*each })
	stop()
	if text := log.String(); text != "" {
		t.Errorf("the worker logged %s", text)
	}
	if child {
		return
	}
	if err := other.Wait(); err != nil {
		t.Errorf("the other process: %v\n%s", err, &output)
	}
	var attempts, mine int
	err := r.db.NewRaw("SELECT sum(epoch), sum(result = '\"false\"') FROM levqor_jobs_done").Scan(t.Context(), &attempts, &mine)
	if err != nil || attempts != 2*each {
		t.Errorf("%d jobs had %d attempts, %v", 2*each, attempts, err)
	}
	t.Logf("this process ran %d of %d jobs", mine, 2*each)
}

// The disk is full: calls say so, nothing breaks, and work goes on when there is room.
func TestAFullDiskBreaksNothing(t *testing.T) {
	r := newRig(t, dbtest.SQLite(t))
	r.fillUp(func(full bool) {
		var pages int
		if err := r.db.NewRaw("PRAGMA page_count").Scan(t.Context(), &pages); err != nil {
			t.Fatal(err)
		}
		if !full {
			pages *= 100
		} else {
			pages += 30
		}
		r.exec(fmt.Sprintf("PRAGMA max_page_count = %d", pages))
	})
}

// fillUp runs jobs while the disk fills up and then has room again.
func (r *rig) fillUp(limit func(full bool)) {
	release := make(chan struct{})
	r.handle(func(_ context.Context, job *jobs.Job[note]) (string, error) {
		<-release
		return strings.Repeat("x", 20_000), nil // needs room
	}, nil)
	first := r.enqueue(20, nil)
	var log journal
	stop := r.work(r.store, &jobs.WorkerOptions{Poll: 10 * time.Millisecond, Logger: log.logger()})
	r.await("the jobs run", 10*time.Second, func() bool { return r.count(jobs.Running) == len(first) })
	limit(true)
	stored := 0
	for { // until nothing fits any more
		_, err := r.queue.Enqueue(r.Context(), note{strings.Repeat("y", 5000)}, nil)
		if err != nil {
			if !errors.Is(err, jobs.ErrUnavailable) || !strings.HasSuffix(err.Error(), jobs.ErrUnavailable.Error()) {
				r.Fatalf("Enqueue on a full disk = %v, want ErrUnavailable and no more", err)
			}
			break
		}
		if stored++; stored > 10_000 {
			r.Fatal("the disk is never full")
		}
	}
	close(release)
	r.await("the results do not fit", 10*time.Second, func() bool { return strings.Contains(log.String(), "op=settle") })
	if _, err := r.queue.Get(r.Context(), first[0]); err != nil {
		r.Errorf("Get on a full disk = %v", err)
	}
	limit(false)
	all := len(first) + stored
	r.await("all jobs are completed", 30*time.Second, func() bool { return r.count(jobs.Completed) == all })
	stop()
	r.checkIntegrity()
	r.Logf("%d jobs were stored before the disk was full, all %d are completed", stored, all)
}

func (r *rig) checkIntegrity() {
	r.Helper()
	var verdict string
	if err := r.db.NewRaw("PRAGMA integrity_check").Scan(r.Context(), &verdict); err != nil || verdict != "ok" {
		r.Errorf("integrity_check = %q, %v", verdict, err)
	}
}

// The power goes: of the write-ahead log only a part has reached the disk, and what comes
// behind it is torn. The file opens, is whole, and lacks the last commits alone.
func TestAPowerCutLosesTheLastCommitsAlone(t *testing.T) {
	const commits, cuts = 60, 60
	r := newRig(t, dbtest.SQLite(t))
	path := strings.TrimPrefix(r.url, "sqlite://")
	r.exec("PRAGMA wal_autocheckpoint = 0")
	var ids []jobs.ID
	sizes := make([]int, commits) // of the log after each commit
	for i := range commits {
		ids = append(ids, r.enqueue(1, nil)[0])
		sizes[i] = len(read(t, path+"-wal"))
	}
	file, log := read(t, path), read(t, path+"-wal")
	for range cuts {
		cut := mathrand.N(len(log) + 1)
		after := openTorn(t, file, log[:cut])
		after.checkIntegrity()
		kept := 0
		for kept < commits && sizes[kept] <= cut {
			kept++
		}
		all, err := after.queue.List(t.Context(), jobs.ListQuery{Limit: 1000})
		if err != nil || len(all) != kept {
			t.Errorf("%d of %d commits had reached the disk, and %d jobs are there, %v", kept, commits, len(all), err)
			continue
		}
		for i, info := range all {
			if info.ID != ids[kept-1-i] {
				t.Errorf("job %d of %d is missing", kept-i, kept)
			}
		}
		after.join(1)
		if got := after.claim(1, 1000); len(got) != kept {
			t.Errorf("Claim returned %d jobs, want %d", len(got), kept)
		}
	}
}

// openTorn opens a copy of a file whose log ends in the middle of a page.
func openTorn(t *testing.T, file, log []byte) *rig {
	t.Helper()
	path := filepath.Join(t.TempDir(), "torn.db")
	torn := make([]byte, mathrand.N(5000))
	_, _ = rand.Read(torn)
	if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(path+"-wal", append(bytes.Clone(log), torn...), 0o600)); err != nil {
		t.Fatal(err)
	}
	return newRig(t, "sqlite://"+path)
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
