package levqortest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// session returns a session of a user with the ID, whose token has a hash that is made of it.
func session(id login.SessionID, user identity.UserID) login.Session {
	return login.Session{
		ID: id, Hash: []byte(fmt.Sprint("\x00\xff", int64(id))), User: user, Level: login.LevelMail,
		Device:   login.Device{Label: "it's ? on Linux", Address: netip.MustParseAddr("192.0.2.1")},
		Lifetime: login.Lifetime{Idle: time.Hour, Absolute: 3 * time.Hour},
	}
}

// begin stores a user, if there is none, and a session of theirs.
func (e *env) begin(id login.SessionID, user identity.UserID, now time.Time) login.Session {
	e.Helper()
	e.user(user)
	stored, err := e.Sessions.InsertSession(e.ctx, session(id, user), nil, 0, now)
	if err != nil {
		e.Fatalf("InsertSession = %v", err)
	}
	return stored
}

func (e *env) wantSession(id login.SessionID, now time.Time, want bool) {
	e.Helper()
	if _, err := e.Sessions.FindSession(e.ctx, session(id, 0).Hash, now); (err == nil) != want || err != nil && !errors.Is(err, login.ErrNotFound) {
		e.Errorf("FindSession(%d) at %v = %v, want one: %v", int64(id), now.Sub(t0), err, want)
	}
}

func (e *env) wantSessions(user identity.UserID, now time.Time, want ...login.SessionID) {
	e.Helper()
	all, err := e.Sessions.ListSessions(e.ctx, user, now)
	got := []login.SessionID{}
	for _, s := range all {
		got = append(got, s.ID)
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		e.Errorf("the sessions of %v are %v, %v; want %v", user, got, err, want)
	}
}

