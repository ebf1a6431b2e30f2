package levqortest

import (
	"errors"
	"fmt"
	"time"

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

// wantTOTP checks the secrets of user 7.
func (e *env) wantTOTP(now time.Time, want factor.TOTP) {
	e.Helper()
	if got, at, err := e.Factors.FindTOTP(e.ctx, 7, now); err != nil || got != want || !at.Equal(now) {
		e.Errorf("FindTOTP = %+v at %v, %v; want %+v at %v", got, at, err, want, now)
	}
}
