package guard_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/levqor/sdk/levqor/guard"
)

func ExampleNewLimiter() {
	ctx := context.Background()
	limiter := guard.NewLimiter(guard.NewMemLimitStore(), hasher{}, nil)
	login := guard.Charge{Policy: guard.Policy{Name: "login", Limit: 2, Window: time.Hour}, Key: "ada@example.com"}
	for range 3 {
		decisions, err := limiter.Take(ctx, login)
		if refused, ok := errors.AsType[*guard.LimitError](err); ok {
			fmt.Println(refused.Violated, "again in", refused.RetryAfter.Round(time.Minute))
			break
		}
		fmt.Println(decisions[0].Remaining, "left")
	}
	// Output:
	// 1 left
	// 0 left
	// [login] again in 30m0s
}

func ExampleNewLog() {
	ctx := context.Background()
	log := guard.NewLog(guard.NewMemLogStore(), oneRing, nil)
	failed := guard.Event{
		Tenant: "engines", Action: guard.ActionLoginFailed, Outcome: guard.OutcomeFailed, Target: "user_1",
		Address: log.Pseudonym("ip", "192.0.2.1"), Detail: map[string]string{"reason": "code"},
	}
	for range 3 {
		if err := log.Note(failed); err != nil {
			fmt.Println(err)
		}
	}
	if err := log.Flush(ctx); err != nil { // which Run does by itself
		fmt.Println(err)
	}
	entries, err := log.Entries(ctx, "engines", guard.LogQuery{Limit: 10})
	fmt.Println(len(entries), entries[0].Action, entries[0].Count, err)
	report, err := log.Verify(ctx, "engines")
	fmt.Println(report.Whole(), err)
	// Output:
	// 1 login.failed 3 <nil>
	// true <nil>
}

func ExampleNewLockout() {
	ctx := context.Background()
	limiter := guard.NewLimiter(guard.NewMemLimitStore(), oneRing, nil)
	lockout, err := guard.NewLockout(limiter, oneRing, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	trusted := lockout.NewDevice("ada") // she has got in before
	stranger := netip.MustParseAddr("192.0.2.1")
	for range 6 {
		err = lockout.Try(ctx, guard.Attempt{Account: "ada", Address: stranger})
	}
	fmt.Println(errors.Is(err, guard.ErrRateLimited))
	fmt.Println(lockout.Try(ctx, guard.Attempt{Account: "ada", Address: stranger, Device: trusted}))
	// Output:
	// true
	// <nil>
}
