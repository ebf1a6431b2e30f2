package people_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi"
	"github.com/levqor/sdk/levqor/httplogin"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/sso"
	"github.com/levqor/sdk/levqor/web"
)

// service is the API and the pages on a database, as examples/server puts them together,
// on loopback.
type service struct {
	*testing.T
	db      *bun.DB
	app     *levqor.App
	server  *httptest.Server
	url     string // as people and mails write it: passkeys need a name
	box     chan levqor.Mail
	told    chan levqor.Mail // of what has become of second factors
	elapsed *atomic.Int64    // how much the service's clock is ahead, in nanoseconds
	records records
}

// records are what the DNS says of any name.
type records []string

// LookupTXT implements [sso.TXTLookup].
func (r *records) LookupTXT(context.Context, string) ([]string, error) { return *r, nil }

// mailbox holds what was mailed, and apart from it what tells of second factors, which comes
// whenever it does.
type mailbox struct{ box, told chan levqor.Mail }

// SendMail implements [levqor.Mailer].
func (m mailbox) SendMail(ctx context.Context, mail levqor.Mail) error {
	to := m.box
	if strings.HasPrefix(mail.Subject, "Your second factors at ") {
		to = m.told
	}
	select {
	case to <- mail:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// newService starts a service on a file. Hooks see the statements after its migration.
func newService(t *testing.T, hooks ...bun.QueryHook) *service {
	t.Helper()
	return newServiceOn(t, dbtest.SQLite(t), hooks...)
}

// newServiceOn is newService on a database.
func newServiceOn(t *testing.T, address string, hooks ...bun.QueryHook) *service {
	t.Helper()
	s := &service{T: t, db: dbtest.Open(t, address), box: make(chan levqor.Mail, 10_000), told: make(chan levqor.Mail, 1000), elapsed: &atomic.Int64{}}
	if err := bunlevqor.Migrate(t.Context(), s.db); err != nil {
		t.Fatal(err)
	}
	for _, hook := range hooks {
		s.db = s.db.WithQueryHook(hook)
	}
	s.server = httptest.NewUnstartedServer(nil)
	s.url = httpapi.LocalURL(s.server.Listener.Addr(), false)
	var err error
	s.app, err = levqor.New(bunlevqor.Stores(s.db), &levqor.Options{
		Secret: []byte(strings.Repeat("s", 32)), Mailer: mailbox{s.box, s.told}, PublicURL: s.url,
		Now: func() time.Time { return time.Now().Add(time.Duration(s.elapsed.Load())) }, TXT: &s.records,
	})
	if err != nil {
		t.Fatal(err)
	}
	sessions, err := httplogin.New(s.app.Sessions, &httplogin.Options{Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	api, err := httpapi.New(s.app, &httpapi.Options{Authenticator: httpapi.FirstOf(httpapi.SameOrigin(sessions), httpapi.APIKeys(s.app, nil))})
	if err != nil {
		t.Fatal(err)
	}
	pages, err := web.New(s.app, &web.Options{Sessions: sessions, Logins: guard.Policy{Limit: -1}, AllowPrivateProviders: true})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", pages)
	mux.Handle("/api/", api)
	s.server.Config.Handler = mux
	s.server.Start()
	t.Cleanup(s.server.Close)
	return s
}

// run works off the service's jobs, which send the mails, until the test ends.
func (s *service) run() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.app.Run(ctx) }()
	s.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			s.Errorf("Run = %v", err)
		}
	})
}

// advance lets time go by for the service.
func (s *service) advance(d time.Duration) { s.elapsed.Add(int64(d)) }

func (s *service) user(address string) identity.User {
	s.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		s.Fatal(err)
	}
	user, _, err := s.app.Directory.EnsureUser(s.Context(), email, "")
	if err != nil {
		s.Fatal(err)
	}
	return user
}

// require makes a team of an owner and a member at whose provider everybody with an address
// of a domain has to sign in.
func (s *service) require(domain string, owner, member identity.User) {
	s.Helper()
	team, err := s.app.Directory.CreateTenant(s.Context(), "Required", owner.ID)
	if err != nil {
		s.Fatal(err)
	}
	if _, err := s.app.Directory.AddMember(s.Context(), team.ID, member.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
		s.Fatal(err)
	}
	made, err := s.app.SSO.Create(s.Context(), team.ID, sso.NewConnection{
		Issuer: s.provider(), ClientID: "levqor", ClientSecret: "hunter2", Domains: []string{domain}, Role: identity.RoleMember, Required: true,
	})
	if err != nil {
		s.Fatal(err)
	}
	s.records = records{made.Domains[0].RecordValue()}
	if _, err := s.app.SSO.Verify(s.Context(), team.ID, made.ID, domain); err != nil {
		s.Fatal(err)
	}
}

// provider returns the issuer of an identity provider that says what it is, and lets nobody in.
func (s *service) provider() string {
	var p *httptest.Server
	p = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256"},
		})
	}))
	s.Cleanup(p.Close)
	return p.URL
}

// letter is what a mail brings: a link, split before its fragment, and a code.
type letter struct{ page, flow, secret, code string }

func (l letter) link() string { return l.page + "#" + l.secret }

var (
	links = regexp.MustCompile(`(http://localhost:\d+/(?:login/l/|account/email/l/)?(\w+))#(\S+)`)
	codes = regexp.MustCompile(`(?m)^[0-9A-Z]{4}-[0-9A-Z]{4}$`)
)

// mail returns the next mail.
func (s *service) mail() letter {
	s.Helper()
	select {
	case m := <-s.box:
		found := links.FindStringSubmatch(m.Text)
		if found == nil {
			s.Fatalf("the mail has no link: %s", m.Text)
		}
		return letter{found[1], found[2], found[3], codes.FindString(m.Text)}
	case <-time.After(30 * time.Second):
		s.Fatal("no mail has come")
		return letter{}
	}
}

// news returns the next mail about second factors.
func (s *service) news() levqor.Mail {
	s.Helper()
	select {
	case m := <-s.told:
		return m
	case <-time.After(30 * time.Second):
		s.Fatal("no mail has come")
		return levqor.Mail{}
	}
}

// logged returns the entries of a tenant's log about an action, the last first.
func (s *service) logged(tenant string, action guard.Action) []guard.Entry {
	s.Helper()
	if err := s.app.SecurityLog.Flush(s.Context()); err != nil {
		s.Fatal(err)
	}
	entries, err := s.app.SecurityLog.Entries(s.Context(), tenant, guard.LogQuery{Action: action, Limit: 100})
	if err != nil {
		s.Fatal(err)
	}
	return entries
}

// actions returns what a tenant's log tells of, the last first.
func (s *service) actions(tenant string) (all []guard.Action) {
	s.Helper()
	for _, e := range s.logged(tenant, "") {
		all = append(all, e.Action)
	}
	return all
}
