package httpapi

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpguard"
	"github.com/levqor/sdk/levqor/identity"
)

// The costs of operations, by x-cost of the contract.
const (
	costRead  = "read"
	costWrite = "write"
	costBulk  = "bulk"
	costHigh  = "protected"
)

// limitTimeout bounds how long a request waits to be counted.
const limitTimeout = 5 * time.Second

// limit counts a call of a caller, or returns why it is one too many. While calls cannot be
// counted, reading goes on.
func (s *server) limit(w http.ResponseWriter, r *http.Request, op *operation, caller identity.Principal) error {
	err := s.charge(w, r, s.policy(op.cost), caller.ID())
	if err == nil || errors.Is(err, guard.ErrRateLimited) || op.cost != costRead || r.Context().Err() != nil {
		return err
	}
	s.logUncounted(r, err)
	return nil
}

// limitFailure counts a request whose key is missing or wrong, and returns the error to
// answer with. What the store says of it changes nothing for right keys.
func (s *server) limitFailure(w http.ResponseWriter, r *http.Request, err error) error {
	if !errors.Is(err, fault.ErrUnauthenticated) {
		return err
	}
	uncounted := s.charge(w, r, s.app.Limits.Failures, guard.Network(s.clientAddr(r)))
	if errors.Is(uncounted, guard.ErrRateLimited) {
		return uncounted
	}
	if uncounted != nil {
		s.logUncounted(r, uncounted)
	}
	return err
}

// policy returns the limit of a cost.
func (s *server) policy(cost string) guard.Policy {
	switch cost {
	case costRead:
		return s.app.Limits.Reads
	case costBulk:
		return s.app.Limits.Bulk
	case costHigh:
		return s.app.Limits.Protected
	default:
		return s.app.Limits.Writes
	}
}

// charge takes one of a quota and says in the answer what is left.
func (s *server) charge(w http.ResponseWriter, r *http.Request, policy guard.Policy, key string) error {
	if policy.None() {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), limitTimeout)
	defer cancel()
	decisions, err := s.app.Limiter.Take(ctx, guard.Charge{Policy: policy, Key: key})
	httpguard.SetRateLimit(w.Header(), decisions, err)
	return err
}

func (s *server) logUncounted(r *http.Request, err error) {
	s.opts.Logger.WarnContext(r.Context(), "httpapi: request not counted", slog.String("request_id", requestID(r.Context())),
		slog.Any("error", err), slog.String("cause", fault.Cause(err)))
}
