package levqortest

import (
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

var sessionEndCases = map[string]func(*env){
	"a session ends by its token, and nothing happens if there is none": func(e *env) {
		hash := e.begin(1, 7, t0).Hash
		e.begin(2, 7, t0)
		for range 2 {
			if err := e.Sessions.EndSession(e.ctx, hash); err != nil {
				e.Errorf("EndSession = %v", err)
			}
		}
		e.wantSessions(7, t0, 2)
	},
	"another user's session looks absent and is left alone": func(e *env) {
		e.begin(1, 7, t0)
		e.user(8)
		e.wantErr(e.Sessions.EndOneSession(e.ctx, 8, 1, t0), login.ErrNotFound, "the session is user 7's")
		e.wantErr(e.Sessions.EndOneSession(e.ctx, 7, 9, t0), login.ErrNotFound, "there is none")
		e.wantErr(e.Sessions.EndAllSessions(e.ctx, 8, 0), nil, "there are none")
		e.wantSessions(8, t0)
		e.wantSessions(7, t0, 1)
		e.wantErr(e.Sessions.EndOneSession(e.ctx, 7, 1, t0.Add(time.Hour)), login.ErrNotFound, "the session has ended by time")
		e.wantErr(e.Sessions.EndOneSession(e.ctx, 7, 1, t0), nil, "it is there")
		e.wantSessions(7, t0)
	},
	"all sessions end but one": func(e *env) {
		for id := login.SessionID(1); id <= 3; id++ {
			e.begin(id, 7, t0)
		}
		e.wantErr(e.Sessions.EndAllSessions(e.ctx, 7, 2), nil, "they are there")
		e.wantSessions(7, t0, 2)
		e.wantErr(e.Sessions.EndAllSessions(e.ctx, 7, 0), nil, "it is there")
		e.wantSessions(7, t0)
	},
	"a user's sessions in a tenant end but one, and those elsewhere and of others do not": func(e *env) {
		for id, at := range map[login.SessionID]struct {
			user   identity.UserID
			tenant identity.TenantID
		}{1: {7, 20}, 2: {7, 20}, 3: {7, 21}, 4: {7, 0}, 5: {8, 20}} {
			e.user(at.user)
			in := session(id, at.user)
			in.Tenant = at.tenant
			if _, err := e.Sessions.InsertSession(e.ctx, in, nil, 0, t0.Add(time.Duration(id)*time.Second)); err != nil {
				e.Fatalf("InsertSession = %v", err)
			}
		}
		at := t0.Add(time.Minute)
		e.wantErr(e.Sessions.EndSessionsIn(e.ctx, 21, 8, 0), nil, "there are none")
		e.wantErr(e.Sessions.EndSessionsIn(e.ctx, 20, 7, 2), nil, "they are there")
		e.wantSessions(7, at, 4, 3, 2)
		e.wantErr(e.Sessions.EndSessionsIn(e.ctx, 20, 7, 0), nil, "it is there")
		e.wantSessions(7, at, 4, 3)
		e.wantSessions(8, at, 5)
	},
	"everybody's sessions end up to the limit, until there are none": func(e *env) {
		for id := login.SessionID(1); id <= 5; id++ {
			e.begin(id, 6+identity.UserID(id), t0)
		}
		for _, want := range []struct {
			ended int
			more  bool
		}{{2, true}, {2, true}, {1, false}, {0, false}} {
			ended, more, err := e.Sessions.EndSessionsOfAll(e.ctx, 2)
			if err != nil || ended != want.ended || more != want.more {
				e.Errorf("EndSessionsOfAll = %d, %v, %v; want %+v", ended, more, err, want)
			}
		}
		for id := login.SessionID(1); id <= 5; id++ {
			e.wantSession(id, t0, false)
		}
		e.begin(9, 7, t0)
		e.wantSession(9, t0, true)
	},
	"of callers at once who end everybody's sessions each goes on until there are none": func(e *env) {
		for id := login.SessionID(1); id <= 40; id++ {
			e.begin(id, 6+identity.UserID(id%5), t0)
		}
		var total atomic.Int64
		e.atOnce(4, func(int) {
			for range 100 { // a store that always has more must fail, not hang
				ended, more, err := e.Sessions.EndSessionsOfAll(e.ctx, 3)
				total.Add(int64(ended))
				if err != nil {
					e.Errorf("EndSessionsOfAll = %v", err)
				}
				if !more {
					break
				}
			}
			if all, err := e.Sessions.ListSessions(e.ctx, 7, t0); err != nil || len(all) != 0 {
				e.Errorf("a caller was told that there are no more while user 7 had %d, %v", len(all), err)
			}
		})
		if n := total.Load(); n != 40 {
			e.Errorf("%d sessions were ended, want 40", n)
		}
	},
}
