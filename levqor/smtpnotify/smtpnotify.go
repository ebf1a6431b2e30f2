// Package smtpnotify sends the mails of a service to a mail server, by SMTP (RFC 5321).
//
//	mailer, err := smtpnotify.New("smtp://user:password@mail.example.com", "Acme <no-reply@acme.example>", nil)
//	app, err := levqor.New(stores, &levqor.Options{Mailer: mailer, …})
//
// It speaks to the server over TLS alone, as long as that is another machine.
package smtpnotify

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
)

// Options configure a [Mailer]. The zero value of each field means its default.
type Options struct {
	// Timeout is how long a mail may take, from the connection to the server's answer.
	// Default: 30 seconds.
	Timeout time.Duration
	// TLS configures the connection, for a server whose certificate is not of a public
	// authority. Default: that of the system.
	TLS *tls.Config
}

// Mailer sends mails to one server. It is safe for concurrent use. Each mail has a connection
// of its own.
type Mailer struct {
	host    string
	port    int
	options []gomail.Option
	secure  bool // TLS from the first byte
	from    *mail.Address
	timeout time.Duration
	tls     *tls.Config
}

var _ levqor.Mailer = (*Mailer)(nil)

// New returns a mailer. Server is one of
//
//	smtp://user:password@host:587    which begins TLS by STARTTLS, and must
//	smtps://user:password@host:465   TLS from the beginning
//	smtp://127.0.0.1:1025?tls=off    this machine alone, and without a password
//
// whose ports are also the defaults; characters of user and password that mean something in a
// URL are written as %40 and so on. From is who the mails are from, such as "Acme
// <no-reply@acme.example>". Options may be nil. New returns an ErrInvalid that does not
// repeat the URL.
func New(server, from string, opts *Options) (*Mailer, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, wrongURL()
	}
	sender, err := mail.ParseAddress(from)
	if err != nil || strings.ContainsFunc(from, unicode.IsControl) {
		return nil, fault.Invalid("/from", "invalid_format", `must be an address, such as "Acme <no-reply@acme.example>"`)
	}
	m := &Mailer{host: u.Hostname(), secure: u.Scheme == "smtps", from: sender, timeout: cmp.Or(o.Timeout, 30*time.Second), tls: o.TLS}
	if m.tls == nil {
		m.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	m.tls = m.tls.Clone()
	m.tls.ServerName = cmp.Or(m.tls.ServerName, m.host)
	if m.options, err = m.configure(u); err != nil {
		return nil, err
	}
	return m, nil
}

// Setting returns the mailer that a setting stands for: none for "off", one that writes to w
// for "log", and else that of [New], with the sender of the setting that is called the same
// and _FROM. Its errors name the settings.
func Setting(name string, settings map[string]string, w io.Writer) (levqor.Mailer, error) {
	switch settings[name] {
	case "off":
		return nil, nil //nolint:nilnil // as levqor.Options has it
	case "log":
		return levqor.NewWriterMailer(w), nil
	}
	mailer, err := New(settings[name], settings[name+"_FROM"], nil)
	if all := fault.All(err); len(all) == 1 {
		if all[0].Field == "/from" {
			name += "_FROM"
		}
		return nil, fmt.Errorf("%s %s", name, all[0].Detail)
	}
	return mailer, err
}

