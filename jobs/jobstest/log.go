package jobstest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/levqor/sdk/jobs"
)

// logEnv is what a case about logs works with.
type logEnv struct {
	env
	jobs.LogStore
}

type logCase struct {
	name string
	run  func(e *logEnv)
}

func (e *logEnv) log(info jobs.Info, text string, now time.Time) {
	e.Helper()
	if err := e.AppendLog(e.ctx, leaseOf(info), text, now); err != nil {
		e.Fatalf("AppendLog = %v", err)
	}
}

// lines returns a page of a log of tenant "a".
func (e *logEnv) lines(id jobs.ID, after, limit int) []jobs.LogLine {
	e.Helper()
	lines, err := e.ListLog(e.ctx, "a", id, after, limit)
	if err != nil {
		e.Fatalf("ListLog = %v", err)
	}
	return lines
}

var logCases = []logCase{
	{"lines come back in their order, page after page, with their attempt", func(e *logEnv) {
		first := e.claimed()
		e.log(first, "one 'quoted' ü", t0)
		e.log(first, "two", t0.Add(time.Second))
		if err := e.settle(jobs.Outcome{Lease: leaseOf(first), State: jobs.Retryable, Error: "boom"}, t0); err != nil {
			e.Fatal(err)
		}
		if _, err := e.Promote(e.ctx, 10, t0); err != nil {
			e.Fatal(err)
		}
		second := e.claim(1, 1, t0)[0]
		e.log(second, "three", t0)
		if err := e.settle(jobs.Outcome{Lease: leaseOf(second), State: jobs.Completed}, t0); err != nil {
			e.Fatal(err)
		}
		got := append(e.lines(first.ID, 0, 2), e.lines(first.ID, 2, 2)...)
		want := []jobs.LogLine{
			{Line: 1, Attempt: 1, At: t0, Text: "one 'quoted' ü"},
			{Line: 2, Attempt: 1, At: t0.Add(time.Second), Text: "two"},
			{Line: 3, Attempt: 2, At: t0, Text: "three"},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("the log is %v, want %v", got, want)
		}
	}},
	{"a lease that is lost writes nothing", func(e *logEnv) {
		info := e.claimed()
		if err := e.settle(jobs.Outcome{Lease: leaseOf(info), State: jobs.Ready}, t0); err != nil {
			e.Fatal(err)
		}
		e.wantErr(e.AppendLog(e.ctx, leaseOf(info), "late", t0), jobs.ErrLeaseLost, "it was handed back")
		again := e.claim(1, 1, t0)[0]
		e.wantErr(e.AppendLog(e.ctx, leaseOf(info), "late", t0), jobs.ErrLeaseLost, "another epoch has it")
		e.log(again, "mine", t0)
		if got := e.lines(info.ID, 0, 10); len(got) != 1 || got[0].Text != "mine" {
			e.Errorf("the log is %v", got)
		}
	}},
	{"tenants are apart", func(e *logEnv) {
		info := e.claimed()
		e.log(info, "secret", t0)
		_, err := e.ListLog(e.ctx, "b", info.ID, 0, 10)
		e.wantErr(err, jobs.ErrNotFound, "it belongs to another tenant")
		_, err = e.ListLog(e.ctx, "a", info.ID+1, 0, 10)
		e.wantErr(err, jobs.ErrNotFound, "there is no such job")
	}},
	{"the latest lines are kept", func(e *logEnv) {
		info := e.claimed()
		for i := range jobs.KeptLogLines + 5 {
			e.log(info, fmt.Sprint(i+1), t0)
		}
		got := e.lines(info.ID, 0, 2*jobs.KeptLogLines)
		if len(got) != jobs.KeptLogLines || got[0].Line != 6 || got[0].Text != "6" {
			e.Errorf("%d lines are kept from %+v on, want %d from line 6 on", len(got), got[0], jobs.KeptLogLines)
		}
	}},
	{"lines written at once are counted one by one", func(e *logEnv) {
		info := e.claimed()
		atOnce(8, func(int) {
			if err := e.AppendLog(e.ctx, leaseOf(info), "x", t0); err != nil {
				e.Errorf("AppendLog = %v", err)
			}
		})
		for i, line := range e.lines(info.ID, 0, 10) {
			if line.Line != i+1 {
				e.Errorf("line %d has the number %d", i+1, line.Line)
			}
		}
	}},
	{"a context that has ended changes nothing", func(e *logEnv) {
		info := e.claimed()
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		_, list := e.ListLog(ctx, "a", info.ID, 0, 10)
		for i, err := range []error{list, e.AppendLog(ctx, leaseOf(info), "x", t0)} {
			if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
				e.Errorf("call %d = %v, want the context's error alone", i, err)
			}
		}
		if got := e.lines(info.ID, 0, 10); len(got) > 0 {
			e.Errorf("the log is %v", got)
		}
	}},
}
