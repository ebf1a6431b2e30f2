package levqortest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// factorRounds is how often calls are made at once that seldom meet.
const factorRounds = 10

var heldCases = map[string]func(*env){
	"removed factors are gone, and recovery codes with the last of them": func(e *env) {
		e.totp(7, "a")
		e.pendTOTP(7, "b", t0)
		e.passkey(7, "p")
		e.codes(7, "x")
		e.wantHeld(7, factor.Held{TOTP: true, Passkeys: 1, RecoveryCodes: 1})
		if err := e.Factors.RemoveTOTP(e.ctx, 7, 0); err != nil {
			e.Errorf("RemoveTOTP = %v", err)
		}
		e.wantHeld(7, factor.Held{Passkeys: 1, RecoveryCodes: 1})
		_, _, err := e.Factors.FindTOTP(e.ctx, 7, t0)
		e.wantErr(err, factor.ErrNotFound, "what waited is gone too")
		if err := e.Factors.RemovePasskey(e.ctx, 7, []byte("p"), 0); err != nil {
			e.Errorf("RemovePasskey = %v", err)
		}
		e.wantHeld(7, factor.Held{})
		e.wantErr(e.Factors.RemoveTOTP(e.ctx, 7, 0), factor.ErrNotFound, "it is gone")
		e.wantErr(e.Factors.RemovePasskey(e.ctx, 7, []byte("p"), 0), factor.ErrNotFound, "it is gone")
	},
	"the last factor stays if one must, with all that there is": func(e *env) {
		e.totp(7, "a")
		e.passkey(7, "p")
		e.codes(7, "x")
		if err := e.Factors.RemovePasskey(e.ctx, 7, []byte("p"), 1); err != nil {
			e.Errorf("RemovePasskey = %v", err)
		}
		e.wantErr(e.Factors.RemoveTOTP(e.ctx, 7, 1), factor.ErrFactorRequired, "it is the last")
		e.wantHeld(7, factor.Held{TOTP: true, RecoveryCodes: 1})
		e.passkey(8, "q")
		e.wantErr(e.Factors.RemovePasskey(e.ctx, 8, []byte("q"), 1), factor.ErrFactorRequired, "it is the last")
		e.wantHeld(8, factor.Held{Passkeys: 1})
	},
	"a secret that only waits is no factor": func(e *env) {
		e.passkey(7, "p")
		e.pendTOTP(7, "a", t0)
		e.wantErr(e.Factors.RemovePasskey(e.ctx, 7, []byte("p"), 1), factor.ErrFactorRequired, "it is the last")
		e.wantErr(e.Factors.RemoveTOTP(e.ctx, 7, 0), factor.ErrNotFound, "none is in use")
	},
	"of removals at once one factor is left": func(e *env) {
		e.passkey(7, "p")
		e.passkey(7, "q")
		e.meanwhile(func(ctx context.Context, tx levqor.Stores) error {
			return tx.Factors.RemovePasskey(ctx, 7, []byte("p"), 1)
		}, func(ctx context.Context, tx levqor.Stores) error {
			e.wantErr(tx.Factors.RemovePasskey(ctx, 7, []byte("q"), 1), factor.ErrFactorRequired, "it is the last")
			return errBoom
		})
		e.wantHeld(7, factor.Held{Passkeys: 1})
	},
	"everything of one user goes, and nothing of another": func(e *env) {
		for _, user := range []identity.UserID{7, 8} {
			e.totp(user, "a")
			e.pendTOTP(user, "b", t0)
			e.passkey(user, fmt.Sprintf("p%d", user))
			e.codes(user, "x", "y")
			e.ceremony(fmt.Sprintf("c%d", user), user)
		}
		e.ceremony("c", 0)
		want := factor.Held{TOTP: true, Passkeys: 1, RecoveryCodes: 2}
		if held, err := e.Factors.RemoveAll(e.ctx, 7); err != nil || held != want {
			e.Errorf("RemoveAll = %+v, %v; want %+v", held, err, want)
		}
		e.wantHeld(7, factor.Held{})
		_, _, err := e.Factors.FindTOTP(e.ctx, 7, t0)
		e.wantErr(err, factor.ErrNotFound, "what waited is gone too")
		_, err = e.Factors.TakeCeremony(e.ctx, []byte("c7"), t0)
		e.wantErr(err, factor.ErrNotFound, "what has begun is gone too")
		e.wantHeld(8, want)
		for _, hash := range []string{"c8", "c"} {
			if _, err := e.Factors.TakeCeremony(e.ctx, []byte(hash), t0); err != nil {
				e.Errorf("TakeCeremony(%q) = %v, want it left alone", hash, err)
			}
		}
		if held, err := e.Factors.RemoveAll(e.ctx, 7); err != nil || held != (factor.Held{}) {
			e.Errorf("RemoveAll again = %+v, %v", held, err)
		}
	},
	"what was added since an instant can go, with what waits and codes that nothing is left for": func(e *env) {
		since := t0.Add(time.Hour)
		for _, user := range []identity.UserID{7, 8} {
			e.totp(user, "old")
			e.passkey(user, fmt.Sprint("old", int64(user)))
			e.codes(user, "x")
			e.pendTOTP(user, "waits", since)
			e.ceremony(fmt.Sprint("c", int64(user)), user)
			late := newPasskey(user, fmt.Sprint("late", int64(user)))
			if _, err := e.Factors.AddPasskey(e.ctx, late, since); err != nil {
				e.Fatal(err)
			}
		}
		want := factor.Held{TOTP: true, Passkeys: 2, RecoveryCodes: 1}
		for _, wantGone := range []factor.Held{{Passkeys: 1}, {}} {
			if gone, err := e.Factors.RemoveSince(e.ctx, 7, since); err != nil || gone != wantGone {
				e.Errorf("RemoveSince = %+v, %v; want %+v", gone, err, wantGone)
			}
		}
		e.wantHeld(7, factor.Held{TOTP: true, Passkeys: 1, RecoveryCodes: 1})
		e.wantPasskeys(7, "old7")
		e.wantTOTP(since, factor.TOTP{Secret: "old", LastStep: 40, ConfirmedAt: t0})
		_, err := e.Factors.TakeCeremony(e.ctx, []byte("c7"), t0)
		e.wantErr(err, factor.ErrNotFound, "what has begun is gone too")
		e.wantHeld(8, want)
		e.pendTOTP(8, "new", since)
		err = e.Factors.ConfirmTOTP(e.ctx, 8, "new", 1, since)
		if gone, removeErr := e.Factors.RemoveSince(e.ctx, 8, since); err != nil || removeErr != nil || gone != (factor.Held{TOTP: true, Passkeys: 1}) {
			e.Errorf("RemoveSince = %+v, %v, %v; want the app that took the place of the old one", gone, err, removeErr)
		}
		if err := e.Factors.ReplaceRecoveryCodes(e.ctx, 8, [][]byte{[]byte("y")}, since); err != nil {
			e.Fatal(err)
		}
		if gone, err := e.Factors.RemoveSince(e.ctx, 8, since); err != nil || gone != (factor.Held{RecoveryCodes: 1}) {
			e.Errorf("RemoveSince = %+v, %v; want the new codes", gone, err)
		}
		e.codes(8, "z")
		if gone, err := e.Factors.RemoveSince(e.ctx, 8, t0); err != nil || gone != (factor.Held{Passkeys: 1, RecoveryCodes: 1}) {
			e.Errorf("RemoveSince = %+v, %v; want the rest", gone, err)
		}
		e.wantHeld(8, factor.Held{})
		e.codes(9, "lonely")
		if gone, err := e.Factors.RemoveSince(e.ctx, 9, since); err != nil || gone != (factor.Held{RecoveryCodes: 1}) {
			e.Errorf("RemoveSince = %+v, %v; want codes of no factor", gone, err)
		}
	},
	"nothing is added for a user who is not there or whose deletion has begun, and what there is can go": func(e *env) {
		e.totp(8, "a")
		if _, _, err := e.Directory.DeleteUser(e.ctx, 8, t0); err != nil {
			e.Fatalf("DeleteUser = %v", err)
		}
		for _, user := range []identity.UserID{7, 8} {
			_, passkey := e.Factors.AddPasskey(e.ctx, newPasskey(user, "p"), t0)
			for _, err := range []error{
				passkey, e.Factors.PutPendingTOTP(e.ctx, user, "b", time.Hour, t0),
				e.Factors.ReplaceRecoveryCodes(e.ctx, user, [][]byte{[]byte("x")}, t0),
				e.Factors.AddCeremony(e.ctx, factor.Ceremony{Hash: []byte("c"), User: user, Purpose: factor.Login, Data: []byte("x")}, time.Hour, t0),
			} {
				e.wantErr(err, factor.ErrNotFound, "there is no such user any more")
			}
		}
		if held, err := e.Factors.RemoveAll(e.ctx, 8); err != nil || !held.TOTP {
			e.Errorf("RemoveAll = %+v, %v", held, err)
		}
		e.wantHeld(8, factor.Held{})
	},
	"nothing of a user remains who is deleted while factors are added": func(e *env) {
		e.user(7)
		e.atOnce(20, func(i int) {
			if i == 10 {
				if _, _, err := e.Directory.DeleteUser(e.ctx, 7, time.Time{}); err != nil {
					e.Errorf("DeleteUser = %v", err)
				}
				if _, err := e.Factors.RemoveAll(e.ctx, 7); err != nil {
					e.Errorf("RemoveAll = %v", err)
				}
				return
			}
			err := e.Factors.ReplaceRecoveryCodes(e.ctx, 7, [][]byte{[]byte("x")}, time.Time{})
			if i%2 == 0 {
				_, err = e.Factors.AddPasskey(e.ctx, newPasskey(7, fmt.Sprint(i)), time.Time{})
			}
			if err != nil && !errors.Is(err, factor.ErrNotFound) {
				e.Errorf("adding = %v", err)
			}
		})
		e.wantHeld(7, factor.Held{})
	},
	"a transaction that is undone leaves them as they were": func(e *env) {
		e.totp(7, "a")
		e.passkey(7, "p")
		e.codes(7, "x")
		e.ceremony("c", 7)
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Factors.RemoveAll(ctx, 7)
			return errors.Join(err, errBoom)
		})
		e.wantErr(err, errBoom, "it is the caller's")
		e.wantHeld(7, factor.Held{TOTP: true, Passkeys: 1, RecoveryCodes: 1})
		if _, err := e.Factors.TakeCeremony(e.ctx, []byte("c"), t0); err != nil {
			e.Errorf("TakeCeremony = %v, want it there", err)
		}
	},
}

func (e *env) wantHeld(user identity.UserID, want factor.Held) {
	e.Helper()
	if got, err := e.Factors.Held(e.ctx, user); err != nil || got != want {
		e.Errorf("Held = %+v, %v; want %+v", got, err, want)
	}
}

// wantOne makes n calls at once, of which one must be told nil and the others an error.
func (e *env) wantOne(n int, otherwise error, call func(i int) error) {
	e.Helper()
	var done atomic.Int32
	e.atOnce(n, func(i int) {
		if err := call(i); err == nil {
			done.Add(1)
		} else if !errors.Is(err, otherwise) {
			e.Errorf("the error is %v, want %v", err, otherwise)
		}
	})
	if got := done.Load(); got != 1 {
		e.Errorf("%d calls were told nil, want 1", got)
	}
}
