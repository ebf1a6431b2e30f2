// Package httpjobs provides the kind "http.request": a job that makes one HTTP
// request and keeps the answer.
//
//	err := httpjobs.Register(registry, nil)
//	info, err := queue.Enqueue(ctx, httpjobs.Request{
//		Method:  "POST",
//		URL:     "https://api.example.com/invoices",
//		Headers: []httpjobs.Header{{Name: "Authorization", Value: "Bearer …", Secret: true}},
//		Body:    `{"amount":1200}`,
//	}, nil)
//	result, err := jobs.Await[httpjobs.Result](ctx, queue, info.ID)
//
// # When it tries again
//
//	an expected status (any 2xx, or those listed)    completed
//	5xx, 429                                         tried again, not before Retry-After
//	no answer, or one that is not valid HTTP         tried again
//	any other status, such as 404 or a redirect      discarded
//	a URL that may not be called                     discarded
//
// Requests other than GET, HEAD and OPTIONS carry the job's ID as
// Idempotency-Key, the same on every attempt, unless the job sets that header
// itself: the other side can tell a repetition from a new request.
//
// # What it reaches
//
// Only public addresses, judged at the moment of connecting, unless
// [Options.AllowPrivateNetworks] is set. Redirects are not followed. Errors that
// a job shows hold no addresses, so they are no help in exploring a network.
//
// # Secrets
//
// The values of headers marked secret are encrypted with the registry's Sealer
// before the job is stored. Only the request itself carries them.
package httpjobs

import (
	"time"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/jobs"
)

// Kind is the name of the kind.
const Kind = "http.request"

// MaxBody bounds the bodies of requests and answers, in bytes. What an answer
// has beyond it is cut off. The job's arguments as a whole are bounded by
// [jobs.Options.MaxArgs] besides.
const MaxBody = 1 << 20

// MaxRetryAfter bounds the wait that an answer can ask for.
const MaxRetryAfter = 24 * time.Hour

// Options configure the kind. The zero value of each field means its default.
type Options struct {
	// AllowPrivateNetworks lets requests reach private, local and other special
	// networks. It is for tests and closed networks. Default: refused.
	AllowPrivateNetworks bool
	// Defaults are those of the kind; its Schema is set by Register.
	Defaults jobs.KindOptions
}

// Register adds the kind to a registry. Options may be nil. It returns an error
// as [jobs.Handle] does.
func Register(r *jobs.Registry, opts *Options) error {
	if opts == nil {
		opts = &Options{}
	}
	guard := &egress.Options{AllowPrivate: opts.AllowPrivateNetworks}
	c := caller{guard: guard, client: egress.Client(guard)}
	defaults := opts.Defaults
	defaults.Schema = schema
	return jobs.Handle(r, c.call, &defaults)
}
