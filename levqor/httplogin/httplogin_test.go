package httplogin_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/httplogin"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// rig is an app in memory with ada, who owns a team.
type rig struct {
	*testing.T
	app      *levqor.App
	sessions *httplogin.Sessions
	ada      identity.User
	at       *time.Time
}

func newRig(t *testing.T, opts *httplogin.Options) *rig {
	t.Helper()
	at := new(time.Now())
	app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte(strings.Repeat("s", 32)), Now: func() time.Time { return *at }})
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := httplogin.New(app.Sessions, opts)
	if err != nil {
		t.Fatal(err)
	}
	email, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	ada, _, err := app.Directory.EnsureUser(t.Context(), email, "Ada")
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, app, sessions, ada, at}
}

// team makes a team of ada's.
func (r *rig) team() identity.TenantID {
	r.Helper()
	tenant, err := r.app.Directory.CreateTenant(r.Context(), "Engines", r.ada.ID)
	if err != nil {
		r.Fatal(err)
	}
	return tenant.ID
}

// start signs ada in, and returns the cookie that her browser gets.
func (r *rig) start(tenant identity.TenantID, level login.Level) *http.Cookie {
	r.Helper()
	token, session, err := r.app.Sessions.Start(r.Context(), login.Start{User: r.ada.ID, Tenant: tenant, Level: level})
	if err != nil {
		r.Fatal(err)
	}
	w := httptest.NewRecorder()
	r.sessions.Put(w, token, session)
	cookies := w.Result().Cookies()
	if len(cookies) != 1 || cookies[0].Value != token || !cookies[0].Expires.Equal(session.ProvenAt.Add(session.Lifetime.Absolute).Truncate(time.Second)) {
		r.Fatalf("Put sent %v for %+v", cookies, session)
	}
	return cookies[0]
}