// configure checks a URL and returns what go-mail makes of it.
func (m *Mailer) configure(u *url.URL) ([]gomail.Option, error) {
	query := u.Query()
	plain := query.Get("tls") == "off"
	query.Del("tls")
	known := (u.Scheme == "smtp" || u.Scheme == "smtps" && !plain) && (plain || !u.Query().Has("tls"))
	if !known || m.host == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" || len(query) > 0 {
		return nil, wrongURL()
	}
	m.port = 587
	if m.secure {
		m.port = 465
	}
	if text := u.Port(); text != "" {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil || port == 0 {
			return nil, wrongURL()
		}
		m.port = int(port)
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	all := []gomail.Option{
		gomail.WithHELO(domain), gomail.WithPort(m.port), gomail.WithTimeout(m.timeout), gomail.WithTLSConfig(m.tls),
		gomail.WithoutNoop(), gomail.WithoutRset(), // one mail is all that a connection is for
	}
	switch {
	case plain && (u.User != nil || !here(m.host)):
		return nil, fault.Invalid("/server", "insecure", "must not have tls=off with a password, nor for another machine than this")
	case plain || m.secure: // the connection that dial returns speaks TLS already
		all = append(all, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		all = append(all, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if u.User != nil {
		password, _ := u.User.Password()
		// go-mail would look for TLS that it began itself; PLAIN and LOGIN look for any.
		all = append(all, gomail.WithOpportunisticSMTPAuth(gomail.SMTPAuthSCRAMSHA256, gomail.SMTPAuthPlain, gomail.SMTPAuthLogin), gomail.WithUsername(u.User.Username()), gomail.WithPassword(password))
	}
	return all, nil
}

func wrongURL() error {
	return fault.Invalid("/server", "invalid_format", "must be smtp://user:password@host:port or smtps://user:password@host:port, with nothing behind it but ?tls=off")
}

// here reports whether a host is this machine.
func here(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// SendMail implements [levqor.Mailer]. It returns ErrInvalid if the server refuses the mail
// for good, as for an address that it does not know, and ErrUnavailable else, with the code
// "in_doubt" if the server was given the mail and its answer was lost: then it may arrive
// twice, with one Message-ID. No error repeats what the server said, which tends to name
// people.
func (m *Mailer) SendMail(ctx context.Context, mail levqor.Mail) error {
	message, err := m.message(mail)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	client, err := gomail.NewClient(m.host, append(slices.Clip(m.options), gomail.WithDialContextFunc(m.dial(ctx)))...)
	if err != nil {
		return unavailable(err)
	}
	err = client.DialAndSendWithContext(ctx, message)
	if err == nil || message.IsDelivered() { // it is the server's, even if the farewell failed
		return nil
	}
	return refusal(err)
}

// message writes a mail.
func (m *Mailer) message(of levqor.Mail) (*gomail.Msg, error) {
	text := of.To.String()
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return nil, fault.Invalid("/to", "required", "must be an address")
	}
	if strings.ContainsFunc(of.ID+of.Subject, unicode.IsControl) || strings.ContainsAny(of.ID, " <>@") {
		return nil, fault.Invalid("/subject", "invalid_character", "must be one line, as must be the ID")
	}
	_, domain, _ := strings.Cut(m.from.Address, "@")
	message := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(m.from)
	message.ToMailAddress(&mail.Address{Address: text[:at+1] + of.To.Domain()})
	message.Subject(of.Subject)
	message.SetDate()
	message.SetMessageIDWithValue(of.ID + "@" + domain)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	message.SetBodyString(gomail.TypeTextPlain, of.Text)
	if of.HTML != "" {
		message.AddAlternativeString(gomail.TypeTextHTML, of.HTML)
	}
	return message, nil
}

// dial returns what connects to the server. The connection ends with the context of the
// whole sending: go-mail looks at none after it is connected, and leaves it open when it is
// not let in.
func (m *Mailer) dial(whole context.Context) gomail.DialContextFunc {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(whole, func() { _ = conn.Close() })
		if !m.secure {
			return conn, nil
		}
		secured := tls.Client(conn, m.tls)
		return secured, secured.HandshakeContext(ctx)
	}
}

// refusal tells what an error of go-mail means.
func refusal(err error) error {
	failed, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return unavailable(err)
	}
	code := failed.ErrorCode()
	status := strings.TrimSpace(fmt.Sprint(code, " ", failed.EnhancedStatusCode()))
	switch {
	case code == 0 && failed.Reason == gomail.ErrSMTPDataClose:
		return &fault.Error{Kind: levqor.ErrUnavailable, Code: "in_doubt", Detail: "the mail server was given the mail and did not say whether it took it"}
	case code >= 500 && (failed.Reason == gomail.ErrSMTPRcptTo || failed.Reason == gomail.ErrSMTPDataClose):
		return &fault.Error{Kind: levqor.ErrInvalid, Code: "mail_refused", Field: "/to", Detail: "the mail server refuses it for good, with " + status}
	case code != 0:
		return &fault.Error{Kind: levqor.ErrUnavailable, Code: "mail_refused", Detail: "the mail server refuses it for now, with " + status}
	default:
		return &fault.Error{Kind: levqor.ErrUnavailable, Code: "mail_unavailable", Detail: "the mail server went away"}
	}
}

// unavailable is about what stands before a mail: the connection, TLS and the password.
func unavailable(err error) error {
	said := &fault.Error{Kind: levqor.ErrUnavailable, Code: "mail_unavailable", Detail: "the mail server does not let us in"}
	if answer, ok := errors.AsType[*textproto.Error](err); ok { // whose text may name the user
		said.Detail += fmt.Sprintf(", with %d", answer.Code)
		return said
	}
	return fault.Opaque(said, err)
}
