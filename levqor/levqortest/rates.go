package levqortest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
)

// draw takes one of three, of which one comes back each minute.
func draw(key string) guard.Draw {
	return guard.Draw{Key: key, Advance: time.Minute, Depth: 3 * time.Minute}
}

var rateCases = map[string]func(*env){
	"a quota is full at first, and what comes back can be taken": func(e *env) {
		for i := range 3 {
			e.wantLevel(t0, draw("a"), guard.Level{Fits: true, Ahead: time.Duration(i) * time.Minute})
		}
		e.wantLevel(t0, draw("a"), guard.Level{Ahead: 3 * time.Minute})
		e.wantLevel(t0.Add(time.Minute-time.Microsecond), draw("a"), guard.Level{Ahead: 2*time.Minute + time.Microsecond})
		e.wantLevel(t0.Add(time.Minute), draw("a"), guard.Level{Fits: true, Ahead: 2 * time.Minute})
		e.wantLevel(t0.Add(time.Minute), draw("a"), guard.Level{Ahead: 3 * time.Minute})
	},
	"a quota is never more than full": func(e *env) {
		e.wantLevel(t0, draw("a"), guard.Level{Fits: true})
		for i := range 3 {
			e.wantLevel(t0.Add(time.Hour), draw("a"), guard.Level{Fits: true, Ahead: time.Duration(i) * time.Minute})
		}
		e.wantLevel(t0.Add(time.Hour), draw("a"), guard.Level{Ahead: 3 * time.Minute})
	},
	"what does not fit takes nothing": func(e *env) {
		two := draw("a")
		two.Advance *= 2
		e.wantLevel(t0, two, guard.Level{Fits: true})
		e.wantLevel(t0, two, guard.Level{Ahead: 2 * time.Minute})
		e.wantLevel(t0, draw("a"), guard.Level{Fits: true, Ahead: 2 * time.Minute})
	},
	"of several draws all are taken or none": func(e *env) {
		e.wantLevel(t0, draw("b"), guard.Level{Fits: true})
		e.wantLevels(t0, []guard.Draw{draw("c"), draw("b"), draw("a")}, []guard.Level{{Fits: true}, {Fits: true, Ahead: time.Minute}, {Fits: true}})
		e.wantLevel(t0, draw("b"), guard.Level{Fits: true, Ahead: 2 * time.Minute})
		e.wantLevels(t0, []guard.Draw{draw("c"), draw("b"), draw("a")}, []guard.Level{{Fits: true, Ahead: time.Minute}, {Ahead: 3 * time.Minute}, {Fits: true, Ahead: time.Minute}})
		e.wantLevels(t0, []guard.Draw{draw("a"), draw("c")}, []guard.Level{{Fits: true, Ahead: time.Minute}, {Fits: true, Ahead: time.Minute}})
	},
	"draws of one key are counted one after the other": func(e *env) {
		e.wantLevels(t0, []guard.Draw{draw("a"), draw("a")}, []guard.Level{{Fits: true}, {Fits: true, Ahead: time.Minute}})
		e.wantLevels(t0, []guard.Draw{draw("a"), draw("a")}, []guard.Level{{Fits: true, Ahead: 2 * time.Minute}, {Ahead: 3 * time.Minute}})
		e.wantLevel(t0, draw("a"), guard.Level{Fits: true, Ahead: 2 * time.Minute})
	},
	"a clock that is set back gives nothing away": func(e *env) {
		e.wantLevels(t0, []guard.Draw{draw("a"), draw("a"), draw("a")}, []guard.Level{{Fits: true}, {Fits: true, Ahead: time.Minute}, {Fits: true, Ahead: 2 * time.Minute}})
		back := draw("a").Horizon() - 3*time.Minute
		e.wantLevel(t0.Add(-back), draw("a"), guard.Level{Ahead: back + 3*time.Minute})
		e.wantLevel(t0, draw("a"), guard.Level{Ahead: 3 * time.Minute})
	},
	"what was taken under a clock far ahead counts as none": func(e *env) {
		year := t0.AddDate(1, 0, 0)
		e.wantLevel(year, draw("a"), guard.Level{Fits: true})
		for i := range 3 {
			e.wantLevel(t0, draw("a"), guard.Level{Fits: true, Ahead: time.Duration(i) * time.Minute})
		}
		e.wantLevel(t0, draw("a"), guard.Level{Ahead: 3 * time.Minute})
	},
	"keys whose quota is full are deleted up to the limit": func(e *env) {
		for i := range 3 {
			e.wantLevel(t0, draw(fmt.Sprint("it's ? ", i)), guard.Level{Fits: true})
		}
		e.wantLevel(t0.Add(time.Microsecond), draw("late"), guard.Level{Fits: true})
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Rates.DeleteIdle(e.ctx, 2, t0.Add(time.Minute)); err != nil || n != want {
				e.Errorf("DeleteIdle = %d, %v; want %d", n, err, want)
			}
		}
		e.wantLevel(t0.Add(time.Minute), draw("late"), guard.Level{Fits: true, Ahead: time.Microsecond})
		if n, err := e.Rates.DeleteIdle(e.ctx, 2, time.Time{}); err != nil || n != 0 {
			e.Errorf("DeleteIdle by the store's own clock = %d, %v; want the key left, whose time is to come", n, err)
		}
	},
	"of calls at once exactly as many fit as the quota has": func(e *env) {
		var fit atomic.Int32
		e.atOnce(40, func(int) {
			levels, err := e.Rates.Take(e.ctx, []guard.Draw{{Key: "a", Advance: time.Hour, Depth: 10 * time.Hour}}, time.Time{})
			if err != nil {
				e.Errorf("Take = %v", err)
			} else if levels[0].Fits {
				fit.Add(1)
			}
		})
		if n := fit.Load(); n != 10 {
			e.Errorf("%d draws fit, want 10", n)
		}
	},
	"calls at once that name keys in another order come through": func(e *env) {
		var fit atomic.Int32
		e.atOnce(40, func(i int) {
			draws := []guard.Draw{{Key: "a", Advance: time.Hour, Depth: 10 * time.Hour}, {Key: "b", Advance: time.Hour, Depth: 20 * time.Hour}}
			if i%2 == 0 {
				slices.Reverse(draws)
			}
			levels, err := e.Rates.Take(e.ctx, draws, time.Time{})
			if err != nil {
				e.Errorf("Take = %v", err)
			} else if levels[0].Fits && levels[1].Fits {
				fit.Add(1)
			}
		})
		if n := fit.Load(); n != 10 {
			e.Errorf("%d calls fit, want 10", n)
		}
		levels, err := e.Rates.Take(e.ctx, []guard.Draw{{Key: "b", Advance: time.Hour, Depth: 20 * time.Hour}}, time.Time{})
		if err != nil || levels[0].Ahead > 10*time.Hour || levels[0].Ahead < 9*time.Hour {
			e.Errorf("Take = %v, %v; want what ten calls took of b", levels, err)
		}
	},
	"what a transaction took vanishes with it, and not what others took": func(e *env) {
		e.wantLevel(t0, draw("a"), guard.Level{Fits: true})
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			for range 2 {
				if levels, err := tx.Rates.Take(ctx, []guard.Draw{draw("a")}, t0); err != nil || !levels[0].Fits {
					e.Errorf("Take = %v, %v", levels, err)
				}
			}
			if levels, err := tx.Rates.Take(ctx, []guard.Draw{draw("b"), draw("a")}, t0); err != nil || levels[1].Fits {
				e.Errorf("Take = %v, %v; want it refused", levels, err)
			}
			return errBoom
		})
		e.wantErr(err, errBoom, "it is the caller's")
		e.wantLevels(t0, []guard.Draw{draw("a"), draw("b")}, []guard.Level{{Fits: true, Ahead: time.Minute}, {Fits: true}})
	},
}

// atOnce runs n calls at the same time.
func (e *env) atOnce(n int, call func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { call(i) })
	}
	wg.Wait()
}

// wantLevel takes a draw.
func (e *env) wantLevel(now time.Time, d guard.Draw, want guard.Level) {
	e.Helper()
	e.wantLevels(now, []guard.Draw{d}, []guard.Level{want})
}

func (e *env) wantLevels(now time.Time, draws []guard.Draw, want []guard.Level) {
	e.Helper()
	if got, err := e.Rates.Take(e.ctx, draws, now); err != nil || !slices.Equal(got, want) {
		e.Errorf("Take at %v = %v, %v; want %v", now.Sub(t0), got, err, want)
	}
}
