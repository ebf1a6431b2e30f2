package web_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/web"
)

// rig is an app in memory with its pages, ada, who owns the team Engines, and bob, who is
// a member of it.
type rig struct {
	*testing.T
	app      *levqor.App
	server   *httptest.Server
	box      chan levqor.Mail
	told     chan levqor.Mail // of what has become of second factors
	clock    *atomic.Int64
	ada, bob identity.User
	team     identity.TenantID
	records  records
}

// records are what the DNS says of any name.
type records []string

func (r *records) LookupTXT(context.Context, string) ([]string, error) { return *r, nil }

// mailer keeps apart the mails that answer something and those that tell of factors, which
// come whenever they do.
type mailer struct{ box, told chan levqor.Mail }

func (m mailer) SendMail(ctx context.Context, mail levqor.Mail) error {
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

func TestABrandIsALabelOfAuthenticatorApps(t *testing.T) {
	app, err := levqor.New(levqor.MemStores(), &levqor.Options{Secret: []byte(strings.Repeat("s", 32)), PublicURL: "https://app.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for brand, want := range map[string]bool{"": true, strings.Repeat("a", 100): true, strings.Repeat("a", 101): false, "Engines: Ltd": false} {
		if _, err := web.New(app, &web.Options{Brand: brand}); (err == nil) != want || err != nil && !errors.Is(err, fault.ErrInvalid) {
			t.Errorf("New with the brand %q = %v, want it taken: %v", brand, err, want)
		}
	}
}

func newRig(t *testing.T, opts web.Options) *rig {
	t.Helper()
	return newRigOn(t, levqor.MemStores(), opts)
}

func newRigOn(t *testing.T, stores levqor.Stores, opts web.Options) *rig {
	t.Helper()
	r := &rig{T: t, box: make(chan levqor.Mail, 100), told: make(chan levqor.Mail, 1000), clock: &atomic.Int64{}}
	r.clock.Store(time.Now().UnixMicro())
	var err error
	r.app, err = levqor.New(stores, &levqor.Options{
		Secret: []byte(strings.Repeat("s", 32)), Mailer: mailer{r.box, r.told}, PublicURL: "https://app.example.com" + opts.Base, Now: r.now, TXT: &r.records,
	})
	if err != nil {
		t.Fatal(err)
	}
	if opts.Logins.Limit == 0 {
		opts.Logins.Limit = -1
	}
	pages, err := web.New(r.app, &opts)
	if err != nil {
		t.Fatal(err)
	}
	r.server = httptest.NewTLSServer(pages)
	t.Cleanup(r.server.Close)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.app.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run = %v", err)
		}
	})
	r.ada, r.bob = r.user("ada@example.com"), r.user("bob@example.com")
	tenant, err := r.app.Directory.CreateTenant(t.Context(), "Engines", r.ada.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.team = tenant.ID
	if _, err := r.app.Directory.AddMember(t.Context(), r.team, r.bob.ID, identity.Grant{Role: identity.RoleMember}); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) now() time.Time { return time.UnixMicro(r.clock.Load()).UTC() }

func (r *rig) advance(d time.Duration) { r.clock.Add(d.Microseconds()) }

func (r *rig) user(address string) identity.User {
	r.Helper()
	email, err := identity.ParseEmail(address)
	if err != nil {
		r.Fatal(err)
	}
	user, _, err := r.app.Directory.EnsureUser(r.Context(), email, "")
	if err != nil {
		r.Fatal(err)
	}
	return user
}

// letter is what a mail brings.
type letter struct{ path, secret, code string }

var (
	links = regexp.MustCompile(`https://app\.example\.com(/\S+)#(\S+)`)
	codes = regexp.MustCompile(`(?m)^[0-9A-Z]{4}-[0-9A-Z]{4}$`)
)

func (r *rig) mail() letter {
	r.Helper()
	select {
	case m := <-r.box:
		found := links.FindStringSubmatch(m.Text)
		if found == nil {
			r.Fatalf("the mail has no link: %s", m.Text)
		}
		return letter{found[1], found[2], codes.FindString(m.Text)}
	case <-r.Context().Done():
		r.Fatal("no mail has come")
		return letter{}
	}
}

// signIn signs somebody in by the code of a mail.
func (r *rig) signIn(b *browser, address string) *browser {
	r.Helper()
	b.open("/login").submit("/login", "email", address).want("/login/sent", 200)
	r.advance(time.Minute) // of mails to one address
	return b.submit("/login/code", "code", r.mail().code)
}

// enrol sets an authenticator app up and returns its secret.
func (r *rig) enrol(b *browser) string {
	r.Helper()
	b.open("/account/factors").submit("/account/factors/totp").want("/account/factors/totp", 200, "Key:")
	secret := regexp.MustCompile(`<code>([A-Z2-7]+)</code>`).FindStringSubmatch(b.body)
	if secret == nil || !strings.Contains(b.body, "<svg") {
		r.Fatalf("the page shows no key or no picture: %s", b.body)
	}
	b.submit("/account/factors/totp/confirm", "code", r.totp(secret[1])).want("/account/factors", 200, "An app is set up")
	return secret[1]
}

// totp returns the next code of an app, which has not been used.
func (r *rig) totp(secret string) string {
	r.Helper()
	r.advance(30 * time.Second)
	code, err := factor.TOTPCode(secret, r.now())
	if err != nil {
		r.Fatal(err)
	}
	return code
}

// logged returns the actions in a log, the last first.
func (r *rig) logged(tenant string) string {
	r.Helper()
	entries, err := r.app.SecurityLog.Entries(r.Context(), tenant, guard.LogQuery{Limit: 100})
	if err != nil {
		r.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, string(e.Action))
		if strings.Contains(strings.Join([]string{e.Actor, e.Target, e.Address}, " "), "@") {
			r.Errorf("the log names an address: %+v", e)
		}
	}
	return strings.Join(all, " ")
}

// session returns the cookie of a session that a browser has.
func session(b *browser) string {
	at, _ := url.Parse(b.server.URL)
	for _, c := range b.client.Jar.Cookies(at) {
		if c.Name == "__Host-lvq_session" {
			return c.Value
		}
	}
	return ""
}
