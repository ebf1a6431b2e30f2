package guard_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
)

// hasher is a key ring of one key.
type hasher struct{}

func (hasher) MAC(purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, []byte(purpose))
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)
}

// watched is a store that keeps what it is asked.
type watched struct {
	*guard.MemLimitStore
	asked []guard.Draw
	err   error
}

func (s *watched) Take(ctx context.Context, draws []guard.Draw, now time.Time) ([]guard.Level, error) {
	s.asked = append(s.asked, draws...)
	if s.err != nil {
		return nil, s.err
	}
	return s.MemLimitStore.Take(ctx, draws, now)
}

// bench is a limiter with a clock of its own.
type bench struct {
	testing.TB
	*guard.Limiter
	store *watched
	now   time.Time
}

func newBench(tb testing.TB) *bench {
	tb.Helper()
	b := &bench{TB: tb, store: &watched{MemLimitStore: guard.NewMemLimitStore()}, now: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)}
	b.Limiter = guard.NewLimiter(b.store, hasher{}, &guard.LimiterOptions{Now: func() time.Time { return b.now }})
	return b
}

// take reports whether charges pass.
func (b *bench) take(charges ...guard.Charge) bool {
	b.Helper()
	_, err := b.Take(b.Context(), charges...)
	if err != nil && !errors.Is(err, guard.ErrRateLimited) {
		b.Fatalf("Take = %v", err)
	}
	return err == nil
}

var perMinute = guard.Policy{Name: "minute", Limit: 3, Window: time.Minute}

func TestDecisionsSayWhatIsLeft(t *testing.T) {
	b := newBench(t)
	for _, want := range []struct {
		after time.Duration
		cost  int
		guard.Decision
	}{
		{0, 0, guard.Decision{Remaining: 2, Reset: 20 * time.Second}},
		{0, 2, guard.Decision{Remaining: 0, Reset: time.Minute}},
		{5 * time.Second, 1, guard.Decision{Refused: true, Remaining: 0, Reset: 15 * time.Second}},
		{10 * time.Second, 2, guard.Decision{Refused: true, Remaining: 0, Reset: 25 * time.Second}},
		{5 * time.Second, 1, guard.Decision{Remaining: 0, Reset: time.Minute}},
		{20 * time.Second, 3, guard.Decision{Refused: true, Remaining: 1, Reset: 40 * time.Second}},
		{time.Hour, 3, guard.Decision{Remaining: 0, Reset: time.Minute}},
	} {
		b.now = b.now.Add(want.after)
		want.Policy = perMinute
		got, err := b.Take(t.Context(), guard.Charge{Policy: perMinute, Key: "a", Cost: want.cost})
		if len(got) != 1 || got[0] != want.Decision || (err != nil) != want.Refused {
			t.Errorf("Take of %d = %+v, %v; want %+v", want.cost, got, err, want.Decision)
		}
	}
}

func TestARefusalNamesWhatIsUsedUpAndTakesNothing(t *testing.T) {
	b := newBench(t)
	hourly := guard.Policy{Name: "hour", Limit: 1, Window: time.Hour}
	daily := guard.Policy{Name: "day", Limit: 2, Window: 24 * time.Hour}
	all := []guard.Charge{{Policy: hourly, Key: "a"}, {Policy: perMinute, Key: "a"}, {Policy: daily, Key: "a", Cost: 2}}
	if !b.take(all...) {
		t.Fatal("the first call is refused")
	}
	for range 5 {
		decisions, err := b.Take(t.Context(), all...)
		refused, ok := errors.AsType[*guard.LimitError](err)
		if !ok || !slices.Equal(refused.Violated, []string{"hour", "day"}) || refused.RetryAfter != 24*time.Hour {
			t.Fatalf("Take = %+v; want hour and day used up, the day for a day", err)
		}
		if !errors.Is(err, fault.ErrLimit) || !errors.Is(err, guard.ErrRateLimited) {
			t.Errorf("Take = %v, want ErrRateLimited", err)
		}
		if d := decisions[1]; d.Refused || d.Remaining != 2 || d.Reset != 20*time.Second {
			t.Errorf("the minute is %+v, want it as the first call left it", d)
		}
	}
	if !b.take(guard.Charge{Policy: perMinute, Key: "a", Cost: 2}) {
		t.Error("calls that were refused took of the minute")
	}
}

func TestALimitOfOneLetsOneThrough(t *testing.T) {
	b := newBench(t)
	one := guard.Charge{Policy: guard.Policy{Name: "one", Limit: 1, Window: time.Second}, Key: "a"}
	for i := range 10 {
		if !b.take(one) || b.take(one) {
			t.Fatalf("in second %d not exactly one call passed", i)
		}
		b.now = b.now.Add(time.Second - time.Microsecond)
		if b.take(one) {
			t.Fatal("a call passed before the second was over")
		}
		b.now = b.now.Add(time.Microsecond)
	}
}

