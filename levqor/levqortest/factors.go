package levqortest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

var totpCases = map[string]func(*env){
	"a secret waits until it is confirmed, and is then the one in use": func(e *env) {
		e.user(7)
		e.pendTOTP(7, "it's ?", t0)
		e.wantTOTP(t0, factor.TOTP{Pending: "it's ?"})
		e.wantHeld(7, factor.Held{})
		if err := e.Factors.ConfirmTOTP(e.ctx, 7, "it's ?", 41, t0.Add(time.Second)); err != nil {
			e.Fatalf("ConfirmTOTP = %v", err)
		}
		e.wantTOTP(t0, factor.TOTP{Secret: "it's ?", LastStep: 41, ConfirmedAt: t0.Add(time.Second)})
		e.wantHeld(7, factor.Held{TOTP: true})
	},
	"the secret in use stays in use while another one waits": func(e *env) {
		e.totp(7, "old")
		e.pendTOTP(7, "first", t0)
		e.pendTOTP(7, "new", t0)
		e.wantTOTP(t0, factor.TOTP{Secret: "old", LastStep: 40, ConfirmedAt: t0, Pending: "new"})
		e.wantErr(e.Factors.ConfirmTOTP(e.ctx, 7, "first", 41, t0), factor.ErrNotFound, "it was replaced")
		e.wantErr(e.Factors.ConfirmTOTP(e.ctx, 7, "old", 41, t0), factor.ErrNotFound, "it does not wait")
		if err := errors.Join(e.Factors.UseTOTPStep(e.ctx, 7, "old", 41), e.Factors.ConfirmTOTP(e.ctx, 7, "new", 5, t0)); err != nil {
			e.Errorf("the old one in use, the new one confirmed: %v", err)
		}
		e.wantErr(e.Factors.UseTOTPStep(e.ctx, 7, "old", 99), factor.ErrReplayed, "it is not in use any more")
		e.wantTOTP(t0, factor.TOTP{Secret: "new", LastStep: 5, ConfirmedAt: t0})
	},
	"a secret that waited too long is gone": func(e *env) {
		e.user(7)
		e.pendTOTP(7, "a", t0)
		last := t0.Add(time.Minute - time.Microsecond)
		e.wantTOTP(last, factor.TOTP{Pending: "a"})
		_, _, err := e.Factors.FindTOTP(e.ctx, 7, t0.Add(time.Minute))
		e.wantErr(err, factor.ErrNotFound, "its time is over")
		e.wantErr(e.Factors.ConfirmTOTP(e.ctx, 7, "a", 41, t0.Add(time.Minute)), factor.ErrNotFound, "its time is over")
		if err := e.Factors.ConfirmTOTP(e.ctx, 7, "a", 41, last); err != nil {
			e.Errorf("ConfirmTOTP = %v, want it in time", err)
		}
		e.pendTOTP(7, "b", t0)
		e.wantTOTP(t0.Add(time.Minute), factor.TOTP{Secret: "a", LastStep: 41, ConfirmedAt: last})
	},
	"the store's own clock is told": func(e *env) {
		e.user(7)
		if err := e.Factors.PutPendingTOTP(e.ctx, 7, "a", time.Hour, time.Time{}); err != nil {
			e.Fatalf("PutPendingTOTP = %v", err)
		}
		if _, at, err := e.Factors.FindTOTP(e.ctx, 7, time.Time{}); err != nil || at.IsZero() {
			e.Errorf("FindTOTP = %v, %v; want an instant", at, err)
		}
		if err := e.Factors.ConfirmTOTP(e.ctx, 7, "a", 1, time.Time{}); err != nil {
			e.Errorf("ConfirmTOTP = %v", err)
		}
	},
	"a step counts once, and none before it": func(e *env) {
		e.totp(7, "a")
		for step, want := range map[int64]error{40: factor.ErrReplayed, 39: factor.ErrReplayed, 0: factor.ErrReplayed} {
			e.wantErr(e.Factors.UseTOTPStep(e.ctx, 7, "a", step), want, fmt.Sprint("step ", step, " was used when the secret was confirmed, or is older"))
		}
		if err := e.Factors.UseTOTPStep(e.ctx, 7, "a", 42); err != nil {
			e.Errorf("UseTOTPStep = %v", err)
		}
		for _, step := range []int64{42, 41} {
			e.wantErr(e.Factors.UseTOTPStep(e.ctx, 7, "a", step), factor.ErrReplayed, "step 42 was used")
		}
		if err := e.Factors.UseTOTPStep(e.ctx, 7, "a", 43); err != nil {
			e.Errorf("UseTOTPStep = %v", err)
		}
	},
	"of 100 callers at once with one step one is told nil": func(e *env) {
		e.totp(7, "a")
		e.wantOne(100, factor.ErrReplayed, func(int) error { return e.Factors.UseTOTPStep(e.ctx, 7, "a", 41) })
	},
	"of callers at once one confirms": func(e *env) {
		e.user(7)
		e.pendTOTP(7, "a", t0)
		e.wantOne(20, factor.ErrNotFound, func(int) error { return e.Factors.ConfirmTOTP(e.ctx, 7, "a", 41, t0) })
	},
	"another user's secret is not found": func(e *env) {
		e.totp(7, "a")
		e.user(8)
		_, _, err := e.Factors.FindTOTP(e.ctx, 8, t0)
		e.wantErr(err, factor.ErrNotFound, "user 8 has none")
		e.pendTOTP(7, "b", t0)
		e.wantErr(e.Factors.ConfirmTOTP(e.ctx, 8, "b", 41, t0), factor.ErrNotFound, "it is user 7's")
		e.wantErr(e.Factors.UseTOTPStep(e.ctx, 8, "a", 41), factor.ErrReplayed, "it is user 7's")
		e.wantErr(e.Factors.RemoveTOTP(e.ctx, 8, 0), factor.ErrNotFound, "it is user 7's")
		e.wantTOTP(t0, factor.TOTP{Secret: "a", LastStep: 40, ConfirmedAt: t0, Pending: "b"})
		e.wantHeld(8, factor.Held{})
	},
	"a secret that is none opens nothing": func(e *env) {
		e.user(7)
		e.pendTOTP(7, "a", t0)
		e.wantErr(e.Factors.UseTOTPStep(e.ctx, 7, "", 41), factor.ErrReplayed, "none is in use")
		e.wantErr(e.Factors.UseTOTPStep(e.ctx, 7, "a", 41), factor.ErrReplayed, "it only waits")
		e.wantErr(e.Factors.ConfirmTOTP(e.ctx, 7, "", 41, t0), factor.ErrNotFound, "it does not wait")
	},
}

