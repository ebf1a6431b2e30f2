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
// Callers that send JSON write the same as
//
//	{
//	  "method": "POST",
//	  "url": "https://api.example.com/invoices",
//	  "headers": [
//	    {"name": "Content-Type", "value": "application/json"},
//	    {"name": "Authorization", "value": "Bearer …", "secret": true}
//	  ],
//	  "body": "{\"amount\":1200}",
//	  "timeout_seconds": 20,
//	  "expected_status": [201, 409]
//	}
//
// and get
//
//	{
//	  "status": 201,
//	  "headers": [
//	    {"name": "Content-Type", "value": "application/json"},
//	    {"name": "Set-Cookie", "value": "[secret]"}
//	  ],
//	  "body": "{\"id\":\"in_7\"}",
//	  "body_encoding": "text",
//	  "truncated": false
//	}
//
// Only the URL is required. [Request] and [Result] tell the limits of each
// field. Nothing is added to a request but User-Agent, unless it is given, and
// the key described below; a body needs its own Content-Type.
//
// # When it tries again
//
//	an expected status: any 2xx, or those listed      completed
//	5xx, 429                                          tried again, not before Retry-After
//	no answer, no answer in time, or no valid HTTP    tried again
//	any other status, such as 404 or a redirect       discarded
//	a URL or an address that may not be called        discarded
//
// A listed status counts as success even if it is an error's, and then 2xx do
// not unless they are listed too. Retry-After is read as seconds and as a date,
// up to [MaxRetryAfter], and never shortens the kind's own backoff.
//
// Requests other than GET and HEAD carry the job's ID as Idempotency-Key, the
// same on every attempt, unless the job sets that header itself: a server that
// knows the header can tell a repetition from a new request. One that does not
// may see the request more than once, since an answer can get lost.
//
// # What it reaches
//
// Only public addresses, judged at the moment of connecting, unless
// [Options.AllowPrivateNetworks] is set. Redirects are not followed, so no header
// reaches a server that the job does not name; a job that expects a redirect
// finds its Location in the result. [Options.Hosts] lists the hosts and ports that
// requests may be for; without it they are for any. Proxies from the environment are not used.
// Errors that a job shows say what happened in words, without addresses, header
// values or bodies; [Options.Logger] is told more.
//
// # Secrets
//
// The values of headers marked secret are encrypted with the registry's Sealer
// before the job is stored, and only the request carries them. Where the answer
// repeats one, in a header or in the body, the result reads "[secret]" instead;
// values shorter than four bytes are left, as they turn up by chance. A secret
// that the server has written in another form, such as in base64, is not found.
//
// Cookies that the server sets are secrets of its own, so the values of
// Set-Cookie read "[secret]" as well. The rest of the answer is stored as it
// came: a request that is answered with credentials, such as one for an access
// token, belongs in a kind of its own.
//
// # Sizes
//
// Bodies are up to [MaxBody]. A queue refuses a job whose arguments as JSON, all
// fields together, are longer than [jobs.Options.MaxArgs], and that is 1 MiB too
// unless it is raised; levqor/httpapi takes requests of up to 1 MiB in any case.
// By default a body is therefore bounded by what JSON makes of it: a little under
// 1 MiB of plain text or 768 KiB of bytes in base64, and less for a text with
// many line breaks and quotes, which take 2 bytes each, or of the characters
// < > & and control characters, which take 6. A MaxArgs of 7 MiB takes every
// body. The answer's body always fits.
package httpjobs

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/levqor/sdk/internal/egress"
	"github.com/levqor/sdk/jobs"
)

// Kind is the name of the kind.
const Kind = "http.request"

// MaxBody bounds the bodies of requests and answers, in bytes. What an answer
// has beyond it is cut off.
const MaxBody = 1 << 20

// MaxRetryAfter bounds the wait that an answer can ask for.
const MaxRetryAfter = 24 * time.Hour

// Options configure the kind. The zero value of each field means its default.
type Options struct {
	// AllowPrivateNetworks lets requests reach private, local and other special
	// networks. It is for tests and closed networks. Default: refused.
	AllowPrivateNetworks bool
	// Hosts are those that requests may be for: names such as "api.example.com", all names
	// below one such as "*.example.com", and addresses such as "192.0.2.7" or
	// "[2001:db8::7]". One without a port means ports 443 and 8443 over https; with one,
	// such as "api.example.com:80", it means that port, over https or http. A request for
	// another host is discarded and nothing is sent; addresses are judged as without
	// Hosts. Default: any host and port.
	Hosts []string
	// Defaults are those of the kind; its Schema is set by Register.
	Defaults jobs.KindOptions
	// Logger is told why requests failed, with the addresses that the jobs do not
	// show: at level Warn of addresses that are refused, at level Debug of the
	// rest. It is not told URLs, headers or bodies. Default: discards.
	Logger *slog.Logger
}

// Register adds the kind to a registry. Options may be nil. It returns an error
// as [jobs.Handle] does, and an ErrInvalid that names each of the Hosts that is none.
func Register(r *jobs.Registry, opts *Options) error {
	if opts == nil {
		opts = &Options{}
	}
	hosts, err := parseHosts(opts.Hosts)
	if err != nil {
		return fmt.Errorf("httpjobs: register: %w", err)
	}
	c := caller{
		hosts:  hosts,
		client: egress.Client(&egress.Options{AllowPrivate: opts.AllowPrivateNetworks}),
		log:    opts.Logger,
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	defaults := opts.Defaults
	defaults.Schema = schema
	return jobs.Handle(r, c.call, &defaults)
}
