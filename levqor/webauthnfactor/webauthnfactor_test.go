package webauthnfactor_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/webauthnfactor"
)

// bench is a relying party for two users in memory, and a clock that is set by hand.
type bench struct {
	*testing.T
	*webauthnfactor.RelyingParty
	factors *factor.Factors
	now     time.Time
}

// The users that there are.
const (
	ada   identity.UserID = 7
	grace identity.UserID = 8
)

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{T: t, now: time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)}
	people := identity.NewMemDirectory(identity.NewMemKeyStore())
	for _, id := range []identity.UserID{ada, grace} {
		email, err := identity.ParseEmail(fmt.Sprintf("u%d@example.com", id))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := people.EnsureUser(t.Context(), identity.User{ID: id, Email: email}, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("a"), levqor.MinSecret))
	if err != nil {
		t.Fatal(err)
	}
	b.factors = factor.New(factor.NewMemStore(people), ring, ring.Sealer(), &factor.Options{Now: func() time.Time { return b.now }})
	b.RelyingParty, err = webauthnfactor.New(b.factors, &webauthnfactor.Options{
		RPID: "example.com", Origins: []string{"https://app.example.com", "https://example.com"}, DisplayName: "Engines",
	})
	if err != nil {
		t.Fatalf("New = %v", err)
	}
	return b
}

func (b *bench) beginRegistration(user identity.UserID) (token string, options []byte) {
	b.Helper()
	token, options, err := b.BeginRegistration(b.Context(), webauthnfactor.Account{User: user, Name: "ada@example.com"})
	if err != nil {
		b.Fatalf("BeginRegistration = %v", err)
	}
	return token, options
}

// register gives a user a passkey on an authenticator.
func (b *bench) register(user identity.UserID, a *authenticator) factor.Passkey {
	b.Helper()
	token, options := b.beginRegistration(user)
	passkey, err := b.FinishRegistration(b.Context(), user, token, "My phone", a.create(options))
	if err != nil {
		b.Fatalf("FinishRegistration = %v, %s", err, fault.Cause(err))
	}
	return passkey
}

func (b *bench) beginLogin() (token string, options []byte) {
	b.Helper()
	token, options, err := b.BeginLogin(b.Context())
	if err != nil {
		b.Fatalf("BeginLogin = %v", err)
	}
	return token, options
}

func (b *bench) beginVerification(user identity.UserID) (token string, options []byte) {
	b.Helper()
	token, options, err := b.BeginVerification(b.Context(), user)
	if err != nil {
		b.Fatalf("BeginVerification = %v", err)
	}
	return token, options
}

func (b *bench) wantErr(err, want error, promise string) {
	b.Helper()
	if !errors.Is(err, want) {
		b.Errorf("the error is %v, want %v: %s", err, want, promise)
	}
}

// wantRefused checks that a caller is told no more than that, and an operator why.
func (b *bench) wantRefused(err error, promise string) {
	b.Helper()
	b.wantErr(err, factor.ErrPasskeyRefused, promise)
	if all := fault.All(err); len(all) != 1 || all[0] != factor.ErrPasskeyRefused { //nolint:errorlint // the value itself
		b.Errorf("a caller is told %v, want no more than ErrPasskeyRefused", all)
	}
	if err != nil && fault.Cause(err) == fault.Cause(factor.ErrPasskeyRefused) {
		b.Errorf("an operator is told %q, want the reason", fault.Cause(err))
	}
}

func TestAPasskeyIsRegisteredAndSignsIn(t *testing.T) {
	b, a := newBench(t), newAuthenticator(t)
	got := b.register(ada, a)
	if !bytes.Equal(got.ID, a.id) || got.User != ada || got.Name != "My phone" || !bytes.Equal(got.PublicKey, a.publicKey()) ||
		got.AAGUID != [16]byte{15: 0xaa} || !slices.Equal(got.Transports, []string{"hybrid", "internal"}) || !got.BackupEligible || got.BackedUp {
		t.Errorf("FinishRegistration = %+v", got)
	}
	for i := range 2 {
		token, options := b.beginLogin()
		a.count, a.flags = uint32(i+1), a.flags|backedUp
		b.now = b.now.Add(time.Minute)
		used, err := b.FinishLogin(t.Context(), token, a.get(options))
		if err != nil || used.User != ada || used.SignCount != a.count || !used.BackedUp || !used.LastUsedAt.Equal(b.now) {
			t.Errorf("FinishLogin = %+v, %v, %s", used, err, fault.Cause(err))
		}
	}
	b.register(ada, newAuthenticator(t))
	token, options := b.beginVerification(ada)
	a.count++
	if used, err := b.FinishLogin(t.Context(), token, a.get(options)); err != nil || used.User != ada {
		t.Errorf("FinishLogin of a known user = %+v, %v, %s", used, err, fault.Cause(err))
	}
}