// factorRounds is how often calls are made at once that seldom meet.
const factorRounds = 10

var recoveryCases = map[string]func(*env){
	"codes are kept, used once and counted": func(e *env) {
		e.codes(7, "a", "it's ?", "\x00\xff")
		e.wantCodes(7, "\x00\xff", "a", "it's ?")
		for i, hash := range []string{"it's ?", "\x00\xff", "a"} {
			if left, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte(hash)); err != nil || left != 2-i {
				e.Errorf("UseRecoveryCode = %d, %v; want %d left", left, err, 2-i)
			}
			_, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte(hash))
			e.wantErr(err, factor.ErrNotFound, "it has been used")
		}
		e.wantCodes(7)
	},
	"new codes take the place of all that there were": func(e *env) {
		e.codes(7, "a", "b")
		e.codes(8, "a", "c")
		e.codes(7, "b", "d")
		e.wantCodes(7, "b", "d")
		e.wantCodes(8, "a", "c")
		e.wantHeld(7, factor.Held{RecoveryCodes: 2})
		_, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte("c"))
		e.wantErr(err, factor.ErrNotFound, "it is user 8's")
		e.wantCodes(8, "a", "c")
	},
	"of callers at once one uses a code": func(e *env) {
		e.codes(7, "a", "b")
		e.wantOne(20, factor.ErrNotFound, func(int) error {
			_, err := e.Factors.UseRecoveryCode(e.ctx, 7, []byte("a"))
			return err
		})
		e.wantCodes(7, "b")
	},
	"of replacements at once the codes of one remain": func(e *env) {
		e.user(7)
		for range factorRounds {
			e.atOnce(10, func(i int) {
				hashes := [][]byte{fmt.Append(nil, i, "a"), fmt.Append(nil, i, "b")}
				if err := e.Factors.ReplaceRecoveryCodes(e.ctx, 7, hashes, time.Time{}); err != nil {
					e.Errorf("ReplaceRecoveryCodes = %v", err)
				}
			})
			hashes, err := e.Factors.RecoveryCodes(e.ctx, 7)
			if err != nil || len(hashes) != 2 || strings.Trim(string(hashes[0]), "ab") != strings.Trim(string(hashes[1]), "ab") {
				e.Fatalf("RecoveryCodes = %q, %v; want two of one call", hashes, err)
			}
		}
	},
}

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
		for round := range factorRounds {
			user := identity.UserID(round + 1)
			for i := range 3 {
				e.passkey(user, fmt.Sprint(round, i))
			}
			e.atOnce(3, func(i int) {
				err := e.Factors.RemovePasskey(e.ctx, user, fmt.Append(nil, round, i), 1)
				if err != nil && !errors.Is(err, factor.ErrFactorRequired) {
					e.Errorf("RemovePasskey = %v", err)
				}
			})
			e.wantHeld(user, factor.Held{Passkeys: 1})
		}
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