func TestWrongChargesAreRefusedWithTheirField(t *testing.T) {
	good := guard.Charge{Policy: perMinute, Key: "a"}
	for name, tt := range map[string]struct {
		change func(*guard.Charge)
		want   string
	}{
		"a cost above the limit":          {func(c *guard.Charge) { c.Cost = 4 }, "/charges/1/cost out_of_range"},
		"a cost below 0":                  {func(c *guard.Charge) { c.Cost = -1 }, "/charges/1/cost out_of_range"},
		"no name":                         {func(c *guard.Charge) { c.Policy.Name = "" }, "/charges/1/policy/name invalid_format"},
		"a name with quotes":              {func(c *guard.Charge) { c.Policy.Name = `a"b` }, "/charges/1/policy/name invalid_format"},
		"a limit of none":                 {func(c *guard.Charge) { c.Policy.Limit = 0 }, "/charges/1/policy/limit too_small"},
		"a limit that is no limit":        {func(c *guard.Charge) { c.Policy.Limit = 600_001 }, "/charges/1/policy/limit too_large"},
		"a window too short":              {func(c *guard.Charge) { c.Policy.Window = time.Millisecond }, "/charges/1/policy/window out_of_range"},
		"a window that is no second":      {func(c *guard.Charge) { c.Policy.Window += time.Millisecond }, "/charges/1/policy/window out_of_range"},
		"a window of more than a year":    {func(c *guard.Charge) { c.Policy.Window = 367 * 24 * time.Hour }, "/charges/1/policy/window out_of_range"},
		"a window that would not compute": {func(c *guard.Charge) { c.Policy.Window = -1 << 63 }, "/charges/1/policy/limit too_large /charges/1/policy/window out_of_range"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			bad := good
			tt.change(&bad)
			_, err := b.Take(t.Context(), good, bad)
			var fields []string
			for _, f := range fault.All(err) {
				fields = append(fields, f.Field+" "+f.Code)
			}
			slices.Sort(fields)
			if got := strings.Join(fields, " "); !errors.Is(err, guard.ErrInvalid) || got != tt.want {
				t.Errorf("Take = %v with %q, want %q", err, got, tt.want)
			}
			if len(b.store.asked) > 0 {
				t.Error("the store was asked")
			}
		})
	}
}

// Whoever tries all the time, and whoever tries at random, gets no more than the limit in the
// long run and no more than twice as many, less one, in any window.
func TestNoWindowLetsMoreThroughThanPromised(t *testing.T) {
	for _, limit := range []int{1, 2, 7, 60} {
		policy := guard.Policy{Name: "p", Limit: limit, Window: 10 * time.Second}
		for name, step := range map[string]func(*rand.Rand) time.Duration{
			"always":    func(*rand.Rand) time.Duration { return 10 * time.Millisecond },
			"at random": func(rnd *rand.Rand) time.Duration { return time.Duration(rnd.Int64N(int64(time.Second / 5))) },
			"in bursts": func(rnd *rand.Rand) time.Duration { return time.Duration(rnd.IntN(100)/99) * 13 * time.Second },
		} {
			t.Run(fmt.Sprint(limit, " ", name), func(t *testing.T) {
				b, rnd := newBench(t), rand.New(rand.NewPCG(1, 2))
				begun := b.now
				var passed []time.Time
				for range 4000 {
					if b.take(guard.Charge{Policy: policy, Key: "a"}) {
						passed = append(passed, b.now)
					}
					b.now = b.now.Add(step(rnd))
				}
				most, first := 0, 0
				for i, at := range passed {
					for !passed[first].After(at.Add(-policy.Window)) {
						first++
					}
					most = max(most, i-first+1)
				}
				if most > 2*limit-1 {
					t.Errorf("%d passed in one window, want at most %d", most, 2*limit-1)
				}
				if most < limit {
					t.Errorf("%d passed in one window at most: the test tries too little", most)
				}
				if windows := int(b.now.Sub(begun)/policy.Window) + 2; len(passed) > windows*limit {
					t.Errorf("%d passed in %d windows", len(passed), windows)
				}
			})
		}
	}
}

func TestNobodyCanBeReadFromTheStore(t *testing.T) {
	b := newBench(t)
	const address = "ada@example.com"
	for _, name := range []string{"one", "two"} {
		b.take(guard.Charge{Policy: guard.Policy{Name: name, Limit: 1, Window: time.Minute}, Key: address})
	}
	for _, d := range b.store.asked {
		if len(d.Key) != 43 || strings.Contains(d.Key, "ada") {
			t.Errorf("the store knows the key as %q, want a hash", d.Key)
		}
	}
	if len(b.store.asked) != 2 || b.store.asked[0].Key == b.store.asked[1].Key {
		t.Errorf("two policies counted as %v, want each for itself", b.store.asked)
	}
}

