package httpguard

import "net/http"

// What programs may do with an answer in a browser: nothing.
const policyOfAPI = "default-src 'none'; frame-ancestors 'none'; sandbox"

// Two years, the least that lists of browsers take.
const strictTransport = "max-age=63072000; includeSubDomains"

const permissions = "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()"

// setHeaders sets what holds for the answers of a class.
func (g *Guard) setHeaders(h http.Header, class Class, nonce string, encrypted bool) {
	set(h, "X-Content-Type-Options", "nosniff")
	set(h, "Cross-Origin-Resource-Policy", "same-origin")
	if encrypted {
		set(h, "Strict-Transport-Security", strictTransport)
	}
	switch class {
	case API:
		set(h, "Content-Security-Policy", policyOfAPI)
		set(h, "Referrer-Policy", "no-referrer")
	case Asset:
		set(h, "Content-Security-Policy", policyOfAPI) // an SVG is a document too
		set(h, "Referrer-Policy", "no-referrer")
		return
	default:
		g.setPageHeaders(h, class, nonce)
	}
	if class != Public {
		set(h, "Cache-Control", "no-store")
	}
}

func (g *Guard) setPageHeaders(h http.Header, class Class, nonce string) {
	policy := "default-src 'none'; script-src 'nonce-" + nonce + "' 'strict-dynamic'; style-src 'self' 'nonce-" + nonce +
		"'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'" + g.forms +
		"; frame-ancestors 'none'; base-uri 'none'; object-src 'none'"
	if g.opts.ReportPath != "" {
		policy += "; report-to csp"
		set(h, "Reporting-Endpoints", `csp="`+g.opts.ReportPath+`"`)
	}
	set(h, "Content-Security-Policy", policy)
	set(h, "Cross-Origin-Opener-Policy", "same-origin")
	set(h, "Permissions-Policy", permissions)
	set(h, "X-Frame-Options", "DENY") // for browsers that do not read frame-ancestors
	referrer := "strict-origin-when-cross-origin"
	if class == Secret {
		referrer = "no-referrer"
	}
	set(h, "Referrer-Policy", referrer)
}

// set is [http.Header.Set] for names in their canonical form.
func set(h http.Header, name, value string) { h[name] = []string{value} }
