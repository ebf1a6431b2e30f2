package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// meter reads how much CPU this process, the PostgreSQL server and the whole machine
// have used.
type meter struct {
	postmaster string // the server's first process, empty if it is not on this machine
}

// usage is what was used up to an instant, or between two.
type usage struct {
	at                      time.Time
	wall                    time.Duration
	client, server, machine time.Duration
}

// newMeter returns a meter of the server that has the given backend.
func newMeter(backend int) meter {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", backend))
	if err != nil || !strings.HasPrefix(string(name), "postgres") {
		return meter{}
	}
	return meter{postmaster: stat(strconv.Itoa(backend)).parent}
}

func (m meter) read() usage {
	var self syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &self) // cannot fail
	return usage{
		at:      time.Now(),
		client:  time.Duration(self.Utime.Nano() + self.Stime.Nano()),
		server:  m.server(),
		machine: machine(),
	}
}

func (u usage) minus(v usage) usage {
	return usage{u.at, u.at.Sub(v.at), u.client - v.client, u.server - v.server, u.machine - v.machine}
}

// foreign returns how many cores others kept busy.
func (u usage) foreign() float64 {
	return max(0, u.machine-u.client-u.server).Seconds() / u.wall.Seconds()
}

// rate returns jobs/s.
func (u usage) rate(n int) figures { return figures{{"", float64(n) / u.wall.Seconds(), "jobs/s"}} }

// span does work, which returns how many jobs it was about, and tells what it used.
func (m meter) span(ctx context.Context, work work) (int, usage, error) {
	before := m.read()
	n, err := work(ctx)
	return n, m.read().minus(before), err
}

// cpu are the figures of what each of n jobs took.
func (m meter) cpu(n int, used usage) figures {
	cost := func(d time.Duration) float64 { return d.Seconds() * 1e6 / float64(max(n, 1)) }
	all := figures{{".cpu", cost(used.client + used.server), "µs/job"}}
	if m.postmaster == "" {
		return all
	}
	return append(all, figure{".cpu.client", cost(used.client), "µs/job"}, figure{".cpu.server", cost(used.server), "µs/job"})
}

// server returns the CPU time of the postmaster, its children, and those that it had.
func (m meter) server() time.Duration {
	if m.postmaster == "" {
		return 0
	}
	own := stat(m.postmaster)
	sum := own.used + own.children
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		if p := stat(filepath.Base(dir)); p.parent == m.postmaster {
			sum += p.used
		}
	}
	return sum
}

// process is what /proc says about a process.
type process struct {
	parent         string
	used, children time.Duration // children are those that have ended
}

// stat returns the zero process if there is none with that ID.
func stat(pid string) process {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return process{}
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:])) // the name before may hold spaces
	if len(f) < 15 {
		return process{}
	}
	return process{parent: f[1], used: ticks(f[11]) + ticks(f[12]), children: ticks(f[13]) + ticks(f[14])}
}

// machine returns the time that all cores together were not idle.
func machine() time.Duration {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(text), "\n")
	var sum time.Duration
	for i, field := range strings.Fields(line) {
		const idle, iowait, steal = 4, 5, 8 // behind them are parts of others
		if i > 0 && i != idle && i != iowait && i <= steal {
			sum += ticks(field)
		}
	}
	return sum
}

// ticks reads a time of /proc, which Linux gives in hundredths of a second.
func ticks(text string) time.Duration {
	n, _ := strconv.ParseInt(text, 10, 64) // the kernel wrote it
	return time.Duration(n) * 10 * time.Millisecond
}
