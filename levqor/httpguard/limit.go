package httpguard

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/levqor/sdk/levqor/guard"
)

// LimitOptions configure a limit. The zero value of each field means its default.
type LimitOptions struct {
	// Refused answers requests that are too many, after the headers that tell when to come
	// back. Default: status 429 and a line of text.
	Refused http.Handler
	// Unavailable answers requests that cannot be counted, for routes where going on would
	// be worse, such as a login. Default: they go on.
	Unavailable http.Handler
}

// limitTimeout bounds how long a request waits to be counted.
const limitTimeout = 5 * time.Second

// Limit returns what lets requests to a handler through as far as a policy goes, counted
// for each key of theirs, such as what [guard.Network] makes of an address or the ID of a
// user; requests with an empty key are not counted. Answers say what is left, and those to
// requests that are too many when to come back. Options may be nil.
//
//	slow := httpguard.Limit(app.Limiter, guard.Policy{Name: "pages", Limit: 60, Window: time.Minute}, byNetwork, nil)
//	mux.Handle("POST /login", pages.Handler(httpguard.Page, slow(login)))
func Limit(limiter *guard.Limiter, policy guard.Policy, key func(*http.Request) string, opts *LimitOptions) func(http.Handler) http.Handler {
	var o LimitOptions
	if opts != nil {
		o = *opts
	}
	if o.Refused == nil {
		o.Refused = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "Too many requests. Try again later.", http.StatusTooManyRequests)
		})
	}
	return func(next http.Handler) http.Handler {
		if policy.None() {
			return next
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := take(limiter, policy, key(r), w, r)
			switch {
			case errors.Is(err, guard.ErrRateLimited):
				o.Refused.ServeHTTP(w, r)
			case err != nil && o.Unavailable != nil:
				o.Unavailable.ServeHTTP(w, r)
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
}

func take(limiter *guard.Limiter, policy guard.Policy, key string, w http.ResponseWriter, r *http.Request) error {
	if key == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), limitTimeout)
	defer cancel()
	decisions, err := limiter.Take(ctx, guard.Charge{Policy: policy, Key: key})
	SetRateLimit(w.Header(), decisions, err)
	return err
}

// SetRateLimit sets the headers that tell what [guard.Limiter.Take] has returned:
// RateLimit-Policy and RateLimit (draft-ietf-httpapi-ratelimit-headers-10), and
// Retry-After if it refused.
func SetRateLimit(h http.Header, decisions []guard.Decision, err error) {
	var policies, left []string
	for _, d := range decisions {
		policies = append(policies, fmt.Sprintf("%q;q=%d;w=%d", d.Policy.Name, d.Policy.Limit, wholeSeconds(d.Policy.Window)))
		left = append(left, fmt.Sprintf("%q;r=%d;t=%d", d.Policy.Name, d.Remaining, wholeSeconds(d.Reset)))
	}
	if len(decisions) > 0 {
		h.Set("RateLimit-Policy", strings.Join(policies, ", "))
		h.Set("RateLimit", strings.Join(left, ", "))
	}
	if refused, ok := errors.AsType[*guard.LimitError](err); ok {
		h.Set("Retry-After", strconv.FormatInt(wholeSeconds(refused.RetryAfter), 10))
	}
}

// wholeSeconds returns d in whole seconds, rounded up: who waits so long has waited enough.
func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }
