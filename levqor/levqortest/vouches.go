package levqortest

import (
	"errors"
	"time"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// vouchCases are those of sessions by identity providers.
var vouchCases = map[string]func(*env){
	"a session may have been proven before it began": func(e *env) {
		e.user(7)
		got, err := e.Sessions.InsertSession(e.ctx, session(1, 7), nil, time.Hour, t0)
		if err != nil || !got.CreatedAt.Equal(t0) || !got.SeenAt.Equal(t0) || !got.ProvenAt.Equal(t0.Add(-time.Hour)) {
			e.Fatalf("InsertSession = %+v, %v; want it proven an hour ago", got, err)
		}
		if found, err := e.Sessions.FindSession(e.ctx, got.Hash, t0); err != nil || !found.Session.ProvenAt.Equal(got.ProvenAt) {
			e.Errorf("FindSession = %+v, %v; want it proven an hour ago", found, err)
		}
	},
	"what a provider alone has said moves to no other tenant, until the user shows something of their own": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 7)
		s := session(1, 7)
		s.Tenant, s.Provider = 20, 20
		if _, err := e.Sessions.InsertSession(e.ctx, s, nil, 0, t0); err != nil {
			e.Fatal(err)
		}
		away := login.Rotation{Hash: []byte("away"), Switch: true, Tenant: 21, Lifetime: s.Lifetime}
		if got, err := e.Sessions.RotateSession(e.ctx, s.Hash, away, t0); !errors.Is(err, login.ErrReproveRequired) {
			e.Errorf("RotateSession = %+v, %v; want ErrReproveRequired", got, err)
		}
		again := login.Rotation{Hash: []byte("again"), Level: login.LevelMail, Provider: 20, Vouched: true, Age: time.Minute}
		got, err := e.Sessions.RotateSession(e.ctx, s.Hash, again, t0.Add(10*time.Minute))
		if err != nil || got.Provider != 20 || got.Vouched != 20 || got.Tenant != 20 || !got.ProvenAt.Equal(t0.Add(9*time.Minute)) {
			e.Errorf("RotateSession = %+v, %v; want it proven by the provider a minute ago", got, err)
		}
		if found, err := e.Sessions.FindSession(e.ctx, again.Hash, t0.Add(10*time.Minute)); err != nil || found.Session.Provider != 20 || found.Session.Vouched != 20 {
			e.Errorf("FindSession = %+v, %v; want what RotateSession returns", found, err)
		}
		own := login.Rotation{Hash: []byte("own"), Level: login.LevelMail}
		if got, err := e.Sessions.RotateSession(e.ctx, again.Hash, own, t0.Add(10*time.Minute)); err != nil || got.Provider != 0 || got.Vouched != 20 {
			e.Errorf("RotateSession = %+v, %v; want that the mailbox was shown", got, err)
		}
		if got, err := e.Sessions.RotateSession(e.ctx, own.Hash, away, t0.Add(10*time.Minute)); err != nil || got.Tenant != 21 {
			e.Errorf("RotateSession = %+v, %v; want it moved", got, err)
		}
	},
	"sessions of one user by one tenant's provider end, and what it has vouched for in others": func(e *env) {
		e.tenant(20, 7)
		e.user(8)
		e.tenant(21, 7)
		provided, own, others, elsewhere := session(1, 7), session(2, 7), session(3, 8), session(4, 7)
		provided.Tenant, provided.Provider, provided.Vouched = 20, 20, 20
		own.Tenant, own.Vouched = 20, 20
		others.Tenant, others.Provider, others.Vouched = 20, 20, 20
		elsewhere.Tenant, elsewhere.Provider, elsewhere.Vouched = 21, 21, 21
		for _, s := range []login.Session{provided, own, others, elsewhere} {
			if _, err := e.Sessions.InsertSession(e.ctx, s, nil, 0, t0); err != nil {
				e.Fatal(err)
			}
		}
		if err := e.Sessions.EndProvidedSessions(e.ctx, 20, 7); err != nil {
			e.Errorf("EndProvidedSessions = %v", err)
		}
		e.wantSessions(7, t0, 4, 2)
		for _, s := range []login.Session{own, others, elsewhere} {
			want := s.Vouched
			if s.ID == own.ID {
				want = 0
			}
			if got, err := e.Sessions.FindSession(e.ctx, s.Hash, t0); err != nil || got.Session.Vouched != want {
				e.Errorf("FindSession(%d) = %+v, %v; want it vouched for in %d", int64(s.ID), got.Session, err, int64(want))
			}
		}
	},
	"what a provider vouches for stays in other tenants, until it is dropped": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 7)
		other := e.begin(1, 7, t0)
		mine, theirs := session(2, 7), session(3, 7)
		mine.Tenant, mine.Vouched, theirs.Tenant, theirs.Vouched = 20, 20, 21, 21
		for _, s := range []login.Session{mine, theirs} {
			if _, err := e.Sessions.InsertSession(e.ctx, s, nil, 0, t0); err != nil {
				e.Fatal(err)
			}
		}
		moved, err := e.Sessions.RotateSession(e.ctx, mine.Hash, login.Rotation{Hash: []byte("moved"), Switch: true, Tenant: 21, Lifetime: mine.Lifetime}, t0)
		if err != nil || moved.Vouched != 20 || moved.Level != login.LevelMail || moved.HasSecondFactor() {
			e.Errorf("RotateSession = %+v, %v; want it vouched for in tenant 20 alone", moved, err)
		}
		for _, none := range []identity.TenantID{0, 22} {
			if err := e.Sessions.DropVouches(e.ctx, none); err != nil {
				e.Errorf("DropVouches = %v", err)
			}
		}
		if err := e.Sessions.DropVouches(e.ctx, 20); err != nil {
			e.Errorf("DropVouches = %v", err)
		}
		for hash, want := range map[string]identity.TenantID{string(other.Hash): 0, "moved": 0, string(theirs.Hash): 21} {
			if got, err := e.Sessions.FindSession(e.ctx, []byte(hash), t0); err != nil || got.Session.Vouched != want {
				e.Errorf("FindSession = %+v, %v; want it vouched for in %d", got.Session, err, int64(want))
			}
		}
	},
}