func request(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", http.NoBody)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

// wantPinned demands the attributes of a cookie that reaches no script, no other host and
// no form of another site.
func wantPinned(t *testing.T, line string) {
	t.Helper()
	for _, want := range []string{"__Host-lvq_", "; Path=/", "; HttpOnly", "; Secure", "; SameSite=Lax"} {
		if !strings.Contains(line, want) {
			t.Errorf("the cookie %s lacks %q", line, want)
		}
	}
	if strings.Contains(line, "Domain") || len(line) > 4096 {
		t.Errorf("the cookie is %s", line)
	}
}

func TestCookiesArePinnedToThisHostAndReachNoScript(t *testing.T) {
	r := newRig(t, nil)
	w := httptest.NewRecorder()
	cookie := r.start(0, login.LevelMail)
	r.sessions.Put(w, cookie.Value, login.Session{ProvenAt: time.Now()})
	flow, err := r.app.Links.Begin(t.Context(), r.ada.Email, login.Device{})
	if err != nil {
		t.Fatal(err)
	}
	r.sessions.PutFlow(w, flow)
	r.sessions.Keep(w, "device", "abc", time.Now().Add(time.Hour))
	r.sessions.DropFlow(w)
	lines := w.Header()["Set-Cookie"]
	for _, line := range lines {
		wantPinned(t, line)
		if strings.Contains(line, "ada") {
			t.Errorf("the cookie %s is personal", line)
		}
	}
	if len(lines) != 4 || !strings.HasPrefix(lines[0], "__Host-lvq_session=") || !strings.Contains(lines[3], "lvq_login=; Path=/; Max-Age=0") {
		t.Errorf("the cookies are %q", lines)
	}
	got := r.sessions.Flow(request(w.Result().Cookies()[1]))
	if got.ID != flow.ID || got.Cookie != flow.Cookie || got.Match != flow.Match {
		t.Errorf("Flow = %+v, want %+v", got, flow)
	}
	if got := r.sessions.Kept(request(w.Result().Cookies()[2]), "device"); got != "abc" {
		t.Errorf("Kept = %q", got)
	}
}

func TestForDevelopmentCookiesCrossPlainHTTP(t *testing.T) {
	r := newRig(t, &httplogin.Options{Insecure: true})
	cookie := r.start(0, login.LevelMail)
	if cookie.Name != "lvq_session" || cookie.Secure || !cookie.HttpOnly {
		t.Errorf("the cookie is %v", cookie)
	}
}

func TestTwoCookiesOfANameAreNone(t *testing.T) {
	r := newRig(t, nil)
	cookie := r.start(0, login.LevelMail)
	if found, token, err := r.sessions.Find(request(cookie)); err != nil || found.User.ID != r.ada.ID || token != cookie.Value {
		t.Fatalf("Find = %+v, %q, %v", found, token, err)
	}
	planted := *cookie
	planted.Value = strings.Repeat("A", 43)
	for _, two := range [][]*http.Cookie{{cookie, &planted}, {&planted, cookie}, {cookie, cookie}} {
		if _, _, err := r.sessions.Find(request(two...)); !errors.Is(err, login.ErrUnauthenticated) {
			t.Errorf("Find with two cookies = %v, want ErrUnauthenticated", err)
		}
	}
}

func TestHostileCookiesAreNone(t *testing.T) {
	r := newRig(t, nil)
	good := r.start(0, login.LevelMail).Value
	for _, value := range []string{
		"", " ", good + " ", good + good, good[:42], strings.Repeat("A", 1<<20), "%00", "../../etc/passwd", "'; DROP TABLE levqor_login_session; --",
		"\xff\xfe", "..", "a..12", "a.b.1x", "a.b.123", "<script>", good + ".", "." + good,
	} {
		req := request()
		req.Header.Set("Cookie", "__Host-lvq_session="+value+"; __Host-lvq_login="+value)
		if _, _, err := r.sessions.Find(req); !errors.Is(err, login.ErrUnauthenticated) && value != good+" " {
			t.Errorf("Find with %.50q = %v, want ErrUnauthenticated", value, err)
		}
		if flow := r.sessions.Flow(req); flow.ID != "" && value != "a..12" {
			t.Errorf("Flow with %.50q = %+v, want none", value, flow)
		}
		if err := r.sessions.End(httptest.NewRecorder(), req); err != nil {
			t.Errorf("End with %.50q = %v", value, err)
		}
	}
}

func TestADeviceIsNamedInWordsOfAList(t *testing.T) {
	r := newRig(t, &httplogin.Options{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0":                                                                  "Firefox on Linux",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36 Edg/140.0":                   "Edge on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Mobile/15E148 Safari/604.1": "Safari on iPhone",
		"Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Mobile Safari/537.36":                                "Chrome on Android",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15":                   "Safari on Mac",
		"":                                 "a browser",
		"<b>you</b> have won \x00 Windows": "a browser on Windows",
		strings.Repeat("Firefox/", 10_000): "Firefox",
	} {
		req := request()
		req.Header.Set("User-Agent", agent)
		req.Header.Set("X-Forwarded-For", "198.51.100.7")
		if got := r.sessions.Device(req); got.Label != want || got.Address.String() != "198.51.100.7" {
			t.Errorf("Device(%.60q) = %+v, want %q", agent, got, want)
		}
	}
	if _, err := httplogin.New(r.app.Sessions, &httplogin.Options{TrustedProxies: []netip.Prefix{{}}}); !errors.Is(err, levqor.ErrInvalid) {
		t.Errorf("New with a proxy that is none = %v, want ErrInvalid", err)
	}
}

func TestEndingASessionLetsTheBrowserForget(t *testing.T) {
	r := newRig(t, nil)
	cookie := r.start(0, login.LevelMail)
	w := httptest.NewRecorder()
	if err := r.sessions.End(w, request(cookie)); err != nil {
		t.Fatal(err)
	}
	if got := w.Header().Get("Clear-Site-Data"); got != `"cache", "cookies", "storage"` {
		t.Errorf("Clear-Site-Data is %q", got)
	}
	if gone := w.Result().Cookies(); len(gone) != 1 || gone[0].MaxAge != -1 || gone[0].Value != "" {
		t.Errorf("the cookies are %v", gone)
	}
	if _, _, err := r.sessions.Find(request(cookie)); !errors.Is(err, login.ErrUnauthenticated) {
		t.Errorf("Find with a copy of the cookie = %v, want ErrUnauthenticated", err)
	}
}

// endless are sessions that cannot be ended.
type endless struct{ login.SessionStore }

func (endless) EndSession(context.Context, []byte) error { return login.ErrUnavailable }

func TestASessionThatCannotBeEndedStaysTheBrowsers(t *testing.T) {
	sessions, err := httplogin.New(login.NewSessions(endless{login.NewMemSessionStore(identity.NewMemDirectory(identity.NewMemKeyStore()))}, nil), nil)
	if err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if err := sessions.End(w, request(&http.Cookie{Name: "__Host-lvq_session", Value: strings.Repeat("A", 43)})); !errors.Is(err, login.ErrUnavailable) {
		t.Errorf("End = %v, want ErrUnavailable", err)
	}
	if h := w.Header(); h.Get("Set-Cookie") != "" || h.Get("Clear-Site-Data") != "" {
		t.Errorf("the browser is told to forget: %v", h)
	}
}

func TestRoutesOfAHostAreForThoseWhoAreSignedIn(t *testing.T) {
	r := newRig(t, nil)
	h := r.sessions.Require(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		found, ok := httplogin.From(req.Context())
		if !ok || found.User.ID != r.ada.ID {
			t.Errorf("From = %+v, %v", found, ok)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	for what, c := range map[string]struct {
		cookies []*http.Cookie
		want    int
	}{
		"a session":                     {[]*http.Cookie{r.start(0, login.LevelMail)}, http.StatusNoContent},
		"no session":                    {nil, http.StatusUnauthorized},
		"a second factor still to show": {[]*http.Cookie{r.start(0, login.LevelHalf)}, http.StatusUnauthorized},
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, request(c.cookies...))
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d", what, w.Code, c.want)
		}
	}
	if _, ok := httplogin.From(t.Context()); ok {
		t.Error("From finds a session where none was required")
	}
}

func TestTheAPITakesCookiesFromItsOwnPagesAlone(t *testing.T) {
	r := newRig(t, nil)
	key, _, err := r.app.Keys.EnsureOwner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	api, err := httpapi.New(r.app, &httpapi.Options{Authenticator: httpapi.FirstOf(httpapi.SameOrigin(r.sessions), httpapi.APIKeys(r.app, nil))})
	if err != nil {
		t.Fatal(err)
	}
	cookie, half := r.start(r.team(), login.LevelSecondFactor), r.start(r.team(), login.LevelHalf)
	for what, c := range map[string]struct {
		method, site, media, key string
		cookie                   *http.Cookie
		want                     int
	}{
		"a page of this origin reads":       {http.MethodGet, "same-origin", "", "", cookie, http.StatusOK},
		"it changes something":              {http.MethodPatch, "same-origin", "application/json", "", cookie, http.StatusOK},
		"a form of this origin":             {http.MethodPatch, "same-origin", "application/x-www-form-urlencoded", "", cookie, http.StatusUnauthorized},
		"another site reads":                {http.MethodGet, "cross-site", "", "", cookie, http.StatusUnauthorized},
		"a neighbour reads":                 {http.MethodGet, "same-site", "", "", cookie, http.StatusUnauthorized},
		"a program with a cookie":           {http.MethodGet, "", "", "", cookie, http.StatusUnauthorized},
		"another site changes something":    {http.MethodPatch, "cross-site", "application/json", "", cookie, http.StatusUnauthorized},
		"a second factor still to be shown": {http.MethodGet, "same-origin", "", "", half, http.StatusUnauthorized},
		"no cookie":                         {http.MethodGet, "same-origin", "", "", nil, http.StatusUnauthorized},
		"a program with a key":              {http.MethodGet, "", "", key, nil, http.StatusOK},
	} {
		req := httptest.NewRequest(c.method, "/api/v1/tenant", strings.NewReader(`{"name":"Engines"}`))
		if c.method == http.MethodGet {
			req = httptest.NewRequest(c.method, "/api/v1/tenant", http.NoBody)
		}
		for name, value := range map[string]string{"Sec-Fetch-Site": c.site, "Content-Type": c.media} {
			if value != "" {
				req.Header.Set(name, value)
			}
		}
		if c.key != "" {
			req.Header.Set("Authorization", "Bearer "+c.key)
		}
		if c.cookie != nil {
			req.AddCookie(c.cookie)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		if w.Code != c.want {
			t.Errorf("%s: status %d, want %d: %s", what, w.Code, c.want, w.Body)
		}
	}
}

func TestTheAPIAsksForAFreshProofOfAPersonAndNotOfAKey(t *testing.T) {
	r := newRig(t, nil)
	key, _, err := r.app.Keys.EnsureOwner(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	api, err := httpapi.New(r.app, &httpapi.Options{Authenticator: httpapi.FirstOf(httpapi.SameOrigin(r.sessions), httpapi.APIKeys(r.app, nil))})
	if err != nil {
		t.Fatal(err)
	}
	cookie := r.start(r.team(), login.LevelSecondFactor)
	send := func(method, path, body, key string) (int, string) {
		req := httptest.NewRequest(method, path, strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Idempotency-Key", "k-"+r.at.String())
		if key != "" {
			req.Header.Set("Authorization", "Bearer "+key)
		} else {
			req.Header.Set("Sec-Fetch-Site", "same-origin")
			req.AddCookie(cookie)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		return w.Code, w.Body.String()
	}
	const newKey = `{"name":"ci","scopes":["jobs:read"]}`
	if status, body := send(http.MethodPost, "/api/v1/api-keys", newKey, ""); status != http.StatusCreated {
		t.Errorf("a fresh proof: status %d: %s", status, body)
	}
	*r.at = r.at.Add(time.Hour)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/api/v1/api-keys", newKey},
		{http.MethodPost, "/api/v1/api-keys", `{}`},
		{http.MethodGet, "/api/v1/security-events/export", ""},
		{http.MethodDelete, "/api/v1/members/" + r.ada.ID.String(), ""},
		{http.MethodDelete, "/api/v1/tenant?confirm=x", ""},
	} {
		if status, body := send(c.method, c.path, c.body, ""); status != http.StatusForbidden || !strings.Contains(body, `"code":"proof_required"`) {
			t.Errorf("%s %s without a fresh proof: status %d: %s", c.method, c.path, status, body)
		}
	}
	if status, body := send(http.MethodPatch, "/api/v1/tenant", `{"name":"Looms"}`, ""); status != http.StatusOK {
		t.Errorf("what needs no fresh proof: status %d: %s", status, body)
	}
	if status, body := send(http.MethodPost, "/api/v1/api-keys", newKey, key); status != http.StatusCreated {
		t.Errorf("a key: status %d: %s", status, body)
	}
}
