package httpguard

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/levqor/sdk/internal/fault"
)

// ErrInvalid reports a wrong option and names it; test with errors.Is.
var ErrInvalid = fault.ErrInvalid

// What scripts of other origins may send and read.
const (
	sharedMethods  = "GET, POST, PUT, PATCH, DELETE"
	sharedRequest  = "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID"
	sharedResponse = "Request-Id, RateLimit, RateLimit-Policy, Retry-After, Location, ETag, Deprecation, Sunset, Levqor-Key-Status, Idempotent-Replayed"
	sharedSeconds  = "600" // that a browser remembers the answer to a preflight
)

// shared lets scripts of the allowed origins read the answers of a handler (CORS, as the
// Fetch standard has it), and answers their preflights. To all others the handler's
// answers say nothing of it, so browsers keep them to themselves.
func (g *Guard) shared(h http.Handler) http.Handler {
	if len(g.opts.Origins) == 0 {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if !slices.Contains(g.opts.Origins, origin) {
			h.ServeHTTP(w, r)
			return
		}
		set(header, "Access-Control-Allow-Origin", origin)
		if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
			set(header, "Access-Control-Expose-Headers", sharedResponse)
			h.ServeHTTP(w, r)
			return
		}
		set(header, "Access-Control-Allow-Methods", sharedMethods)
		set(header, "Access-Control-Allow-Headers", sharedRequest)
		set(header, "Access-Control-Max-Age", sharedSeconds)
		w.WriteHeader(http.StatusNoContent)
	})
}

func (o *Options) check() error {
	for field, origins := range map[string][]string{"/origins": o.Origins, "/partners": o.Partners, "/form_targets": o.FormTargets} {
		if slices.ContainsFunc(origins, func(origin string) bool { return !isOrigin(origin) }) {
			return invalidOrigin(field)
		}
	}
	if o.ReportPath != "" && (!strings.HasPrefix(o.ReportPath, "/") || strings.ContainsAny(o.ReportPath, "\"\\\r\n")) {
		return fault.Invalid("/report_path", "invalid_format", "must be a path")
	}
	return nil
}

// isOrigin reports whether s is what browsers send as the origin of a page: its scheme and
// its host, in lower case, with a port unless it is the usual one.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || strings.ContainsAny(u.Host, "*;, \t") {
		return false
	}
	usual := map[string]string{"https": "443", "http": "80"}[u.Scheme]
	return s == u.Scheme+"://"+strings.ToLower(u.Host) && u.Port() != usual && !strings.HasSuffix(u.Host, ":")
}

func invalidOrigin(field string) error {
	return fault.Invalid(field, "invalid_format", "must hold origins alone, such as https://app.example.com")
}

// addBypass adds a pattern, or says that it cannot be read: the standard library panics.
func addBypass(p *http.CrossOriginProtection, pattern string) (err error) {
	defer func() {
		if recover() != nil {
			err = fault.Invalid("/bypass", "invalid_format", "must hold patterns of http.ServeMux that do not overlap")
		}
	}()
	p.AddInsecureBypassPattern(pattern)
	return nil
}