func TestTheBrowserIsToldWhatIsAskedFor(t *testing.T) {
	b, a := newBench(t), newAuthenticator(t)
	a.id = bytes.Repeat([]byte{1}, 16)
	b.register(ada, a)
	_, raw := b.beginRegistration(ada)
	o := a.read(raw)
	handle, err := base64.RawURLEncoding.DecodeString(o.User.ID)
	if err != nil || string(handle) != ada.String() || o.User.Name != "ada@example.com" || o.User.DisplayName != "ada@example.com" {
		t.Errorf("the user is %+v, %v", o.User, err)
	}
	if o.RP.ID != "example.com" || o.RP.Name != "Engines" || o.Attestation != "none" && o.Attestation != "" || o.Timeout != 300_000 {
		t.Errorf("the options are %s", raw)
	}
	if o.Selection.ResidentKey != "required" || o.Selection.UserVerification != "required" {
		t.Errorf("the selection is %+v, want a passkey whose user is verified", o.Selection)
	}
	if len(o.Exclude) != 1 || o.Exclude[0].ID != b64(a.id) {
		t.Errorf("excluded is %v, want the passkey that there is", o.Exclude)
	}
	_, raw = b.beginLogin()
	if o := a.read(raw); o.RPID != "example.com" || len(o.Allow) != 0 || o.UserVerification != "required" || len(o.Challenge) < 22 {
		t.Errorf("the options are %s", raw)
	}
	_, raw = b.beginVerification(ada)
	if o := a.read(raw); len(o.Allow) != 1 || o.Allow[0].ID != b64(a.id) || len(o.Allow[0].Transports) != 2 || o.UserVerification != "required" {
		t.Errorf("the options are %s", raw)
	}
}

func TestAWrongRegistrationIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*authenticator){
		"another origin":             func(a *authenticator) { a.origin = "https://example.org" },
		"an origin below":            func(a *authenticator) { a.origin = "https://evil.example.com" },
		"another scheme":             func(a *authenticator) { a.origin = "http://app.example.com" },
		"another relying party":      func(a *authenticator) { a.rpID = "app.example.com" },
		"no user verification":       func(a *authenticator) { a.flags &^= userVerified },
		"no user presence":           func(a *authenticator) { a.flags &^= userPresent },
		"another challenge":          func(a *authenticator) { a.challenge = b64(make([]byte, 32)) },
		"backed up but not eligible": func(a *authenticator) { a.flags = userPresent | userVerified | backedUp },
	} {
		b, a := newBench(t), newAuthenticator(t)
		spoil(a)
		token, options := b.beginRegistration(ada)
		_, err := b.FinishRegistration(t.Context(), ada, token, "", a.create(options))
		b.wantRefused(err, name)
		if all, err := b.factors.Passkeys(t.Context(), ada); err != nil || len(all) != 0 {
			t.Errorf("Passkeys after %s = %v, %v; want none", name, all, err)
		}
	}
}

func TestAWrongLoginIsRefused(t *testing.T) {
	for name, spoil := range map[string]func(*authenticator){
		"another origin":        func(a *authenticator) { a.origin = "https://example.org" },
		"an origin below":       func(a *authenticator) { a.origin = "https://evil.example.com" },
		"another relying party": func(a *authenticator) { a.rpID = "app.example.com" },
		"no user verification":  func(a *authenticator) { a.flags &^= userVerified },
		"no user presence":      func(a *authenticator) { a.flags &^= userPresent },
		"another challenge":     func(a *authenticator) { a.challenge = b64(make([]byte, 32)) },
		"another key":           func(a *authenticator) { a.key = newAuthenticator(a.t).key },
		"an unknown passkey":    func(a *authenticator) { a.id = []byte("unknown") },
		"another user's handle": func(a *authenticator) { a.user = []byte(grace.String()) },
		"a change of its kind":  func(a *authenticator) { a.flags &^= backupEligible },
	} {
		b, a := newBench(t), newAuthenticator(t)
		b.register(ada, a)
		spoil(a)
		for what, begin := range map[string]func() (string, []byte){
			"anybody": b.beginLogin, "ada": func() (string, []byte) { return b.beginVerification(ada) },
		} {
			token, options := begin()
			_, err := b.FinishLogin(t.Context(), token, a.get(options))
			b.wantRefused(err, name+" as "+what)
		}
		if got, err := b.factors.Passkeys(t.Context(), ada); err != nil || !got[0].LastUsedAt.IsZero() {
			t.Errorf("Passkeys after %s = %+v, %v; want it not used", name, got, err)
		}
	}
}

