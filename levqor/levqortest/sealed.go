package levqortest

import (
	"slices"
	"time"

	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

var sealedCases = map[string]func(*env){
	"all secrets of apps are shown, user by user": func(e *env) {
		for _, user := range []identity.UserID{9, 7, 8} {
			e.totp(user, "a?")
		}
		e.pendTOTP(8, "waits", t0)
		e.user(6)
		e.pendTOTP(6, "over", t0.Add(-time.Hour))
		e.wantSealedTOTP(0, 9, factor.SealedTOTP{User: 6, Sealed: "over"}, factor.SealedTOTP{User: 7, Sealed: "a?"},
			factor.SealedTOTP{User: 8, Sealed: "a?"}, factor.SealedTOTP{User: 8, Sealed: "waits"}, factor.SealedTOTP{User: 9, Sealed: "a?"})
		e.wantSealedTOTP(7, 1, factor.SealedTOTP{User: 8, Sealed: "a?"}, factor.SealedTOTP{User: 8, Sealed: "waits"})
		e.wantSealedTOTP(9, 9)
	},
	"the secret of an app that was seen is replaced and nothing else": func(e *env) {
		e.totp(7, "a")
		e.totp(8, "a")
		e.pendTOTP(7, "waits", t0)
		for before, after := range map[string]string{"a": "it's ?", "waits": "b", "gone": "c"} {
			if err := e.Factors.ReplaceSealedTOTP(e.ctx, factor.SealedTOTP{User: 7, Sealed: before}, after); err != nil {
				e.Errorf("ReplaceSealedTOTP(%s) = %v", before, err)
			}
		}
		e.wantTOTP(t0, factor.TOTP{Secret: "it's ?", LastStep: 40, ConfirmedAt: t0, Pending: "b"})
		e.wantSealedTOTP(7, 9, factor.SealedTOTP{User: 8, Sealed: "a"})
		e.wantSealedTOTP(8, 9)
		if err := e.Factors.ReplaceSealedTOTP(e.ctx, factor.SealedTOTP{User: 99, Sealed: "a"}, "b"); err != nil {
			e.Errorf("ReplaceSealedTOTP of nobody = %v, want nothing done", err)
		}
	},
	"the secret of an app that came into use since it was seen is replaced": func(e *env) {
		e.user(7)
		e.pendTOTP(7, "a", t0)
		if err := e.Factors.ConfirmTOTP(e.ctx, 7, "a", 40, t0); err != nil {
			e.Fatalf("ConfirmTOTP = %v", err)
		}
		if err := e.Factors.ReplaceSealedTOTP(e.ctx, factor.SealedTOTP{User: 7, Sealed: "a"}, "b"); err != nil {
			e.Errorf("ReplaceSealedTOTP = %v", err)
		}
		e.wantTOTP(t0, factor.TOTP{Secret: "b", LastStep: 40, ConfirmedAt: t0})
	},
	"the client secrets of all tenants are shown, connection by connection": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		e.connect(32, 20)
		e.connect(30, 20)
		e.connect(31, 21, "a.example")
		e.wantSealedSecrets(0, 9, 30, 31, 32)
		e.wantSealedSecrets(30, 1, 31)
		e.wantSealedSecrets(32, 9)
	},
	"a client secret is replaced if it is the one that was seen": func(e *env) {
		e.tenant(20, 7)
		want := e.connect(30, 20, "a.example")
		e.connect(31, 20)
		for _, seen := range []sso.SealedSecret{{ID: 30, Sealed: "sealed"}, {ID: 31, Sealed: "another"}, {ID: 99, Sealed: "sealed"}} {
			if err := e.SSO.ReplaceSealed(e.ctx, seen, "it's ?"); err != nil {
				e.Errorf("ReplaceSealed = %v", err)
			}
		}
		want.ClientSecret = "it's ?"
		e.wantConnection(want)
		e.wantConnection(connection(31, 20))
	},
}

// wantSealedTOTP checks what of apps is listed after a user.
func (e *env) wantSealedTOTP(after identity.UserID, limit int, want ...factor.SealedTOTP) {
	e.Helper()
	if got, err := e.Factors.ListSealedTOTP(e.ctx, after, limit); err != nil || !slices.Equal(got, want) {
		e.Errorf("ListSealedTOTP(%d, %d) = %v, %v; want %v", after, limit, got, err, want)
	}
}

// wantSealedSecrets checks which connections are listed after one, with the secret that
// they were made with.
func (e *env) wantSealedSecrets(after sso.ConnectionID, limit int, want ...sso.ConnectionID) {
	e.Helper()
	var all []sso.SealedSecret
	for _, id := range want {
		all = append(all, sso.SealedSecret{ID: id, Sealed: "sealed"})
	}
	if got, err := e.SSO.ListSealed(e.ctx, after, limit); err != nil || !slices.Equal(got, all) {
		e.Errorf("ListSealed(%d, %d) = %v, %v; want %v", after, limit, got, err, all)
	}
}

// wantConnection checks the secret of a connection and that it has kept its domains.
func (e *env) wantConnection(want sso.Connection) {
	e.Helper()
	got, err := e.SSO.FindConnection(e.ctx, want.ID)
	if err != nil || got.ClientSecret != want.ClientSecret || !slices.Equal(got.Domains, want.Domains) {
		e.Errorf("FindConnection = %+v, %v; want %+v", got, err, want)
	}
}