// pendTOTP lets a secret wait for a minute.
func (e *env) pendTOTP(user identity.UserID, sealed string, now time.Time) {
	e.Helper()
	if err := e.Factors.PutPendingTOTP(e.ctx, user, sealed, time.Minute, now); err != nil {
		e.Fatalf("PutPendingTOTP = %v", err)
	}
}

// totp gives a user a secret in use since step 40.
func (e *env) totp(user identity.UserID, sealed string) {
	e.Helper()
	e.user(user)
	e.pendTOTP(user, sealed, t0)
	if err := e.Factors.ConfirmTOTP(e.ctx, user, sealed, 40, t0); err != nil {
		e.Fatalf("ConfirmTOTP = %v", err)
	}
}

func (e *env) codes(user identity.UserID, hashes ...string) {
	e.Helper()
	e.user(user)
	var all [][]byte
	for _, h := range hashes {
		all = append(all, []byte(h))
	}
	if err := e.Factors.ReplaceRecoveryCodes(e.ctx, user, all, t0); err != nil {
		e.Fatalf("ReplaceRecoveryCodes = %v", err)
	}
}

// wantTOTP checks the secrets of user 7.
func (e *env) wantTOTP(now time.Time, want factor.TOTP) {
	e.Helper()
	if got, at, err := e.Factors.FindTOTP(e.ctx, 7, now); err != nil || got != want || !at.Equal(now) {
		e.Errorf("FindTOTP = %+v at %v, %v; want %+v at %v", got, at, err, want, now)
	}
}

func (e *env) wantHeld(user identity.UserID, want factor.Held) {
	e.Helper()
	if got, err := e.Factors.Held(e.ctx, user); err != nil || got != want {
		e.Errorf("Held = %+v, %v; want %+v", got, err, want)
	}
}

func (e *env) wantCodes(user identity.UserID, want ...string) {
	e.Helper()
	hashes, err := e.Factors.RecoveryCodes(e.ctx, user)
	var got []string
	for _, h := range hashes {
		got = append(got, string(h))
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		e.Errorf("RecoveryCodes = %q, %v; want %q", got, err, want)
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
