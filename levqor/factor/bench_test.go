package factor_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// bench is factors in memory for two users, and a clock that is set by hand.
type bench struct {
	*testing.T
	*factor.Factors
	store *factor.MemStore
	opts  *factor.Options
	now   time.Time
}

// The users that there are.
const (
	ada   identity.UserID = 7
	grace identity.UserID = 8
)

func newBench(t *testing.T, opts *factor.Options) *bench {
	t.Helper()
	people := identity.NewMemDirectory(identity.NewMemKeyStore())
	for _, id := range []identity.UserID{ada, grace} {
		email, err := identity.ParseEmail(fmt.Sprintf("u%d@example.com", id))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := people.EnsureUser(t.Context(), identity.User{ID: id, Email: email}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	b := &bench{T: t, store: factor.NewMemStore(people), opts: opts, now: time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)}
	if b.opts == nil {
		b.opts = &factor.Options{}
	}
	b.opts.Now = func() time.Time { return b.now }
	b.useRing("a")
	return b
}

// useRing makes the factors anew under a ring of secrets, the current one first.
func (b *bench) useRing(secrets ...string) {
	b.Helper()
	var all [][]byte
	for _, s := range secrets {
		all = append(all, bytes.Repeat([]byte(s), levqor.MinSecret))
	}
	ring, err := levqor.NewKeyRing(all...)
	if err != nil {
		b.Fatal(err)
	}
	b.Factors = factor.New(b.store, ring, ring.Sealer(), b.opts)
}

// code returns what an app shows d from now.
func (b *bench) code(secret string, d time.Duration) string {
	b.Helper()
	code, err := factor.TOTPCode(secret, b.now.Add(d))
	if err != nil {
		b.Fatal(err)
	}
	return code
}

// enrol gives a user an app, a minute before the clock stands, and returns its secret.
func (b *bench) enrol(user identity.UserID) string {
	b.Helper()
	enrolment, err := b.BeginTOTP(b.Context(), user, "ada@example.com", "Engines")
	if err != nil {
		b.Fatalf("BeginTOTP = %v", err)
	}
	if err := b.ConfirmTOTP(b.Context(), user, b.code(enrolment.Secret, 0)); err != nil {
		b.Fatalf("ConfirmTOTP = %v", err)
	}
	b.now = b.now.Add(time.Minute)
	return enrolment.Secret
}

func (b *bench) codes(user identity.UserID) []string {
	b.Helper()
	codes, err := b.ReplaceRecoveryCodes(b.Context(), user)
	if err != nil {
		b.Fatalf("ReplaceRecoveryCodes = %v", err)
	}
	return codes
}

func (b *bench) wantErr(err, want error, promise string) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Errorf("the error is %v, want %v: %s", err, want, promise)
	}
}

// wantField checks that an error is an ErrInvalid about a field.
func (b *bench) wantField(err error, field string) {
	b.Helper()
	if all := fault.All(err); !errors.Is(err, factor.ErrInvalid) || len(all) != 1 || all[0].Field != field {
		b.Errorf("the error is %v, want an ErrInvalid about %s", err, field)
	}
}

func (b *bench) wantHeld(user identity.UserID, want factor.Held) {
	b.Helper()
	if got, err := b.Has(b.Context(), user); err != nil || got != want {
		b.Errorf("Has = %+v, %v; want %+v", got, err, want)
	}
}

// fiveInARow is a throttle that never forgets but after a right code.
type fiveInARow struct{ wrong map[identity.UserID]int }

func (f *fiveInARow) Try(_ context.Context, user identity.UserID, check func() error) error {
	if f.wrong[user] >= 5 {
		return factor.ErrLimit
	}
	err := check()
	if errors.Is(err, factor.ErrWrongCode) {
		f.wrong[user]++
	} else {
		delete(f.wrong, user)
	}
	return err
}
