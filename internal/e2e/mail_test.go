package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/smtpnotify"
)

// postOffice is a mail server of others. It knows everybody but nobody@example.com.
type postOffice struct {
	mails chan string

	mu      sync.Mutex
	refused int
}

// NewSession implements [smtp.Backend].
func (p *postOffice) NewSession(*smtp.Conn) (smtp.Session, error) { return &visit{office: p}, nil }

// visit is one connection.
type visit struct {
	office *postOffice
	known  bool
}

func (*visit) AuthMechanisms() []string { return []string{sasl.Plain} }

func (v *visit) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "levqor" || password != "p:w" {
			return errors.New("wrong")
		}
		v.known = true
		return nil
	}), nil
}

func (v *visit) Mail(string, *smtp.MailOptions) error {
	if !v.known {
		return smtp.ErrAuthRequired
	}
	return nil
}

func (v *visit) Rcpt(to string, _ *smtp.RcptOptions) error {
	if to != "nobody@example.com" {
		return nil
	}
	v.office.mu.Lock()
	defer v.office.mu.Unlock()
	v.office.refused++
	return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
}

func (v *visit) Data(r io.Reader) error {
	mail, err := io.ReadAll(r)
	v.office.mails <- string(mail)
	return err
}

func (*visit) Reset()        {}
func (*visit) Logout() error { return nil }

// open lets the office listen, with STARTTLS, and returns a mailer that uses it.
func (p *postOffice) open(t *testing.T) *smtpnotify.Mailer {
	t.Helper()
	certified := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(certified.Close)
	roots := x509.NewCertPool()
	roots.AddCert(certified.Certificate())
	server := smtp.NewServer(p)
	server.TLSConfig = &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	mailer, err := smtpnotify.New("smtp://levqor:p%3Aw@"+listener.Addr().String(), "Levqor <no-reply@levqor.example>", &smtpnotify.Options{TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}})
	if err != nil {
		t.Fatal(err)
	}
	return mailer
}

// Somebody signs in by the code of a mail that went through a mail server of others; what
// that refuses for good is not sent again.
func TestPeopleSignInByMailOfAMailServer(t *testing.T) {
	office := &postOffice{mails: make(chan string, 10)}
	db := dbtest.Open(t, dbtest.SQLite(t))
	if err := bunlevqor.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	app, err := levqor.New(bunlevqor.Stores(db), &levqor.Options{Secret: []byte(strings.Repeat("s", 32)), Mailer: office.open(t), PublicURL: "https://levqor.example", SignUp: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	defer func() { stop(); <-done }()
	if _, err := app.BeginLogin(t.Context(), "nobody@example.com", login.Device{}); err != nil {
		t.Fatal(err)
	}
	flow, err := app.BeginLogin(t.Context(), "ada@example.com", login.Device{})
	if err != nil {
		t.Fatal(err)
	}
	var mail string
	select {
	case mail = <-office.mails:
	case <-time.After(20 * time.Second):
		t.Fatal("no mail came")
	}
	code := regexp.MustCompile(`\n([0-9B-Z]{4}-[0-9B-Z]{4})\r\n`).FindStringSubmatch(mail)
	if code == nil {
		t.Fatalf("the mail has no code:\n%s", mail)
	}
	proof, err := app.Links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: code[1], Cookie: flow.Cookie})
	if err != nil {
		t.Fatalf("RedeemCode = %v", err)
	}
	if _, session, err := app.FinishLogin(t.Context(), proof.Email, login.Start{}); err != nil || session.User == 0 {
		t.Errorf("FinishLogin = %+v, %v", session, err)
	}
	for discarded, until := 0, time.Now().Add(20*time.Second); discarded == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the mail that is refused for good is not discarded after one attempt")
		}
		if err := db.NewRaw("SELECT count(*) FROM levqor_jobs_done WHERE state = 7 AND attempt = 1").Scan(t.Context(), &discarded); err != nil {
			t.Fatal(err)
		}
	}
	office.mu.Lock()
	defer office.mu.Unlock()
	if office.refused != 1 {
		t.Errorf("a mail that is refused for good was tried %d times", office.refused)
	}
}
