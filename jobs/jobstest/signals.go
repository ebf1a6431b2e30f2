package jobstest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
)

// TestSignals checks that an implementation keeps every promise of [jobs.Signals]. Each
// call of open must return two that hear each other, as two processes have them, and
// nobody else.
func TestSignals(t *testing.T, open func(*testing.T) (one, two jobs.Signals)) {
	for _, c := range signalCases {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), caseTimeout)
			defer cancel()
			one, two := open(t)
			c.run(&signalEnv{T: t, ctx: ctx, one: one, two: two})
		})
	}
}

// signalEnv is what a case about signals works with.
type signalEnv struct {
	*testing.T
	ctx      context.Context //nolint:containedctx // lives as long as one case
	one, two jobs.Signals
}

// ear is one that listens.
type ear struct {
	*signalEnv
	texts chan string
	ended chan error
	stop  context.CancelFunc
}

// listen returns when the signals listen.
func (e *signalEnv) listen(s jobs.Signals) *ear {
	e.Helper()
	ctx, stop := context.WithCancel(e.ctx)
	ear := &ear{signalEnv: e, texts: make(chan string, 10_000), ended: make(chan error, 1), stop: stop}
	began := make(chan struct{}, 2)
	go func() {
		ear.ended <- s.Listen(ctx, func() { began <- struct{}{} }, func(text string) { ear.texts <- text })
	}()
	select {
	case <-began:
	case err := <-ear.ended:
		e.Fatalf("Listen = %v before it began", err)
	case <-e.ctx.Done():
		e.Fatal("Listen does not begin")
	}
	e.Cleanup(stop)
	return ear
}

// await returns what is heard of texts of this prefix until the last one, which ends in
// "end".
func (a *ear) await(prefix string) []string {
	a.Helper()
	var all []string
	for {
		select {
		case text := <-a.texts:
			if !strings.HasPrefix(text, prefix) {
				continue // what nobody sent
			}
			all = append(all, text)
			if strings.HasSuffix(text, "end") {
				return all
			}
		case err := <-a.ended:
			a.Fatalf("Listen = %v after %q", err, all)
		case <-a.ctx.Done():
			a.Fatalf("only %q was heard", all)
		}
	}
}

func (e *signalEnv) send(s jobs.Signals, texts ...string) {
	e.Helper()
	if err := s.Send(e.ctx, texts); err != nil {
		e.Fatalf("Send = %v", err)
	}
}

var signalCases = []struct {
	name string
	run  func(e *signalEnv)
}{
	{"what one sends, all hear, itself too", func(e *signalEnv) {
		a, b := e.listen(e.one), e.listen(e.two)
		e.send(e.one, "x 1 end")
		e.send(e.two, "y 2 end")
		for _, ear := range []*ear{a, b} {
			heard := append(ear.await("x"), ear.await("y")...)
			if !slices.Equal(heard, []string{"x 1 end", "y 2 end"}) {
				e.Errorf("%q was heard", heard)
			}
		}
	}},
	{"texts arrive as they were sent", func(e *signalEnv) {
		ear := e.listen(e.two)
		var printable strings.Builder
		for c := ' '; c <= '~'; c++ {
			printable.WriteRune(c)
		}
		want := []string{"t" + printable.String(), "t" + strings.Repeat("x", 199), "t end"}
		e.send(e.one, want[:2]...)
		e.send(e.one, want[2])
		if got := ear.await("t"); len(got) != 3 || !slices.Contains(got, want[0]) || !slices.Contains(got, want[1]) {
			e.Errorf("%q was heard, want %q", got, want)
		}
	}},
	{"many texts are sent at once", func(e *signalEnv) {
		ear := e.listen(e.two)
		texts := make([]string, 1000)
		for i := range texts {
			texts[i] = fmt.Sprint("many ", i)
		}
		e.send(e.one, texts...)
		e.send(e.one, "many end")
		if got := ear.await("many"); len(got) != len(texts)+1 {
			e.Errorf("%d texts were heard, want %d", len(got), len(texts)+1)
		}
	}},
	{"no text is no call", func(e *signalEnv) { e.send(e.one) }},
	{"they are safe for concurrent use", func(e *signalEnv) {
		ear := e.listen(e.two)
		var senders sync.WaitGroup
		for i := range 8 {
			senders.Go(func() {
				for k := range 10 {
					if err := e.one.Send(e.ctx, []string{fmt.Sprint("c ", i, k)}); err != nil {
						e.Errorf("Send = %v", err)
					}
				}
			})
		}
		senders.Wait()
		e.send(e.one, "c end")
		if got := ear.await("c"); len(got) != 81 {
			e.Errorf("%d texts were heard, want 81", len(got))
		}
	}},
	{"who does not listen any more hears nothing", func(e *signalEnv) {
		ear := e.listen(e.two)
		ear.stop()
		select {
		case err := <-ear.ended:
			if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
				e.Errorf("Listen = %v, want the context's error alone", err)
			}
		case <-e.ctx.Done():
			e.Fatal("Listen does not end with its context")
		}
		late := e.listen(e.two)
		e.send(e.one, "l end")
		late.await("l")
		if len(ear.texts) > 0 {
			e.Errorf("%q was heard after Listen had returned", <-ear.texts)
		}
	}},
	{"a context that has ended is told", func(e *signalEnv) {
		ear := e.listen(e.two)
		ctx, cancel := context.WithCancel(e.ctx)
		cancel()
		listen := e.one.Listen(ctx, func() { e.Error("Listen began") }, func(string) {})
		for i, err := range []error{e.one.Send(ctx, []string{"d never"}), listen} {
			if !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
				e.Errorf("call %d = %v, want the context's error alone", i, err)
			}
		}
		e.send(e.one, "d end")
		if got := ear.await("d"); len(got) != 1 {
			e.Errorf("%q was heard", got)
		}
	}},
	{"who begins often hears each time", func(e *signalEnv) {
		for i := range 3 {
			ctx, stop := context.WithTimeout(e.ctx, 10*time.Second)
			sub := &signalEnv{T: e.T, ctx: ctx, one: e.one, two: e.two}
			ear := sub.listen(e.two)
			sub.send(e.one, fmt.Sprint("o", i, " end"))
			ear.await("o" + fmt.Sprint(i))
			ear.stop()
			<-ear.ended
			stop()
		}
	}},
}
