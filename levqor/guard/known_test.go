package guard_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
)

var perSecond = guard.Policy{Name: "second", Limit: 1600, Window: 16 * time.Second}

func TestFrequentCallsReachTheStoreSeldom(t *testing.T) {
	b := newBench(t)
	charge := guard.Charge{Policy: perSecond, Key: "a"}
	for i := range perSecond.Limit {
		decisions, err := b.Take(t.Context(), charge)
		if err != nil || decisions[0].Remaining != perSecond.Limit-i-1 || decisions[0].Reset != time.Duration(i+1)*10*time.Millisecond {
			t.Fatalf("call %d = %+v, %v; want one less to remain than before", i+1, decisions, err)
		}
	}
	if b.take(charge) {
		t.Error("a call passed above the limit")
	}
	if n := len(b.store.asked); n > perSecond.Limit/5 {
		t.Errorf("the store was asked %d times for %d calls", n, perSecond.Limit)
	}
	b.now = b.now.Add(time.Hour) // slower than the quota comes back
	b.store.asked = nil
	for i := range 100 {
		decisions, err := b.Take(t.Context(), charge)
		if err != nil || decisions[0].Remaining != perSecond.Limit-1 {
			t.Fatalf("call %d = %+v, %v; want the quota full again", i+1, decisions, err)
		}
		b.now = b.now.Add(20 * time.Millisecond)
	}
	if n := len(b.store.asked); n > 25 {
		t.Errorf("the store was asked %d times for 100 calls", n)
	}
	for b.take(charge) {
	}
	other := guard.NewLimiter(b.store, hasher{}, &guard.LimiterOptions{Now: func() time.Time { return b.now }})
	if _, err := other.Take(t.Context(), charge); !errors.Is(err, guard.ErrRateLimited) {
		t.Errorf("Take of another limiter = %v, want ErrRateLimited", err)
	}
}

// Up to three processes on one store, at random times and paces. One lets pass what a quota
// that is asked each time lets pass. Of several each may hold what comes back in a moment.
func TestWhatIsHeldPassesAsIfTheStoreWereAsked(t *testing.T) {
	const moment, one = 100 * time.Millisecond, 10 * time.Millisecond
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		b := newBench(t)
		limiters := []*guard.Limiter{b.Limiter}
		for range seed % 3 {
			limiters = append(limiters, guard.NewLimiter(b.store, hasher{}, &guard.LimiterOptions{Now: func() time.Time { return b.now }}))
		}
		var arrival time.Time // of the quota that is asked each time
		var passed, refused int
		begun := b.now
		for range 15_000 {
			cost := 1 + rnd.IntN(50)/49
			_, err := limiters[rnd.IntN(len(limiters))].Take(t.Context(), guard.Charge{Policy: perSecond, Key: "a", Cost: cost})
			draw := guard.Draw{Advance: time.Duration(cost) * one, Depth: 16 * time.Second}
			level, after := draw.Level(arrival, b.now)
			left, others := draw.Depth-level.Ahead-draw.Advance, time.Duration(len(limiters)-1)*moment
			if err == nil {
				arrival, passed = after, passed+1
			} else {
				refused++
			}
			if err == nil && left < -others {
				t.Fatalf("seed %d, after %v: a call passed above a quota by %v", seed, b.now.Sub(begun), -left)
			}
			if err != nil && left >= others && left > one {
				t.Fatalf("seed %d, after %v: a call was refused with %v left", seed, b.now.Sub(begun), left)
			}
			if pause := rnd.IntN(2000); pause == 0 {
				b.now = b.now.Add(time.Duration(rnd.IntN(20)) * time.Second)
			} else {
				b.now = b.now.Add(time.Duration(pause*9/(1+int(seed)%4)) * time.Microsecond)
			}
		}
		if heavy := seed%4 == 3; passed == 0 || heavy && (refused == 0 || len(b.store.asked) > 7500) {
			t.Errorf("seed %d: %d passed, %d were refused, the store was asked %d times: the test tries too little", seed, passed, refused, len(b.store.asked))
		}
	}
}

func TestWhatIsHeldIsVoidWhenTheQuotaWouldBeFull(t *testing.T) {
	b := newBench(t)
	charge := guard.Charge{Policy: perSecond, Key: "a"}
	for range perSecond.Limit / 2 {
		b.take(charge)
	}
	b.now = b.now.Add(time.Hour)
	passed := 0
	for b.take(charge) {
		passed++
	}
	if passed != perSecond.Limit {
		t.Errorf("%d calls passed after an hour, want the limit of %d", passed, perSecond.Limit)
	}
}

func TestCallsAtTheSameTimeHoldNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter := guard.NewLimiter(guard.NewMemLimitStore(), hasher{}, nil)
		var passed atomic.Int64
		var calls sync.WaitGroup
		for range 32 {
			calls.Go(func() {
				for range 100 {
					if _, err := limiter.Take(t.Context(), guard.Charge{Policy: perSecond, Key: "a"}); err == nil {
						passed.Add(1)
					}
				}
			})
		}
		calls.Wait()
		if n := passed.Load(); n != int64(perSecond.Limit) {
			t.Errorf("%d of 3,200 calls passed, want %d", n, perSecond.Limit)
		}
	})
}

func TestAStoreThatWasAwayIsAskedAsBefore(t *testing.T) {
	b := newBench(t)
	charge := guard.Charge{Policy: perSecond, Key: "a"}
	passed, failed := 0, 0
	for range 2 * perSecond.Limit {
		b.store.err = nil
		if n := len(b.store.asked); n%3 == 2 {
			b.store.err = fault.Opaque(guard.ErrUnavailable, errors.New("away"))
		}
		switch _, err := b.Take(t.Context(), charge); {
		case err == nil:
			passed++
		case errors.Is(err, guard.ErrUnavailable):
			failed++
		}
	}
	if passed != perSecond.Limit || failed < 10 || len(b.store.asked) > perSecond.Limit/3 {
		t.Errorf("%d calls passed and %d failed, by %d questions to the store", passed, failed, len(b.store.asked))
	}
}

func TestManyFrequentCallersAreForgottenAgain(t *testing.T) {
	b := newBench(t)
	for i := range 25_000 {
		charge := guard.Charge{Policy: perSecond, Key: fmt.Sprint(i)}
		for range 5 {
			if !b.take(charge) {
				t.Fatal("a call was refused")
			}
		}
	}
	b.store.asked = nil
	for i := range 1000 { // the first, who were forgotten, and what was held for them
		decisions, err := b.Take(t.Context(), guard.Charge{Policy: perSecond, Key: fmt.Sprint(i)})
		if left := decisions[0].Remaining; err != nil || left > perSecond.Limit-6 || left < perSecond.Limit-16 {
			t.Fatalf("%d remain after 6 calls, %v", left, err)
		}
	}
	if n := len(b.store.asked); n != 1000 {
		t.Errorf("the store was asked %d times, want once for each", n)
	}
}
