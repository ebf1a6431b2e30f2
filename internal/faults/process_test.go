//go:build unix

package faults_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
)

// rig runs child processes on one database and keeps what they tell.
type rig struct {
	*testing.T
	url   string
	db    *database
	store *bunjobs.Store
	queue *jobs.Queue

	mu     sync.Mutex
	events map[string][]event // by word
	counts map[said]int
	log    []string // what the children wrote to standard error
}

// said is who said what.
type said struct {
	pid  int
	word string
}

// event is what a child told about a job.
type event struct {
	pid   int
	word  string
	at    time.Time
	id    jobs.ID
	epoch int64
	rest  string
}

// newRig migrates a database.
func newRig(t *testing.T, url string) *rig {
	t.Helper()
	db := dbtest.Open(t, url)
	if err := bunjobs.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	r := &rig{T: t, url: url, db: db, store: bunjobs.New(db), events: map[string][]event{}, counts: map[said]int{}}
	r.queue = jobs.New(r.store, jobs.NewRegistry(nil), nil)
	return r
}

// child is a process with a task.
type child struct {
	*rig
	cmd   *exec.Cmd
	pid   int
	ended chan struct{}
	err   error // how it ended
}

// start begins a task; what is left of it ends with the test.
func (r *rig) start(t task) *child {
	r.Helper()
	t.URL = cmp.Or(t.URL, r.url)
	t.Places, t.Drain = cmp.Or(t.Places, 8), cmp.Or(t.Drain, 10*time.Second)
	raw, err := json.Marshal(t)
	if err != nil {
		r.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		r.Fatal(err)
	}
	c := &child{rig: r, cmd: exec.Command(program), ended: make(chan struct{})}
	c.cmd.Env = append(os.Environ(), taskVariable+"="+string(raw))
	if _, err := c.cmd.StdinPipe(); err != nil { // open as long as this process lives
		r.Fatal(err)
	}
	stdout, err1 := c.cmd.StdoutPipe()
	stderr, err2 := c.cmd.StderrPipe()
	if err1 != nil || err2 != nil {
		r.Fatal(err1, err2)
	}
	if err := c.cmd.Start(); err != nil {
		r.Fatal(err)
	}
	c.pid = c.cmd.Process.Pid
	r.Cleanup(c.kill)
	go c.read(stdout, stderr)
	return c
}

// read keeps what the child tells, and waits for its end.
func (c *child) read(stdout, stderr io.Reader) {
	var both sync.WaitGroup
	both.Go(func() {
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			c.hear(lines.Text())
		}
	})
	both.Go(func() {
		for lines := bufio.NewScanner(stderr); lines.Scan(); {
			c.mu.Lock()
			c.log = append(c.log, fmt.Sprint(c.pid, " ", lines.Text()))
			c.mu.Unlock()
		}
	})
	both.Wait()
	c.err = c.cmd.Wait()
	close(c.ended)
}

func (c *child) hear(text string) {
	e := event{pid: c.pid}
	var at int64
	parts := strings.SplitN(text, " ", 5)
	if len(parts) < 5 {
		return // the end of a child that was killed
	}
	if _, err := fmt.Sscan(strings.Join(parts[:4], " "), &e.word, &at, &e.id, &e.epoch); err != nil {
		return
	}
	e.at, e.rest = time.Unix(0, at), parts[4]
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events[e.word] = append(c.events[e.word], e)
	c.counts[said{c.pid, e.word}]++
}

// kill ends the child as a machine that dies would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	<-c.ended
}

// signal sends a signal as soon as the child takes any: until then SIGTERM would kill it.
func (c *child) signal(s syscall.Signal) {
	c.Helper()
	c.await(patience, "the child takes signals", func() bool { return c.told("awake") > 0 || c.over() })
	if err := c.cmd.Process.Signal(s); err != nil {
		c.Fatal(err)
	}
}

// over reports whether the child has ended.
func (c *child) over() bool {
	select {
	case <-c.ended:
		return true
	default:
		return false
	}
}

// stop asks the child to end and waits until it has.
func (c *child) stop(limit time.Duration) {
	c.Helper()
	c.signal(syscall.SIGTERM)
	select {
	case <-c.ended:
	case <-time.After(limit):
		c.fatal("the child goes on %v after SIGTERM", limit)
	}
	if c.err != nil {
		c.fatal("the child ended with %v", c.err)
	}
}

// told returns how often the child said a word.
func (c *child) told(word string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[said{c.pid, word}]
}

// all returns what the children said with a word, in the order in which it was heard.
func (r *rig) all(word string) []event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clip(r.events[word])
}

// await waits until something is so.
func (r *rig) await(limit time.Duration, what string, so func() bool) {
	r.Helper()
	for deadline := time.Now().Add(limit); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.fatal("not within %v: %s", limit, what)
		}
	}
}

func (r *rig) fatal(format string, args ...any) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Fatalf(format+"\n%s", append(args, strings.Join(r.log[max(0, len(r.log)-20):], "\n"))...)
}
