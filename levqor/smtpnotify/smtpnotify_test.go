package smtpnotify_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/smtpnotify"
)

const from = "Levqör <no-reply@acme.example>"

// open returns a mailer for a server that was started for the test.
func open(t *testing.T, s *mailServer, scheme, user string) *smtpnotify.Mailer {
	t.Helper()
	query := ""
	if s.plain {
		query = "?tls=off"
	}
	m, err := smtpnotify.New(scheme+"://"+user+s.address+query, from, &smtpnotify.Options{TLS: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}, Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func letter(t *testing.T, to string) levqor.Mail {
	t.Helper()
	email, err := identity.ParseEmail(to)
	if err != nil {
		t.Fatal(err)
	}
	return levqor.Mail{ID: "job_1", To: email, Subject: "Sign in to äcme", Text: "Hello\n.\n.. Ä\n", HTML: "<p>Hello Ä</p>"}
}

func TestMailsAreSentOverTLSWithAPassword(t *testing.T) {
	for scheme, secure := range map[string]bool{"smtp": false, "smtps": true} {
		s := serve(t, func(s *mailServer) { s.secure = secure })
		if err := open(t, s, scheme, "ada%40x:p%3Aw@").SendMail(t.Context(), letter(t, "bob@Example.com")); err != nil {
			t.Fatalf("%s: SendMail = %v", scheme, err)
		}
		if mails := s.received(); len(mails) != 1 || !slices.Equal(s.logins, []string{" ada@x p:w"}) {
			t.Errorf("%s: %d mails came, and the logins %q", scheme, len(mails), s.logins)
		}
		at := slices.Index(s.heard, "AUTH")
		if starttls := slices.Index(s.heard, "STARTTLS"); (starttls >= 0) == secure || at < starttls {
			t.Errorf("%s: the server heard %q", scheme, s.heard)
		}
		if !slices.Contains(s.heard, "EHLO acme.example") || slices.ContainsFunc(s.heard, func(c string) bool { return strings.HasPrefix(c, "RSET") }) {
			t.Errorf("%s: the server heard %q", scheme, s.heard)
		}
	}
}

func TestWhatArrivesIsWhatWasSent(t *testing.T) {
	s := serve(t, func(s *mailServer) { s.plain = true })
	want := letter(t, "bob@bücher.example")
	for range 2 {
		if err := open(t, s, "smtp", "").SendMail(t.Context(), want); err != nil {
			t.Fatal(err)
		}
	}
	mails := s.received()
	if len(mails) != 2 {
		t.Fatalf("%d mails came, want 2", len(mails))
	}
	for _, raw := range mails {
		message, err := mail.ReadMessage(strings.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		header := map[string]string{"Message-Id": "<job_1@acme.example>", "Auto-Submitted": "auto-generated", "To": "<bob@xn--bcher-kva.example>", "Subject": want.Subject}
		for name, text := range header {
			got, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get(name))
			if err != nil || got != text {
				t.Errorf("%s is %q, %v; want %q", name, got, err, text)
			}
		}
		if sender, err := message.Header.AddressList("From"); err != nil || len(sender) != 1 || sender[0].Name != "Levqör" || sender[0].Address != "no-reply@acme.example" {
			t.Errorf("From is %v, %v", sender, err)
		}
		parts := bodies(t, message)
		if len(parts) != 2 || parts[0] != "text/plain: "+want.Text || parts[1] != "text/html: "+want.HTML {
			t.Errorf("the parts are %q", parts)
		}
	}
	for _, command := range []string{"MAIL FROM:<no-reply@acme.example> BODY=8BITMIME", "RCPT TO:<bob@xn--bcher-kva.example>"} {
		if !slices.Contains(s.heard, command) {
			t.Errorf("the server heard %q, want %q", s.heard, command)
		}
	}
}

// Nothing in the commands and headers is beyond ASCII, but the local part of a recipient
// that is.
func TestDomainsAreSentInASCII(t *testing.T) {
	s := serve(t, func(s *mailServer) { s.plain = true })
	m, err := smtpnotify.New("smtp://"+s.address+"?tls=off", "no-reply@bücher.example", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SendMail(t.Context(), letter(t, "jürgen@example.com")); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"EHLO xn--bcher-kva.example", "MAIL FROM:<no-reply@xn--bcher-kva.example> BODY=8BITMIME SMTPUTF8", "RCPT TO:<jürgen@example.com>"} {
		if !slices.Contains(s.heard, command) {
			t.Errorf("the server heard %q, want %q", s.heard, command)
		}
	}
	if mails := s.received(); len(mails) != 1 || !strings.Contains(mails[0], "\nMessage-ID: <job_1@xn--bcher-kva.example>\r\n") {
		t.Errorf("the mails are %q", mails)
	}
}

// bodies returns the parts of a mail with their types.
func bodies(t *testing.T, message *mail.Message) []string {
	t.Helper()
	_, params, err := mime.ParseMediaType(message.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for parts := multipart.NewReader(message.Body, params["boundary"]); ; {
		part, err := parts.NextRawPart()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, _ := mime.ParseMediaType(part.Header.Get("Content-Type"))
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, kind+": "+strings.ReplaceAll(string(text), "\r\n", "\n"))
	}
}

// Whoever sends again must know whether that can help, and whether a copy may arrive.
func TestWhatTheServerSaysDecides(t *testing.T) {
	for name, c := range map[string]struct {
		word, answer string
		kind         error
		code         string
	}{
		"nobody there":            {"RCPT", "550 5.1.1 no hunter2@example.com here", levqor.ErrInvalid, "mail_refused"},
		"a full mailbox":          {"RCPT", "452 4.2.2 hunter2 is full", levqor.ErrUnavailable, "mail_refused"},
		"no relay":                {"RCPT", "554 5.7.1 relay access denied to hunter2", levqor.ErrUnavailable, "mail_refused"},
		"a password wanted":       {"RCPT", "530 5.7.0 hunter2", levqor.ErrUnavailable, "mail_refused"},
		"a wrong order":           {"RCPT", "503 5.5.1 hunter2", levqor.ErrUnavailable, "mail_refused"},
		"no text for anybody":     {"DATA", "554 5.5.1 no hunter2", levqor.ErrInvalid, "mail_refused"},
		"a mail like spam":        {".", "554 5.7.1 hunter2", levqor.ErrInvalid, "mail_refused"},
		"no room":                 {".", "452 4.3.1 hunter2", levqor.ErrUnavailable, "mail_refused"},
		"a sender not allowed":    {"MAIL", "550 5.7.1 hunter2", levqor.ErrUnavailable, "mail_refused"},
		"a wrong password":        {"AUTH", "535 5.7.8 hunter2 is wrong", levqor.ErrUnavailable, "mail_unavailable"},
		"an answer without sense": {"AUTH", "hunter2 is odd", levqor.ErrUnavailable, "mail_unavailable"},
		"the end before":          {"RCPT", drop, levqor.ErrUnavailable, "mail_unavailable"},
		"the end at the text":     {"DATA", drop, levqor.ErrUnavailable, "mail_unavailable"},
		"the end at the answer":   {".", drop, levqor.ErrUnavailable, "in_doubt"},
		"a farewell that fails":   {"QUIT", drop, nil, ""},
		"a farewell that is odd":  {"QUIT", "500 hunter2", nil, ""},
	} {
		s := serve(t, func(s *mailServer) { s.answers[c.word] = c.answer })
		err := open(t, s, "smtp", "ada:pw@").SendMail(t.Context(), letter(t, "bob@example.com"))
		var said *fault.Error
		if !errors.Is(err, c.kind) || c.kind != nil && (!errors.As(err, &said) || said.Code != c.code) {
			t.Errorf("%s: SendMail = %v, want %v with code %q", name, err, c.kind, c.code)
		}
		if err == nil {
			continue
		}
		if text := fmt.Sprint(err, fault.Cause(err)); strings.Contains(text, "hunter2") {
			t.Errorf("%s: the error repeats what the server said: %s", name, text)
		}
	}
}

// A server that cannot speak TLS, or whose certificate is another's, gets no password, nor
// does one that asks for it in a way that is broken. The error says to the operator why.
func TestNoPasswordWithoutTLS(t *testing.T) {
	for want, s := range map[string]*mailServer{
		"does not offer TLS":              serve(t, func(s *mailServer) { s.answers["EHLO"] = "250-mail.example.com\r\n250 AUTH PLAIN" }),
		"does not let us in, with 454":    serve(t, func(s *mailServer) { s.answers["STARTTLS"] = "454 4.7.0 not now" }),
		"certificate is not its own":      serve(t, func(s *mailServer) { s.roots = nil }),
		"no way to sign in that we know":  serve(t, func(s *mailServer) { s.methods = "CRAM-MD5 NTLM" }),
		"no way to sign in that we know ": serve(t, func(s *mailServer) { s.methods, s.secure = "CRAM-MD5", true }),
	} {
		scheme := map[bool]string{true: "smtps", false: "smtp"}[s.secure]
		err := open(t, s, scheme, "ada:pw@").SendMail(t.Context(), letter(t, "bob@example.com"))
		if !errors.Is(err, levqor.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), strings.TrimSpace(want)) || len(s.logins) > 0 || len(s.received()) > 0 {
			t.Errorf("SendMail = %v, want %q; and the server knows %q", err, want, s.logins)
		}
	}
}

// The error says to the operator what is wrong, without the help of a log.
func TestWhyAServerCannotBeUsed(t *testing.T) {
	for server, want := range map[string]string{
		"smtp://127.0.0.1:1?tls=off":        "nobody answers",
		"smtp://nowhere.invalid":            "its name is not found",
		"smtp://u:hunter2@[::1]:1":          "nobody answers",
		"smtps://u:hunter2@nowhere.invalid": "its name is not found",
	} {
		m, err := smtpnotify.New(server, from, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := m.SendMail(t.Context(), letter(t, "bob@example.com")); !errors.Is(err, levqor.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("SendMail to %s = %v, want %q", server, err, want)
		}
	}
}

func TestMailsAreSentOverIPv6(t *testing.T) {
	conn, err := net.Listen("tcp", "[::1]:0")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("this machine has no IPv6")
	}
	if err != nil {
		t.Skip("SKIPPED, NOT PASSED: this machine has no IPv6")
	}
	_ = conn.Close()
	s := serve(t, func(s *mailServer) { s.plain, s.host = true, "::1" })
	if err := open(t, s, "smtp", "").SendMail(t.Context(), letter(t, "bob@example.com")); err != nil || len(s.received()) != 1 {
		t.Errorf("SendMail = %v, and %d mails came", err, len(s.received()))
	}
}

// A server that answers each command in time, but never for good, holds nobody up.
func TestASendingEndsWithItsContextAndItsTime(t *testing.T) {
	s := serve(t, func(s *mailServer) { s.answers["RCPT"] = "250-" /* and no end of it */ })
	took := func(ctx context.Context, timeout time.Duration) time.Duration {
		m, err := smtpnotify.New("smtp://ada:pw@"+s.address, from, &smtpnotify.Options{TLS: &tls.Config{RootCAs: s.roots, MinVersion: tls.VersionTLS12}, Timeout: timeout})
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if err := m.SendMail(ctx, letter(t, "bob@example.com")); !errors.Is(err, levqor.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "takes too long") {
			t.Errorf("SendMail = %v, want ErrUnavailable", err)
		}
		return time.Since(began)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if d := took(ctx, time.Hour); d > time.Minute {
		t.Errorf("it took %v, want little more than the context's 200 ms", d)
	}
	if d := took(t.Context(), 200*time.Millisecond); d > time.Minute {
		t.Errorf("it took %v, want little more than its own 200 ms", d)
	}
}

func TestHeadersAreLines(t *testing.T) {
	s := serve(t, func(s *mailServer) { s.plain = true })
	m := open(t, s, "smtp", "")
	for name, change := range map[string]func(*levqor.Mail){
		"a subject of two lines": func(m *levqor.Mail) { m.Subject = "x\r\nBcc: eve@example.com" },
		"an ID of two lines":     func(m *levqor.Mail) { m.ID = "x\nBcc: eve@example.com" },
		"an ID with an address":  func(m *levqor.Mail) { m.ID = "x@y> <z" },
		"an ID beyond ASCII":     func(m *levqor.Mail) { m.ID = "ä" },
		"nobody":                 func(m *levqor.Mail) { m.To = identity.Email{} },
	} {
		mail := letter(t, "bob@example.com")
		change(&mail)
		if err := m.SendMail(t.Context(), mail); !errors.Is(err, levqor.ErrInvalid) {
			t.Errorf("%s: SendMail = %v, want ErrInvalid", name, err)
		}
	}
	if mails := s.received(); len(mails) > 0 {
		t.Errorf("the server got %q", mails)
	}
}

func TestServersAreWrittenAsURLs(t *testing.T) {
	for _, good := range []string{
		"smtp://mail.example.com", "smtps://u:p@mail.example.com", "smtps://u:p@mail.example.com:2465/", "smtp://[::1]:1025?tls=off", "smtp://localhost:1025?tls=off",
	} {
		if _, err := smtpnotify.New(good, from, nil); err != nil {
			t.Errorf("New(%q) = %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "mail.example.com:25", "http://u:hunter2@x", "smtp://u:hunter2@", "smtp://u:hunter2@x:0", "smtp://u:hunter2@x:99999", "smtp://u:hunter2@x/path", "smtp://u:hunter2@x#f",
		"smtp://u:hunter2@x?starttls=off", "smtp://u:hunter2@x?tls=on", "smtps://localhost?tls=off", "smtp://hunter2.example.com?tls=off", "smtp://u:hunter2@localhost?tls=off", "smtp://u:hunter2@[x", "smtp://hunter2@x", "smtp://:hunter2@x", "smtp://@x", "smtp://u:hunter2@x?;x", "smtp://localhost?tls=off&tls=on",
	} {
		_, err := smtpnotify.New(bad, from, nil)
		if all := fault.All(err); !errors.Is(err, levqor.ErrInvalid) || len(all) != 1 || all[0].Field != "/server" || strings.Contains(fmt.Sprint(err), "hunter2") {
			t.Errorf("New(%q) = %v", bad, err)
		}
	}
	if _, err := smtpnotify.New("smtp://mail.example.com", from, &smtpnotify.Options{Timeout: -1}); !errors.Is(err, levqor.ErrInvalid) {
		t.Errorf("New with a negative timeout = %v, want ErrInvalid", err)
	}
	for _, bad := range []string{"", "acme", "a@b.example, c@d.example", "a@b.example\r\nBcc: c@d.example", `"a@b"@acme.example`, "ä@acme.example", "root@localhost"} {
		_, err := smtpnotify.New("smtp://mail.example.com", bad, nil)
		if all := fault.All(err); len(all) != 1 || all[0].Field != "/from" {
			t.Errorf("New from %q = %v", bad, err)
		}
	}
}

func TestASettingStandsForAMailer(t *testing.T) {
	var log strings.Builder
	for value, want := range map[string]string{"off": "<nil>", "log": "*levqor.WriterMailer", "smtp://mail.example.com": "*smtpnotify.Mailer"} {
		m, err := smtpnotify.FromSettings("MAIL", map[string]string{"MAIL": value, "MAIL_FROM": from}, &log)
		if got := fmt.Sprintf("%T", m); got != want || err != nil {
			t.Errorf("FromSettings(%q) = %s, %v; want %s", value, got, err, want)
		}
	}
	for name, settings := range map[string]map[string]string{
		"MAIL, if it is not off or log, must be smtp://":       {"MAIL": "on", "MAIL_FROM": from},
		"MAIL_FROM must be an address":                         {"MAIL": "smtp://mail.example.com"},
		"MAIL, if it is not off or log, must not have tls=off": {"MAIL": "smtp://u:hunter2@localhost?tls=off", "MAIL_FROM": from},
	} {
		m, err := smtpnotify.FromSettings("MAIL", settings, &log)
		if text := fmt.Sprint(err); m != nil || !strings.HasPrefix(text, name) || strings.Contains(text, "hunter2") {
			t.Errorf("FromSettings = %v, %q; want %s", m, text, name)
		}
	}
}

func ExampleNew() {
	mailer, err := smtpnotify.New("smtps://user:password@mail.example.com", "Acme <no-reply@acme.example>", nil)
	if err != nil {
		panic(err)
	}
	opts := levqor.Options{Mailer: mailer, PublicURL: "https://acme.example"}
	fmt.Println(opts.PublicURL)
	// Output: https://acme.example
}