var sessionCases = map[string]func(*env){
	"everything about a session is kept, with its user and their place": func(e *env) {
		e.tenant(20, 7)
		if _, err := e.Directory.ChangeMember(e.ctx, 20, 7, identity.Grant{Role: identity.RoleOwner, Scopes: []string{"extra:read"}}); err != nil {
			e.Fatal(err)
		}
		want := session(1, 7)
		want.Tenant, want.Level, want.Vouched, want.Provider = 20, login.LevelSecondFactor, 21, 22
		got, err := e.Sessions.InsertSession(e.ctx, want, nil, 0, t0)
		want.CreatedAt, want.SeenAt, want.ProvenAt = t0, t0, t0
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Fatalf("InsertSession = %v, %v; want %v", got, err, want)
		}
		found, err := e.Sessions.FindSession(e.ctx, want.Hash, t0)
		if err != nil || fmt.Sprint(found.Session) != fmt.Sprint(want) || !found.At.Equal(t0) {
			e.Errorf("FindSession = %v, %v; want %v", found, err, want)
		}
		if u := found.User; u.ID != 7 || u.Name != "u7" || u.Email.Canonical() != "u7@example.com" || !u.CreatedAt.Equal(t0) {
			e.Errorf("the user is %+v", u)
		}
		if m := found.Member; m.Tenant != 20 || m.User != 7 || m.Role != identity.RoleOwner || fmt.Sprint(m.Scopes) != "[extra:read]" || !m.CreatedAt.Equal(t0) {
			e.Errorf("the member is %+v", m)
		}
		if all, err := e.Sessions.ListSessions(e.ctx, 7, t0); err != nil || len(all) != 1 || fmt.Sprint(all[0]) != fmt.Sprint(want) {
			e.Errorf("ListSessions = %v, %v; want %v", all, err, want)
		}
	},
	"a session needs a user who is not disabled": func(e *env) {
		_, err := e.Sessions.InsertSession(e.ctx, session(1, 7), nil, 0, t0)
		e.wantErr(err, login.ErrNotFound, "there is no such user")
		e.user(7)
		e.disable(7)
		_, err = e.Sessions.InsertSession(e.ctx, session(1, 7), nil, 0, t0)
		e.wantErr(err, login.ErrNotFound, "the user is disabled")
		e.enable(7)
		e.wantSession(1, t0, false)
	},
	"a taken ID or hash of a session is a conflict": func(e *env) {
		e.begin(1, 7, t0)
		e.begin(2, 7, t0)
		sameID, sameHash := session(1, 7), session(3, 7)
		sameID.Hash, sameHash.Hash = []byte("other"), session(1, 7).Hash
		for _, s := range []login.Session{sameID, sameHash} {
			_, err := e.Sessions.InsertSession(e.ctx, s, session(2, 7).Hash, 0, t0)
			e.wantErr(err, login.ErrConflict, "it is taken")
		}
		e.wantSessions(7, t0, 2, 1)
	},
	"a new session ends the old one, whosever it is": func(e *env) {
		e.begin(1, 7, t0)
		e.begin(2, 7, t0)
		e.user(8)
		if _, err := e.Sessions.InsertSession(e.ctx, session(3, 8), session(1, 7).Hash, 0, t0); err != nil {
			e.Fatalf("InsertSession = %v", err)
		}
		e.wantSession(1, t0, false)
		e.wantSession(2, t0, true)
		e.wantSession(3, t0, true)
	},
	"a session ends when it is idle": func(e *env) {
		e.begin(1, 7, t0)
		e.wantSession(1, t0.Add(time.Hour-time.Microsecond), true) // which is a use
		e.wantSession(1, t0.Add(2*time.Hour-time.Microsecond), false)
		e.begin(2, 7, t0)
		e.wantSession(2, t0.Add(time.Hour), false)
	},
	"a session ends however much it is used": func(e *env) {
		e.begin(1, 7, t0)
		for use := t0; use.Before(t0.Add(3 * time.Hour)); use = use.Add(30 * time.Minute) {
			e.wantSession(1, use, true)
		}
		e.wantSession(1, t0.Add(3*time.Hour-time.Microsecond), true)
		e.wantSession(1, t0.Add(3*time.Hour), false)
	},
	"a use is recorded once a minute": func(e *env) {
		hash := e.begin(1, 7, t0).Hash
		for _, c := range []struct{ at, seen time.Duration }{
			{59 * time.Second, 0}, {time.Minute, 0}, {90 * time.Second, time.Minute}, {2 * time.Minute, time.Minute}, {2 * time.Minute, 2 * time.Minute},
		} {
			if got, err := e.Sessions.FindSession(e.ctx, hash, t0.Add(c.at)); err != nil || !got.Session.SeenAt.Equal(t0.Add(c.seen)) {
				e.Errorf("FindSession after %v = seen after %v, %v; want %v", c.at, got.Session.SeenAt.Sub(t0), err, c.seen)
			}
		}
	},
	"the store's clock counts for sessions if no instant is given": func(e *env) {
		s := e.begin(1, 7, time.Time{})
		if s.CreatedAt.IsZero() {
			e.Error("the session has no instant")
		}
		found, err := e.Sessions.FindSession(e.ctx, s.Hash, time.Time{})
		if err != nil || found.At.Before(s.CreatedAt) || found.At.Sub(s.CreatedAt) > time.Minute {
			e.Errorf("FindSession = %v, %v", found.At, err)
		}
		e.wantSessions(7, time.Time{}, 1)
		if got, err := e.Sessions.RotateSession(e.ctx, s.Hash, login.Rotation{Hash: []byte("next"), Level: login.LevelMail}, time.Time{}); err != nil || got.ProvenAt.Before(s.CreatedAt) {
			e.Errorf("RotateSession = %+v, %v", got, err)
		}
		e.wantErr(e.Sessions.EndOneSession(e.ctx, 7, 1, time.Time{}), nil, "it is there")
	},
	"disabling a user ends their sessions for good, and no others": func(e *env) {
		e.begin(1, 7, t0)
		e.begin(2, 8, t0)
		e.disable(7)
		e.wantSession(1, t0, false)
		e.wantSession(2, t0, true)
		e.enable(7)
		e.wantSession(1, t0, false)
	},
	"deleting a user ends their sessions, and no others": func(e *env) {
		e.begin(1, 7, t0)
		e.begin(2, 8, t0)
		if _, _, err := e.Directory.DeleteUser(e.ctx, 7, t0); err != nil {
			e.Fatal(err)
		}
		e.wantSession(1, t0, false)
		e.wantSession(2, t0, true)
		e.wantSessions(7, t0)
	},
	"a user who begins while they are disabled has no session after it": func(e *env) {
		e.user(7)
		begin := func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Sessions.InsertSession(ctx, session(1, 7), nil, 0, t0)
			return err
		}
		disable := func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Directory.DisableUser(ctx, 7, t0)
			return err
		}
		e.meanwhile(begin, disable)
		e.enable(7)
		e.wantSessions(7, t0)
		e.meanwhile(disable, func(ctx context.Context, tx levqor.Stores) error {
			if err := begin(ctx, tx); !errors.Is(err, login.ErrNotFound) {
				return fmt.Errorf("InsertSession = %w; want ErrNotFound", err)
			}
			return nil
		})
		e.enable(7)
		e.wantSessions(7, t0)
	},
	"a change of role and the end of a place count at once": func(e *env) {
		e.tenant(20, 7)
		e.member(20, 8, identity.RoleMember)
		s := session(1, 8)
		s.Tenant = 20
		if _, err := e.Sessions.InsertSession(e.ctx, s, nil, 0, t0); err != nil {
			e.Fatal(err)
		}
		if _, err := e.Directory.ChangeMember(e.ctx, 20, 8, identity.Grant{Role: identity.RoleViewer}); err != nil {
			e.Fatal(err)
		}
		if got, err := e.Sessions.FindSession(e.ctx, s.Hash, t0); err != nil || got.Member.Role != identity.RoleViewer {
			e.Errorf("FindSession = %+v, %v; want a viewer", got.Member, err)
		}
		if err := e.Directory.RemoveMember(e.ctx, 20, 8, t0); err != nil {
			e.Fatal(err)
		}
		if got, err := e.Sessions.FindSession(e.ctx, s.Hash, t0); err != nil || got.Member.User != 0 || got.User.ID != 8 {
			e.Errorf("FindSession = %+v, %v; want the session without a place", got, err)
		}
	},
	"a place in another tenant, or another's place, is not found": func(e *env) {
		e.tenant(20, 7)
		e.tenant(21, 8)
		s := session(1, 7)
		s.Tenant = 21
		if _, err := e.Sessions.InsertSession(e.ctx, s, nil, 0, t0); err != nil {
			e.Fatal(err)
		}
		if got, err := e.Sessions.FindSession(e.ctx, s.Hash, t0); err != nil || got.Member.User != 0 {
			e.Errorf("FindSession = %+v, %v; want no place", got.Member, err)
		}
	},
	"sessions are listed from the newest on, and those that have ended are not": func(e *env) {
		e.begin(5, 7, t0)
		e.begin(3, 7, t0.Add(time.Minute))
		e.begin(4, 7, t0.Add(time.Minute))
		e.begin(1, 8, t0)
		e.wantSessions(7, t0.Add(time.Minute), 4, 3, 5)
		e.wantSessions(7, t0.Add(time.Hour), 4, 3)
	},
	"beyond 100 sessions the oldest goes": func(e *env) {
		e.begin(900, 7, t0.Add(-2*time.Hour)) // has ended and does not count
		for id := login.SessionID(1); id <= login.MaxSessions; id++ {
			e.begin(id, 7, t0.Add(time.Duration(id)))
		}
		e.begin(901, 8, t0)
		e.wantSession(1, t0.Add(time.Second), true)
		e.begin(500, 7, t0.Add(time.Second))
		e.wantSession(1, t0.Add(time.Second), false)
		e.wantSession(2, t0.Add(time.Second), true)
		e.wantSession(901, t0.Add(time.Second), true)
		if all, err := e.Sessions.ListSessions(e.ctx, 7, t0.Add(time.Second)); err != nil || len(all) != login.MaxSessions || all[0].ID != 500 {
			e.Errorf("ListSessions = %d sessions, %v; want %d", len(all), err, login.MaxSessions)
		}
	},
	"sessions that have ended are deleted up to the limit": func(e *env) {
		for id := login.SessionID(1); id <= 3; id++ {
			e.begin(id, 7, t0)
		}
		e.begin(4, 7, t0.Add(time.Microsecond))
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Sessions.DeleteExpiredSessions(e.ctx, 2, t0.Add(time.Hour)); err != nil || n != want {
				e.Errorf("DeleteExpiredSessions = %d, %v; want %d", n, err, want)
			}
		}
		e.wantSessions(7, t0, 4)
	},
	"what a transaction did to sessions is undone": func(e *env) {
		hash := e.begin(1, 7, t0).Hash
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, insertErr := tx.Sessions.InsertSession(ctx, session(2, 7), nil, 0, t0)
			endErr := tx.Sessions.EndSession(ctx, hash)
			_, disableErr := tx.Directory.DisableUser(ctx, 7, t0)
			return errors.Join(insertErr, endErr, disableErr, errBoom)
		})
		if fmt.Sprint(err) != errBoom.Error() {
			e.Errorf("InTx = %v, want %v alone", err, errBoom)
		}
		e.wantSessions(7, t0, 1)
	},
}