func TestALoginWithoutAUserHandleIsRefusedUnlessTheUserIsKnown(t *testing.T) {
	b, a := newBench(t), newAuthenticator(t)
	b.register(ada, a)
	a.user = nil
	token, options := b.beginLogin()
	_, err := b.FinishLogin(t.Context(), token, a.get(options))
	b.wantRefused(err, "it says not whose it is")
	token, options = b.beginVerification(ada)
	if _, err := b.FinishLogin(t.Context(), token, a.get(options)); err != nil {
		t.Errorf("FinishLogin = %v, %s", err, fault.Cause(err))
	}
}

func TestAnotherUsersPasskeyIsRefused(t *testing.T) {
	b, a, g := newBench(t), newAuthenticator(t), newAuthenticator(t)
	b.register(ada, a)
	b.register(grace, g)
	token, options := b.beginVerification(ada)
	_, err := b.FinishLogin(t.Context(), token, g.get(options))
	b.wantRefused(err, "ada was asked")
	token, options = b.beginRegistration(ada)
	_, err = b.FinishRegistration(t.Context(), grace, token, "", newAuthenticator(t).create(options))
	b.wantErr(err, factor.ErrCeremonyOver, "ada began")
	token, options = b.beginRegistration(grace)
	_, err = b.FinishRegistration(t.Context(), grace, token, "", a.create(options))
	b.wantErr(err, factor.ErrPasskeyTaken, "it is ada's")
}

func TestAChallengeCountsOnceForFiveMinutes(t *testing.T) {
	b, a := newBench(t), newAuthenticator(t)
	b.register(ada, a)
	token, options := b.beginLogin()
	answer := a.get(options)
	if _, err := b.FinishLogin(t.Context(), token, answer); err != nil {
		t.Fatalf("FinishLogin = %v", err)
	}
	_, err := b.FinishLogin(t.Context(), token, answer)
	b.wantErr(err, factor.ErrCeremonyOver, "it has been used")
	other, _ := b.beginLogin()
	_, err = b.FinishLogin(t.Context(), other, answer)
	b.wantRefused(err, "it answers another challenge")

	token, options = b.beginLogin()
	a.origin = "https://example.org"
	_, err = b.FinishLogin(t.Context(), token, a.get(options))
	b.wantRefused(err, "the origin is another")
	a.origin = "https://example.com"
	_, err = b.FinishLogin(t.Context(), token, a.get(options))
	b.wantErr(err, factor.ErrCeremonyOver, "an attempt uses it up")

	token, options = b.beginLogin()
	b.now = b.now.Add(5 * time.Minute)
	_, err = b.FinishLogin(t.Context(), token, a.get(options))
	b.wantErr(err, factor.ErrCeremonyOver, "its time is over")

	token, options = b.beginRegistration(ada)
	_, err = b.FinishLogin(t.Context(), token, a.get(options))
	b.wantErr(err, factor.ErrCeremonyOver, "it is for something else")
	for _, token := range []string{"", "x", strings.Repeat("x", 1<<20)} {
		_, err = b.FinishRegistration(t.Context(), ada, token, "", nil)
		b.wantErr(err, factor.ErrCeremonyOver, "there is no such one")
	}
}

func TestACopyOfAPasskeyIsRefusedAndReported(t *testing.T) {
	b, a := newBench(t), newAuthenticator(t)
	a.count = 5
	b.register(ada, a)
	for count := range uint32(8) {
		var want error
		if count <= 5 {
			want = factor.ErrCloned
		}
		token, options := b.beginLogin()
		a.count = count
		used, err := b.FinishLogin(t.Context(), token, a.get(options))
		b.wantErr(err, want, fmt.Sprint("the sign count is ", count))
		if used.User != ada {
			t.Errorf("FinishLogin = %+v, want whose passkey it is", used)
		}
	}
}

