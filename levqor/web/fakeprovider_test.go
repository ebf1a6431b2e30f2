package web_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
)

// provider is an identity provider on this machine that says what it is told to.
type provider struct {
	*httptest.Server
	t   *testing.T
	key *rsa.PrivateKey

	mu    sync.Mutex
	codes map[string]url.Values // what was asked for, by code
	// claims are what it says of whoever signs in, in the place of what is right.
	claims map[string]any
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, codes: map[string]url.Values{}}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	encode := base64.RawURLEncoding.EncodeToString
	var answer any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer = map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		}
	case "/keys":
		answer = map[string]any{"keys": []any{map[string]any{
			"kty": "RSA", "kid": "k", "use": "sig", "n": encode(p.key.N.Bytes()), "e": encode(big.NewInt(int64(p.key.E)).Bytes()),
		}}}
	case "/token":
		id, secret, _ := r.BasicAuth()
		asked, known := p.codes[r.FormValue("code")]
		delete(p.codes, r.FormValue("code"))
		challenge := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		if !known || encode(challenge[:]) != asked.Get("code_challenge") || id != "levqor" || secret != "hunter2" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		answer = map[string]any{"access_token": "opaque", "token_type": "Bearer", "id_token": p.token(asked)}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// token returns a signed ID token. Whoever is to prove anew who they are does so.
func (p *provider) token(asked url.Values) string {
	now := time.Now()
	claims := map[string]any{"iss": p.URL, "aud": "levqor", "exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "nonce": asked.Get("nonce"), "email_verified": true}
	if asked.Has("max_age") {
		claims["auth_time"] = now.Unix()
	}
	maps.Copy(claims, p.claims)
	body, err := json.Marshal(claims)
	if err != nil {
		p.t.Error(err)
	}
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"RS256","kid":"k"}`)) + "." + encode(body)
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, p.key, crypto.SHA256, sum[:])
	if err != nil {
		p.t.Error(err)
	}
	return text + "." + encode(signature)
}

// says tells the provider who signs in, with what else it says.
func (p *provider) says(address string, more map[string]any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.claims = map[string]any{"sub": "subject of " + strings.ToLower(address), "email": address}
	maps.Copy(p.claims, more)
}

// authorize is what the provider does with a browser that follows a link to it: it sends
// it back to the path that is returned.
func (p *provider) authorize(to string) string {
	p.t.Helper()
	asked, ok := strings.CutPrefix(to, p.URL+"/authorize?")
	q, err := url.ParseQuery(asked)
	if !ok || err != nil || q.Get("client_id") != "levqor" || q.Get("code_challenge_method") != "S256" || len(q.Get("nonce")) < 43 {
		p.t.Fatalf("the link leads to %q, %v", to, err)
	}
	back, ok := strings.CutPrefix(q.Get("redirect_uri"), "https://app.example.com")
	if !ok {
		p.t.Fatalf("the browser is sent back to %q", q.Get("redirect_uri"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	code := rand.Text()
	p.codes[code] = q
	return back + "?" + url.Values{"code": {code}, "state": {q.Get("state")}}.Encode()
}

// toProvider returns where the link of a page leads that goes on to a provider.
func (b *browser) toProvider() string {
	b.Helper()
	link := b.find(func(n *html.Node) bool { return n.Data == "a" && attr(n, "class") == "button" })
	if link == nil {
		b.Fatalf("%s leads to no provider:\n%s", b.at, b.body)
	}
	return attr(link, "href")
}

// connect gives the team a provider for example.com.
func (r *rig) connect(p *provider, n sso.NewConnection) sso.Connection {
	r.Helper()
	n.Issuer, n.ClientID, n.ClientSecret, n.Domains, n.Role = p.URL, "levqor", "hunter2", []string{"example.com", "unproved.example"}, identity.RoleMember
	made, err := r.app.SSO.Create(r.Context(), r.team, n)
	if err != nil {
		r.Fatal(err)
	}
	r.records = records{made.Domains[0].RecordValue()}
	if made, err = r.app.SSO.Verify(r.Context(), r.team, made.ID, "example.com"); err != nil {
		r.Fatal(err)
	}
	return made
}

// signInBy signs somebody in at the provider of their domain.
func (r *rig) signInBy(p *provider, b *browser, address string, more map[string]any) *browser {
	r.Helper()
	b.open("/login").submit("/login", "email", address).want("/login", 200, "Sign in with your organisation")
	p.says(address, more)
	return b.open(p.authorize(b.toProvider()))
}
