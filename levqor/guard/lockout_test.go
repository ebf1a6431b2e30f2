package guard_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/guard"
)

// door is a lockout with a clock of its own.
type door struct {
	testing.TB
	*guard.Lockout
	now time.Time
}

func newDoor(tb testing.TB) *door {
	tb.Helper()
	d := &door{TB: tb, now: time.Date(2031, 1, 2, 3, 4, 5, 0, time.UTC)}
	clock := func() time.Time { return d.now }
	var err error
	d.Lockout, err = guard.NewLockout(guard.NewLimiter(guard.NewMemLimitStore(), oneRing, &guard.LimiterOptions{Now: clock}), oneRing, &guard.LockoutOptions{Now: clock})
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// An attacker tries again and again, for a day.
const (
	beat = 5 * time.Second
	day  = int(24 * time.Hour / beat)
)

// try returns how long to wait, 0 if the attempt may be made.
func (d *door) try(network int, device string) time.Duration {
	d.Helper()
	addr := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, byte(network >> 8), byte(network), 15: byte(d.now.Nanosecond())})
	err := d.Try(d.Context(), guard.Attempt{Account: "ada", Address: addr, Device: device})
	if refused, ok := errors.AsType[*guard.LimitError](err); ok {
		return refused.RetryAfter
	}
	if err != nil {
		d.Fatalf("Try = %v", err)
	}
	return 0
}

func TestAnAttackFromAThousandNetworksDoesNotStopTheOwner(t *testing.T) {
	d := newDoor(t)
	cookie := d.NewDevice("ada")
	guesses := 0
	for i := range day {
		if d.try(i%1000, "") == 0 {
			guesses++
		}
		if i%300 == 0 {
			if wait := d.try(5000, cookie); wait > 0 {
				t.Fatalf("the owner waits %v at try %d", wait, i)
			}
		}
		d.now = d.now.Add(beat)
	}
	if guesses < 100 || guesses > 199 {
		t.Errorf("the attacker had %d guesses in the first day, want at most 199", guesses)
	}
	first := guesses
	for i := range day {
		if d.try(i%1000, "") == 0 {
			guesses++
		}
		d.now = d.now.Add(beat)
	}
	if n := guesses - first; n < 90 || n > 100 {
		t.Errorf("the attacker had %d guesses in the second day, want at most 100", n)
	}
}

func TestEachWaitIsLongerThanTheOneBefore(t *testing.T) {
	d := newDoor(t)
	at := map[int]time.Duration{5: 12 * time.Second, 20: 3 * time.Minute, 100: 864 * time.Second}
	longest := time.Duration(0)
	for guess := 1; guess <= 150; guess++ {
		waited := time.Duration(0)
		for wait := d.try(guess, ""); wait > 0; wait = d.try(guess, "") {
			waited += wait
			d.now = d.now.Add(wait)
		}
		longest = max(longest, waited)
		for count, most := range at {
			if guess <= count && waited > most {
				t.Errorf("guess %d waited %v, want at most %v", guess, waited, most)
			}
		}
	}
	if longest > 15*time.Minute || longest < 14*time.Minute {
		t.Errorf("the longest wait was %v", longest)
	}
}

// On a device that is not trusted, the owner does not notice an attack from few networks,
// and is let through during one from many as soon as it pauses.
func TestTheOwnerOnAnotherDeviceIsSlowedAndNotShutOut(t *testing.T) {
	d := newDoor(t)
	for i := range day {
		d.try(i%4, "")
		d.now = d.now.Add(beat)
	}
	if wait := d.try(5000, ""); wait > 12*time.Second {
		t.Errorf("during an attack from 4 networks the owner waits %v", wait)
	}
	for i := range day {
		d.try(i%1000, "")
		d.now = d.now.Add(beat)
	}
	wait := d.try(5001, "")
	if wait > 864*time.Second {
		t.Errorf("after an attack from many networks the owner waits %v", wait)
	}
	d.now = d.now.Add(wait)
	if wait > 0 && d.try(5001, "") > 0 {
		t.Error("the owner has waited and is to wait more")
	}
}

func TestATrustedDeviceHasACountOfItsOwn(t *testing.T) {
	d := newDoor(t)
	first, second := d.NewDevice("ada"), d.NewDevice("ada")
	for range 5 {
		if wait := d.try(1, first); wait > 0 {
			t.Errorf("a first guess waits %v", wait)
		}
	}
	if d.try(1, first) == 0 {
		t.Error("a trusted device has no limit")
	}
	if wait := d.try(1, second); wait > 0 {
		t.Errorf("another trusted device waits %v", wait)
	}
	if wait := d.try(1, ""); wait > 0 {
		t.Errorf("a device that is not trusted waits %v", wait)
	}
}

func TestOnlyTheCookieOfTheAccountIsTrusted(t *testing.T) {
	d := newDoor(t)
	cookie := d.NewDevice("ada")
	if !d.Trusts("ada", cookie) || d.NewDevice("ada") == cookie || strings.Contains(cookie, "ada") || len(cookie) > 100 {
		t.Errorf("the cookie is %s", cookie)
	}
	other, err := guard.NewLockout(guard.NewLimiter(guard.NewMemLimitStore(), ring{"two!"}, nil), ring{"two!"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	flipped := []byte(cookie)
	for i := range flipped { // each character counts
		old := flipped[i]
		flipped[i] = 'A'
		if old == 'A' {
			flipped[i] = 'B'
		}
		if d.Trusts("ada", string(flipped)) {
			t.Errorf("a cookie with another character %d is trusted", i)
		}
		flipped[i] = old
	}
	for _, forged := range []string{"", "x", cookie + "A", cookie[1:], other.NewDevice("ada")} {
		if d.Trusts("ada", forged) {
			t.Errorf("%q is trusted", forged)
		}
	}
	if d.Trusts("bob", cookie) {
		t.Error("another account trusts it")
	}
	rotated, err := guard.NewLockout(guard.NewLimiter(guard.NewMemLimitStore(), ring{"two!", "one!"}, nil), ring{"two!", "one!"}, &guard.LockoutOptions{Now: func() time.Time { return d.now }})
	if err != nil || !rotated.Trusts("ada", cookie) {
		t.Errorf("after a rotation it is not trusted, %v", err)
	}
	d.now = d.now.AddDate(0, 0, 365)
	if d.Trusts("ada", cookie) {
		t.Error("it is trusted for ever")
	}
}

func TestWithoutCountsNobodyGetsIn(t *testing.T) {
	store := &watched{MemLimitStore: guard.NewMemLimitStore(), err: guard.ErrUnavailable}
	l, err := guard.NewLockout(guard.NewLimiter(store, oneRing, nil), oneRing, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Try(t.Context(), guard.Attempt{Account: "ada"}); !errors.Is(err, guard.ErrUnavailable) {
		t.Errorf("Try = %v, want ErrUnavailable", err)
	}
}

func TestALockoutRefusesWrongPolicies(t *testing.T) {
	_, err := guard.NewLockout(nil, oneRing, &guard.LockoutOptions{Network: []guard.Policy{{Name: "x", Limit: 0, Window: time.Minute}}})
	if !errors.Is(err, guard.ErrInvalid) || !strings.Contains(fmt.Sprint(err), "/network/0/limit") {
		t.Errorf("NewLockout = %v", err)
	}
}