func TestNoOtherTextIsAnAnswer(t *testing.T) {
	b, a := newBench(t), newAuthenticator(t)
	b.register(ada, a)
	_, options := b.beginLogin()
	good := a.get(options)
	for _, text := range []string{"", "{}", "null", "[]", "\xff", string(good[:len(good)-1]), string(good) + "{}", string(good) + strings.Repeat(" ", 1<<17), strings.Repeat("[", 1<<16)} {
		token, _ := b.beginLogin()
		_, err := b.FinishLogin(t.Context(), token, []byte(text))
		b.wantRefused(err, "it is no answer")
		token, _ = b.beginRegistration(ada)
		_, err = b.FinishRegistration(t.Context(), ada, token, "", []byte(text))
		b.wantRefused(err, "it is no answer")
	}
}

func TestARemovedPasskeySignsNobodyIn(t *testing.T) {
	b, a := newBench(t), newAuthenticator(t)
	b.register(ada, a)
	token, options := b.beginLogin()
	if err := b.factors.RemovePasskey(t.Context(), ada, a.id); err != nil {
		t.Fatal(err)
	}
	_, err := b.FinishLogin(t.Context(), token, a.get(options))
	b.wantRefused(err, "it was removed")
	_, _, err = b.BeginVerification(t.Context(), ada)
	b.wantErr(err, factor.ErrNotFound, "ada has none")
}

func TestAUserHas20PasskeysAtMost(t *testing.T) {
	b := newBench(t)
	late, options := b.beginRegistration(ada)
	for i := range factor.MaxPasskeys {
		token, options := b.beginRegistration(ada)
		passkey, err := b.FinishRegistration(t.Context(), ada, token, "", newAuthenticator(t).create(options))
		if err != nil || passkey.Name != "Passkey" {
			t.Fatalf("FinishRegistration of number %d = %+v, %v", i, passkey, err)
		}
	}
	_, err := b.FinishRegistration(t.Context(), ada, late, "", newAuthenticator(t).create(options))
	b.wantErr(err, factor.ErrTooManyPasskeys, "there are 20")
	_, _, err = b.BeginRegistration(t.Context(), webauthnfactor.Account{User: ada, Name: "ada"})
	b.wantErr(err, factor.ErrTooManyPasskeys, "there are 20")
	_, _, err = b.BeginRegistration(t.Context(), webauthnfactor.Account{User: 99, Name: "nobody"})
	b.wantErr(err, factor.ErrNotFound, "there is no such user")
}

func TestOptionsAreChecked(t *testing.T) {
	good := webauthnfactor.Options{RPID: "example.com", Origins: []string{"https://example.com", "https://a.example.com:8443"}, DisplayName: "x"}
	local := webauthnfactor.Options{RPID: "localhost", Origins: []string{"http://localhost:8080", "https://localhost"}, DisplayName: "x"}
	for _, opts := range []webauthnfactor.Options{good, local} {
		if _, err := webauthnfactor.New(nil, &opts); err != nil {
			t.Errorf("New(%+v) = %v", opts, err)
		}
	}
	check := func(field string, change func(*webauthnfactor.Options)) {
		t.Helper()
		opts := good
		change(&opts)
		_, err := webauthnfactor.New(nil, &opts)
		if all := fault.All(err); !errors.Is(err, factor.ErrInvalid) || len(all) != 1 || all[0].Field != field {
			t.Errorf("New(%+v) = %v, want an ErrInvalid about %s", opts, err, field)
		}
	}
	for _, id := range []string{"", "127.0.0.1", "https://example.com", "example.com:8080", "exa mple.com"} {
		check("/rp_id", func(o *webauthnfactor.Options) { o.RPID = id })
	}
	check("/display_name", func(o *webauthnfactor.Options) { o.DisplayName = "" })
	check("/origins", func(o *webauthnfactor.Options) { o.Origins = nil })
	for _, origin := range []string{
		"", "example.com", "http://example.com", "https://example.org", "https://badexample.com", "https://example.com/", "https://example.com.evil.org",
		"https://user@example.com", "https://example.com?x", "https://", "://", "\x00",
	} {
		check("/origins/1", func(o *webauthnfactor.Options) { o.Origins = []string{"https://example.com", origin} })
	}
}
