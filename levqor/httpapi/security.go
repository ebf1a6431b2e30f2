package httpapi

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"iter"
	"log/slog"
	"net/http"

	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/identity"
)

// ListSecurityEvents implements the operation.
func (s *server) ListSecurityEvents(ctx context.Context, req oas.ListSecurityEventsRequestObject) (oas.ListSecurityEventsResponseObject, error) {
	tenant, limit := caller(ctx).Tenant, limitOf(req.Params.Limit)
	query, filters, err := s.logQuery(tenant, req.Params)
	if err != nil {
		return nil, err
	}
	query.Limit = limit + 1 // one more tells whether there is a next page
	entries, err := s.app.SecurityLog.Entries(ctx, tenant, query)
	if err != nil {
		return nil, err
	}
	var page client.SecurityEventPage
	page.Data, page.HasMore = wirePage(entries, limit, wireEvent)
	if page.HasMore {
		page.NextCursor = new(s.cursor("security-events", tenant, filters, binary.BigEndian.AppendUint64(nil, uint64(entries[limit-1].Seq))))
	}
	return oas.ListSecurityEvents200JSONResponse{Body: page}, nil
}

// ExportSecurityEvents implements the operation.
func (s *server) ExportSecurityEvents(ctx context.Context, req oas.ExportSecurityEventsRequestObject) (oas.ExportSecurityEventsResponseObject, error) {
	entries, err := s.app.SecurityLog.Export(ctx, caller(ctx).Tenant, value(req.Params.After), s.event(ctx, guard.ActionLogExported, ""))
	return export{s, ctx, entries}, err
}

// VerifySecurityEvents implements the operation.
func (s *server) VerifySecurityEvents(ctx context.Context, _ oas.VerifySecurityEventsRequestObject) (oas.VerifySecurityEventsResponseObject, error) {
	r, err := s.app.SecurityLog.Verify(ctx, caller(ctx).Tenant)
	return oas.VerifySecurityEvents200JSONResponse{
		Whole: r.Whole(), First: r.First, Last: r.Last, Checked: r.Checked, Broken: optional(r.Broken),
		Flaw: optional(client.SecurityReportFlaw(r.Flaw)), Mac: append([]byte{}, r.MAC...),
	}, err
}

// export answers with entries, one on a line.
type export struct {
	*server
	ctx     context.Context //nolint:containedctx // the request's, of which the generated interface hands on the writer alone
	entries iter.Seq2[guard.Entry, error]
}

// VisitExportSecurityEventsResponse implements the generated interface. An answer that has
// begun can only be cut off.
func (e export) VisitExportSecurityEventsResponse(w http.ResponseWriter) error {
	w.Header().Set("Content-Type", "application/x-ndjson")
	lines := json.NewEncoder(w)
	for entry, err := range e.entries {
		if err != nil {
			e.opts.Logger.ErrorContext(e.ctx, "httpapi: export cut off", slog.String("request_id", requestID(e.ctx)),
				slog.Any("error", err), slog.String("cause", fault.Cause(err)))
			panic(http.ErrAbortHandler)
		}
		if lines.Encode(wireEvent(entry)) != nil {
			return nil // the caller has left
		}
	}
	return nil
}

func (s *server) logQuery(tenant string, p client.ListSecurityEventsParams) (q guard.LogQuery, filters client.ListSecurityEventsParams, err error) {
	q = guard.LogQuery{
		Action: guard.Action(value(p.Action)), Outcome: guard.Outcome(value(p.Outcome)), Actor: value(p.Actor),
		From: value(p.From).UTC(), Until: value(p.Until).UTC(),
	}
	cursor := p.Cursor
	p.Cursor, p.Limit = nil, nil // are no filters
	if cursor == nil {
		return q, p, nil
	}
	last, err := s.parseCursor("security-events", tenant, p, *cursor)
	if err != nil || len(last) != 8 {
		return q, p, errCursor
	}
	q.Before = int64(binary.BigEndian.Uint64(last))
	return q, p, nil
}

func wireEvent(e guard.Entry) client.SecurityEvent {
	wire := client.SecurityEvent{
		Seq: e.Seq, At: e.At, Action: client.SecurityAction(e.Action), Outcome: client.SecurityOutcome(e.Outcome), Actor: optional(e.Actor),
		Target: optional(e.Target), RequestID: optional(e.RequestID), Address: optional(e.Address), Count: int64(e.Count), Detail: e.Detail, Key: e.Key, Mac: e.MAC,
	}
	if wire.Detail == nil {
		wire.Detail = map[string]string{}
	}
	return wire
}

// event returns an event of the caller of a request.
func (s *server) event(ctx context.Context, action guard.Action, target string) guard.Event {
	e := guard.Event{Tenant: identity.OwnerTenant, Action: action, Outcome: guard.OutcomeSuccess, Target: target, RequestID: requestID(ctx)}
	if v, ok := ctx.Value(visitorKey{}).(*visitor); ok {
		e.Tenant, e.Actor, e.Address = v.Tenant, cmp.Or(v.KeyID, v.UserID), s.addressOf(v.request)
	}
	return e
}

// addressOf returns the pseudonym of where a request comes from, as it is counted.
func (s *server) addressOf(r *http.Request) string {
	return s.app.SecurityLog.Pseudonym("ip", guard.Network(s.clientAddr(r)))
}

// record records what the caller has done, in the transaction that does it.
func (s *server) record(ctx context.Context, tx levqor.Stores, action guard.Action, target string) error {
	return s.recordEvent(ctx, tx, s.event(ctx, action, target))
}

// recordGrant records the same of what gives somebody a role.
func (s *server) recordGrant(ctx context.Context, tx levqor.Stores, action guard.Action, target string, role identity.Role) error {
	e := s.event(ctx, action, target)
	e.Detail = map[string]string{"role": string(role)}
	return s.recordEvent(ctx, tx, e)
}

func (s *server) recordEvent(ctx context.Context, tx levqor.Stores, e guard.Event) error {
	return s.app.SecurityLog.With(tx.SecurityLog).Record(ctx, e)
}

// note records soon what nobody waits for.
func (s *server) note(r *http.Request, e guard.Event) {
	if err := s.app.SecurityLog.Note(e); err != nil {
		s.opts.Logger.ErrorContext(r.Context(), "httpapi: a security event is not valid", slog.String("request_id", requestID(r.Context())), slog.Any("error", err))
	}
}

// noteRefusal notes that somebody was refused for who they are. Those who are not known
// stand in the owner's log: whose key they would have had is anybody's guess.
func (s *server) noteRefusal(r *http.Request, rule rule, err error) {
	outcome, refusal := map[int]guard.Outcome{
		http.StatusUnauthorized: guard.OutcomeFailed,
		http.StatusForbidden:    guard.OutcomeDenied,
	}[rule.status]
	if !refusal {
		return
	}
	e := s.event(r.Context(), guard.ActionAccessDenied, "")
	e.Outcome = outcome
	e.Address = s.addressOf(r)
	e.Detail = map[string]string{"operation": r.Pattern, "reason": reasonOf(rule, err)}
	if scope, ok := errors.AsType[*scopeError](err); ok {
		e.Detail["scope"] = scope.scope
	}
	s.note(r, e)
}

// reasonOf says why somebody was refused, also what they were not told.
func reasonOf(rule rule, err error) string {
	switch {
	case errors.Is(err, identity.ErrOtherNetwork):
		return "other_network"
	case errors.Is(err, identity.ErrOtherEnvironment):
		return "other_environment"
	default:
		return string(rule.code)
	}
}