func TestAFloodDoesNotReachTheStore(t *testing.T) {
	b := newBench(t)
	charge := guard.Charge{Policy: perMinute, Key: "a"}
	for range 1000 {
		b.take(charge)
	}
	if n := len(b.store.asked); n != 4 {
		t.Errorf("the store was asked %d times, want for what passed and for the first refusal", n)
	}
	b.now = b.now.Add(20*time.Second - time.Microsecond)
	if b.take(charge) || len(b.store.asked) != 4 {
		t.Error("the end of the wait came too early")
	}
	b.now = b.now.Add(time.Microsecond)
	if !b.take(charge) || b.take(charge) {
		t.Error("after the wait not exactly one passed")
	}
	other := guard.Charge{Policy: perMinute, Key: "b", Cost: 2}
	b.take(other)
	if b.take(other) || !b.take(guard.Charge{Policy: perMinute, Key: "b"}) {
		t.Error("what costs less was refused with what costs more")
	}
}

func TestAFloodFromManyKeysIsForgottenAgain(t *testing.T) {
	b := newBench(t)
	one := guard.Policy{Name: "one", Limit: 1, Window: time.Minute}
	for i := range 25_000 {
		charge := guard.Charge{Policy: one, Key: fmt.Sprint(i)}
		if !b.take(charge) || b.take(charge) || b.take(charge) {
			t.Fatal("not exactly one passed")
		}
	}
	if n := len(b.store.asked); n != 50_000 {
		t.Errorf("the store was asked %d times, want twice for each key", n)
	}
}

func TestAStoreThatIsAwayIsAnError(t *testing.T) {
	b := newBench(t)
	b.store.err = fault.Opaque(guard.ErrUnavailable, errors.New("secret"))
	decisions, err := b.Take(t.Context(), guard.Charge{Policy: perMinute, Key: "a"})
	if !errors.Is(err, guard.ErrUnavailable) || decisions != nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Take = %v, %v; want ErrUnavailable", decisions, err)
	}
	if decisions, err := b.Take(t.Context()); decisions != nil || err != nil {
		t.Errorf("Take of nothing = %v, %v", decisions, err)
	}
}

func TestAClockThatIsWrongLocksNobodyOut(t *testing.T) {
	b := newBench(t)
	charge := guard.Charge{Policy: perMinute, Key: "a", Cost: 3}
	now := b.now
	for _, wrong := range []time.Duration{24 * 365 * time.Hour, -24 * 365 * time.Hour} {
		b.now = now.Add(wrong)
		b.take(charge)
		b.now = now
		if !b.take(charge) {
			t.Errorf("refused after the clock was wrong by %v", wrong)
		}
		if b.take(charge) {
			t.Errorf("not counted after the clock was wrong by %v", wrong)
		}
		now = now.Add(time.Hour)
	}
}

func TestLimitsHaveDefaultsFieldByField(t *testing.T) {
	got, err := guard.Limits{Reads: guard.Policy{Limit: 5}, Writes: guard.Policy{Limit: -1}}.WithDefaults()
	want := guard.Limits{
		Reads: guard.Policy{Name: "read", Limit: 5, Window: time.Minute}, Writes: guard.Policy{Limit: -1},
		Bulk: guard.Policy{Name: "bulk", Limit: 600, Window: time.Minute}, Protected: guard.Policy{Name: "protected", Limit: 20, Window: time.Minute},
		Failures: guard.Policy{Name: "failure", Limit: 60, Window: time.Minute},
	}
	if err != nil || got != want {
		t.Errorf("WithDefaults = %+v, %v; want %+v", got, err, want)
	}
	_, err = guard.Limits{Bulk: guard.Policy{Name: "Bulk"}}.WithDefaults()
	if all := fault.All(err); len(all) != 1 || all[0].Field != "/bulk/name" {
		t.Errorf("WithDefaults = %v, want /bulk/name named", err)
	}
}

func TestKeysThatBeginAlikeAreCountedApart(t *testing.T) {
	b := newBench(t)
	one := guard.Policy{Name: "one", Limit: 1, Window: time.Minute}
	keys := []string{"", "a", "a ", "A", "a\x00", string(bytes.Repeat([]byte("a"), 1<<16))}
	for _, key := range keys {
		if !b.take(guard.Charge{Policy: one, Key: key}) {
			t.Errorf("%.10q was counted as another key", key)
		}
	}
}
