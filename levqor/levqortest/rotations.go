package levqortest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

var rotationCases = map[string]func(*env){
	"a rotated session has another token and proof": func(e *env) {
		before := e.begin(1, 7, t0)
		at := t0.Add(30 * time.Minute)
		got, err := e.Sessions.RotateSession(e.ctx, before.Hash, login.Rotation{Hash: []byte("next"), Level: login.LevelSecondFactor}, at)
		want := before
		want.Hash, want.Level, want.SeenAt, want.ProvenAt = []byte("next"), login.LevelSecondFactor, at, at
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Fatalf("RotateSession = %v, %v; want %v", got, err, want)
		}
		e.wantSession(1, at, false)
		if found, err := e.Sessions.FindSession(e.ctx, []byte("next"), at); err != nil || fmt.Sprint(found.Session) != fmt.Sprint(want) {
			e.Errorf("FindSession = %v, %v; want %v", found.Session, err, want)
		}
		_, err = e.Sessions.RotateSession(e.ctx, before.Hash, login.Rotation{Hash: []byte("third")}, at)
		e.wantErr(err, login.ErrNotFound, "the old token is dead")
		_, err = e.Sessions.RotateSession(e.ctx, []byte("next"), login.Rotation{Hash: []byte("third")}, at.Add(time.Hour))
		e.wantErr(err, login.ErrNotFound, "the session has ended")
	},
	"a half session stays one until a second factor is shown": func(e *env) {
		e.tenant(20, 7)
		half := login.Session{ID: 1, Hash: []byte("half"), User: 7, Tenant: 20, Level: login.LevelHalf, Lifetime: login.Lifetime{Idle: time.Hour, Absolute: 24 * time.Hour}}
		if got, err := e.Sessions.InsertSession(e.ctx, half, nil, 0, t0); err != nil || got.Level != login.LevelHalf {
			e.Fatalf("InsertSession = %+v, %v", got, err)
		}
		at := t0.Add(time.Minute)
		if got, err := e.Sessions.RotateSession(e.ctx, half.Hash, login.Rotation{Hash: []byte("again"), Level: login.LevelMail}, at); err != nil || got.Level != login.LevelHalf || !got.ProvenAt.Equal(t0) {
			e.Errorf("RotateSession = %+v, %v; want a half session", got, err)
		}
		if found, err := e.Sessions.FindSession(e.ctx, []byte("again"), at); err != nil || found.Session.Level != login.LevelHalf {
			e.Errorf("FindSession = %+v, %v", found, err)
		}
		got, err := e.Sessions.RotateSession(e.ctx, []byte("again"), login.Rotation{Hash: []byte("whole"), Level: login.LevelSecondFactor}, at)
		if err != nil || got.Level != login.LevelSecondFactor || !got.ProvenAt.Equal(at) {
			e.Errorf("RotateSession = %+v, %v; want the second factor to count", got, err)
		}
	},
	"a session is lowered, and stays as fresh as it was": func(e *env) {
		e.tenant(20, 7)
		for id, level := range []login.Level{login.LevelSecondFactor, login.LevelMail, login.LevelHalf} {
			before := login.Session{ID: login.SessionID(id + 1), Hash: []byte{byte(id)}, User: 7, Tenant: 20, Level: level, Lifetime: login.Lifetime{Idle: time.Hour, Absolute: 24 * time.Hour}}
			if _, err := e.Sessions.InsertSession(e.ctx, before, nil, 0, t0); err != nil {
				e.Fatalf("InsertSession = %v", err)
			}
			next := []byte{'n', byte(id)}
			_, err := e.Sessions.RotateSession(e.ctx, before.Hash, login.Rotation{Hash: next, Lower: true}, t0.Add(time.Minute))
			found, findErr := e.Sessions.FindSession(e.ctx, next, t0.Add(time.Minute))
			got := found.Session
			if err := errors.Join(err, findErr); err != nil || got.Level != min(level, login.LevelMail) || got.Tenant != 20 || !got.ProvenAt.Equal(t0) {
				e.Errorf("a session of level %d is %+v, %v", level, got, err)
			}
		}
	},
	"of 20 callers one rotates a session": func(e *env) {
		hash := e.begin(1, 7, t0).Hash
		var rotated atomic.Int32
		e.atOnce(20, func(i int) {
			_, err := e.Sessions.RotateSession(e.ctx, hash, login.Rotation{Hash: []byte(fmt.Sprint("next", i))}, t0)
			if err == nil {
				rotated.Add(1)
			} else if !errors.Is(err, login.ErrNotFound) {
				e.Errorf("RotateSession = %v", err)
			}
		})
		if n := rotated.Load(); n != 1 {
			e.Errorf("%d callers rotated the session, want 1", n)
		}
		e.wantSessions(7, t0, 1)
	},
	"a session moves to tenants of its user alone": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		before := e.begin(1, 7, t0)
		to := func(tenant identity.TenantID, idle time.Duration) login.Rotation {
			return login.Rotation{Hash: []byte("next"), Switch: true, Tenant: tenant, Lifetime: login.Lifetime{Idle: idle, Absolute: idle}}
		}
		_, err := e.Sessions.RotateSession(e.ctx, before.Hash, to(21, time.Hour), t0)
		e.wantErr(err, login.ErrNotFound, "the user is no member of tenant 21")
		_, err = e.Sessions.RotateSession(e.ctx, before.Hash, to(20, time.Minute), t0.Add(30*time.Minute))
		e.wantErr(err, login.ErrReproveRequired, "the last proof is too old for that lifetime")
		e.wantSession(1, t0, true)
		got, err := e.Sessions.RotateSession(e.ctx, before.Hash, to(20, 10*time.Minute), t0)
		if err != nil || got.Tenant != 20 || got.Level != login.LevelMail || !got.ProvenAt.Equal(t0) {
			e.Errorf("RotateSession = %+v, %v", got, err)
		}
		if found, err := e.Sessions.FindSession(e.ctx, []byte("next"), t0); err != nil || found.Member.Role != identity.RoleOwner || found.Session.Lifetime.Idle != 10*time.Minute {
			e.Errorf("FindSession = %+v, %v", found, err)
		}
		_, err = e.Sessions.FindSession(e.ctx, []byte("next"), t0.Add(10*time.Minute))
		e.wantErr(err, login.ErrNotFound, "the new lifetime is over")
		if got, err := e.Sessions.RotateSession(e.ctx, []byte("next"), to(0, time.Hour), t0); err != nil || got.Tenant != 0 {
			e.Errorf("RotateSession = %+v, %v; want no tenant", got, err)
		}
	},
}
