package oidclogin

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"

	"github.com/levqor/sdk/levqor/sso"
)

// flow is the secret that a browser keeps during a sign-in: 256 random bits. State, nonce
// and PKCE verifier are derived from it and it is stored as a hash alone, so neither the
// database nor what providers and logs see of a flow is enough to finish it.
type flow string

func newFlow() flow {
	var raw [32]byte
	_, _ = rand.Read(raw[:]) // does not fail
	return flow(base64.RawURLEncoding.EncodeToString(raw[:]))
}

func (f flow) hash() []byte {
	sum := sha256.Sum256([]byte(f))
	return sum[:]
}

func (f flow) state() string    { return f.derive("state") }
func (f flow) nonce() string    { return f.derive("nonce") }
func (f flow) verifier() string { return f.derive("code_verifier") }

// derive returns 43 characters, as many as a PKCE verifier needs.
func (f flow) derive(purpose string) string {
	h := hmac.New(sha256.New, []byte(f))
	h.Write([]byte("levqor/oidclogin/" + purpose))
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// isState reports, in constant time, whether a state is the flow's.
func (f flow) isState(state string) bool { return equal(state, f.state()) }

func equal(a, b string) bool { return hmac.Equal([]byte(a), []byte(b)) }

// CookieName is the name of the cookie that ties a flow to a browser.
const CookieName = "__Host-lvq_sso"

// Cookie returns the cookie that ties a flow to a browser, with the secret that
// [RelyingParty.Begin] returns. It is sent along when a provider sends the browser back,
// and never to scripts or other hosts.
func Cookie(secret string) *http.Cookie {
	return &http.Cookie{
		Name: CookieName, Value: secret, Path: "/", MaxAge: int(sso.FlowTTL.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// Begun reports whether a callback is about the flow whose secret a browser's cookie has, as far
// as that can be told without asking anybody. What any page can make a browser ask for is not,
// so it is refused before it is counted or written down.
func Begun(secret string, callback Callback) bool { return flow(secret).isState(callback.State) }
