package oidclogin_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor/oidclogin"
)

const (
	clientID     = "client"
	clientSecret = "the client's secret, which must stay one"
)

// fake is an identity provider that checks what a real one checks. Its fields change what
// it does; set them before it is asked.
type fake struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	key      crypto.Signer
	kid      string
	codes    map[string]grant
	asked    map[string]int // requests by path
	metadata map[string]any
	// claims are what it says beside who it is and for whom.
	claims map[string]any
	// redirect is the redirect URI that is registered.
	redirect string
	// userInfo is what it says when it is asked.
	userInfo map[string]any
	// sign makes the ID token. Default: with the key.
	sign func(claims map[string]any) string
	// answer answers in the place of a path, if it is set there.
	answer map[string]http.HandlerFunc
}

type grant struct {
	challenge, redirect, nonce string
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, codes: map[string]grant{}, asked: map[string]int{}, answer: map[string]http.HandlerFunc{}, metadata: map[string]any{}}
	f.rotate("k1")
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	f.claims = map[string]any{"sub": "s1", "email": "ada@acme.example", "email_verified": true, "name": "Ada"}
	return f
}

// rotate gives the provider another key; names that begin with e are those of ES256.
func (f *fake) rotate(kid string) {
	var err error
	f.kid = kid
	if strings.HasPrefix(kid, "e") {
		f.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		f.key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	if err != nil {
		f.t.Fatal(err)
	}
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[r.URL.Path]++
	if answer := f.answer[r.URL.Path]; answer != nil {
		answer(w, r)
		return
	}
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		m := map[string]any{
			"issuer": f.URL, "authorization_endpoint": f.URL + "/authorize", "token_endpoint": f.URL + "/token", "jwks_uri": f.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"none", "HS256", "RS256", "ES256"}, "userinfo_endpoint": f.URL + "/userinfo",
		}
		maps.Copy(m, f.metadata)
		reply(w, m)
	case "/keys":
		reply(w, map[string]any{"keys": []any{f.jwk()}})
	case "/token":
		f.token(w, r)
	case "/userinfo":
		if r.Header.Get("Authorization") != "Bearer opaque" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		reply(w, f.userInfo)
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// authorize is what a browser does at the provider: it brings back what the provider
// answers to somebody who has signed in there.
func (f *fake) authorize(to string) url.Values {
	f.t.Helper()
	u, err := url.Parse(to)
	if err != nil || !strings.HasPrefix(to, f.URL+"/authorize?") {
		f.t.Fatalf("the URL is %q, %v", to, err)
	}
	q := u.Query()
	for name, want := range map[string]string{"client_id": clientID, "response_type": "code", "code_challenge_method": "S256", "redirect_uri": f.redirect, "scope": "openid email profile"} {
		if got := q.Get(name); got != want {
			f.t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(q.Get(name)) < 43 {
			f.t.Errorf("%s is %q, want 256 bits", name, q.Get(name))
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	code := rand.Text()
	f.codes[code] = grant{q.Get("code_challenge"), q.Get("redirect_uri"), q.Get("nonce")}
	return url.Values{"code": {code}, "state": {q.Get("state")}}
}

// callback is what a browser is sent back with to the registered redirect URI.
func (f *fake) callback(back url.Values) oidclogin.Callback {
	f.t.Helper()
	u, err := url.Parse(f.redirect + "?" + back.Encode())
	if err != nil {
		f.t.Fatal(err)
	}
	return oidclogin.ReadCallback(u)
}

// token gives an ID token for a code, once and to the one who began (RFC 7636, section 4.6).
func (f *fake) token(w http.ResponseWriter, r *http.Request) {
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.FormValue("client_id"), r.FormValue("client_secret")
	}
	secret, _ = url.QueryUnescape(secret)
	g, known := f.codes[r.FormValue("code")]
	delete(f.codes, r.FormValue("code"))
	challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
	right := known && base64.RawURLEncoding.EncodeToString(challenge[:]) == g.challenge && r.FormValue("redirect_uri") == g.redirect
	if !right || r.Method != http.MethodPost || r.FormValue("grant_type") != "authorization_code" || id != clientID || secret != clientSecret {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		fmt.Fprint(w, `{"error": "invalid_grant", "error_description": "canary of the provider"}`)
		return
	}
	now := time.Now()
	claims := map[string]any{"iss": f.URL, "aud": clientID, "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "nonce": g.nonce}
	maps.Copy(claims, f.claims)
	sign := f.sign
	if sign == nil {
		sign = f.signed
	}
	reply(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": sign(claims)})
}

func (f *fake) alg() string {
	if _, ok := f.key.(*ecdsa.PrivateKey); ok {
		return "ES256"
	}
	return "RS256"
}

// signed returns claims as a JWT that is signed with the key.
func (f *fake) signed(claims map[string]any) string {
	text := unsigned(map[string]any{"alg": f.alg(), "kid": f.kid}, claims)
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	var err error
	switch key := f.key.(type) {
	case *ecdsa.PrivateKey:
		var r, s *big.Int
		r, s, err = ecdsa.Sign(rand.Reader, key, sum[:])
		sig = append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
	}
	if err != nil {
		f.t.Error(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// withHMAC returns claims as a JWT that is signed with a text.
func (f *fake) withHMAC(claims map[string]any, key string) string {
	text := unsigned(map[string]any{"alg": "HS256", "kid": f.kid}, claims)
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return text + "." + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

func unsigned(header, claims map[string]any) string {
	h, _ := json.Marshal(header)
	c, _ := json.Marshal(claims)
	return base64.RawURLEncoding.EncodeToString(h) + "." + base64.RawURLEncoding.EncodeToString(c)
}

func (f *fake) jwk() map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch key := f.key.Public().(type) {
	case *ecdsa.PublicKey:
		raw, err := key.Bytes()
		if err != nil {
			f.t.Error(err)
		}
		return map[string]any{"kty": "EC", "crv": "P-256", "kid": f.kid, "use": "sig", "x": b64(raw[1:33]), "y": b64(raw[33:])}
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "kid": f.kid, "use": "sig", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
	default:
		return nil
	}
}
