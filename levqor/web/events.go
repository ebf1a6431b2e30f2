package web

import (
	"context"
	"log/slog"
	"net/http"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

// event returns what a visitor has done, for the log of the tenant where they are at work,
// else for the owner's.
func (s *site) event(r *http.Request, who *visitor, action guard.Action, target string) guard.Event {
	e := guard.Event{
		Tenant: identity.OwnerTenant, Action: action, Outcome: guard.OutcomeSuccess, Target: target,
		Address: s.app.SecurityLog.Pseudonym("ip", guard.Network(s.sessions.Device(r).Address)),
	}
	if who == nil {
		return e
	}
	e.Actor = who.User.ID.String()
	if tenant := who.Tenant(); tenant != 0 {
		e.Tenant = tenant.String()
	}
	return e
}

// sessionEvent returns an event of somebody who has just signed in.
func (s *site) sessionEvent(r *http.Request, session login.Session, action guard.Action) guard.Event {
	e := s.event(r, nil, action, session.ID.String())
	e.Actor = session.User.String()
	if session.Tenant != 0 {
		e.Tenant = session.Tenant.String()
	}
	return e
}

// record records what was done. It is done already, so who did it is not told that the log
// could not be written.
func (s *site) record(r *http.Request, e guard.Event) {
	if err := s.app.SecurityLog.Record(context.WithoutCancel(r.Context()), e); err != nil {
		s.opts.Logger.ErrorContext(r.Context(), "web: security event not recorded", slog.String("action", string(e.Action)), slog.Any("error", err))
	}
}

// recordIn records what is done in the transaction that does it.
func (s *site) recordIn(ctx context.Context, tx levqor.Stores, e guard.Event) error {
	return s.app.SecurityLog.With(tx.SecurityLog).Record(ctx, e)
}

// noteRefusal notes soon, for the tenant of a connection, that somebody did not get in by it.
func (s *site) noteRefusal(r *http.Request, by sso.Connection, err error) {
	e := s.event(r, nil, guard.ActionLoginFailed, by.ID.String())
	e.Tenant, e.Outcome = by.Tenant.String(), guard.OutcomeFailed
	e.Detail = map[string]string{"by": "provider", "connection": by.ID.String()}
	if all := fault.All(err); len(all) > 0 {
		e.Detail["code"] = all[0].Code
	}
	s.note(r, e)
}

// noteFailure notes soon that somebody did not get in.
func (s *site) noteFailure(r *http.Request, who *visitor, by string) {
	e := s.event(r, who, guard.ActionLoginFailed, "")
	e.Outcome, e.Detail = guard.OutcomeFailed, map[string]string{"by": by}
	s.note(r, e)
}

func (s *site) note(r *http.Request, e guard.Event) {
	if err := s.app.SecurityLog.Note(e); err != nil {
		s.opts.Logger.ErrorContext(r.Context(), "web: a security event is not valid", slog.Any("error", err))
	}
}
