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
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	gomail "github.com/wneessen/go-mail"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// Options configure a [Mailer]. The zero value of each field means its default.
type Options struct {
	// Timeout is how long a mail may take, from the connection to the server's answer, which
	// some give late. The jobs that send mails end after a minute. Default: 50 seconds.
	Timeout time.Duration
	// TLS configures the connection, for a server whose certificate is not of a public
	// authority. Default: that of the system.
	TLS *tls.Config
}

// Mailer sends mails to one server. It is safe for concurrent use. Each mail has a connection
// of its own.
type Mailer struct {
	host, port     string
	user, password string // both empty for none
	options        []gomail.Option
	secure         bool // TLS from the first byte
	from           *mail.Address
	domain         string // of from
	timeout        time.Duration
	tls            *tls.Config
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
// <no-reply@acme.example>", of a public domain. Options may be nil. New returns an ErrInvalid
// about "/server", "/from" or "/timeout" that does not repeat the URL.
func New(server, from string, opts *Options) (*Mailer, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Timeout < 0 {
		return nil, fault.Invalid("/timeout", "out_of_range", "must not be negative")
	}
	u, err := url.Parse(server)
	if err != nil {
		return nil, wrongURL()
	}
	m := &Mailer{host: u.Hostname(), secure: u.Scheme == "smtps", timeout: cmp.Or(o.Timeout, 50*time.Second), tls: &tls.Config{MinVersion: tls.VersionTLS12}}
	if o.TLS != nil {
		m.tls = o.TLS.Clone()
	}
	m.tls.ServerName = cmp.Or(m.tls.ServerName, m.host)
	if m.options, err = m.configure(u); err != nil {
		return nil, err
	}
	if m.from, m.domain, err = readFrom(from); err != nil {
		return nil, err
	}
	m.options = append(m.options, gomail.WithHELO(m.domain))
	if _, err := gomail.NewClient(m.host, m.options...); err != nil {
		return nil, wrongURL()
	}
	return m, nil
}

// readFrom reads a sender, whose domain it returns in ASCII: mail servers, and the ID of a
// message, know nothing else.
func readFrom(text string) (from *mail.Address, domain string, err error) {
	wrong := fault.Invalid("/from", "invalid_format", `must be an address, such as "Acme <no-reply@acme.example>"`)
	from, err = mail.ParseAddress(text)
	if err != nil || strings.ContainsFunc(text, unicode.IsControl) {
		return nil, "", wrong
	}
	at := strings.LastIndexByte(from.Address, '@')
	local := from.Address[:at]
	domain, err = identity.CanonicalDomain(from.Address[at+1:])
	if err != nil || strings.ContainsFunc(local, func(c rune) bool { return c > unicode.MaxASCII || strings.ContainsRune(`"@\ <>`, c) }) {
		return nil, "", wrong
	}
	from.Address = local + "@" + domain
	return from, domain, nil
}

// FromSettings returns the mailer that a setting stands for: none for "off", one that writes to
// w for "log", and else that of [New], with the sender of the setting that is called the same
// and _FROM. Its errors name the settings.
func FromSettings(name string, settings map[string]string, w io.Writer) (levqor.Mailer, error) {
	switch settings[name] {
	case "off":
		return nil, nil //nolint:nilnil // as levqor.Options has it
	case "log":
		return levqor.NewWriterMailer(w), nil
	}
	mailer, err := New(settings[name], settings[name+"_FROM"], nil)
	wrong, ok := errors.AsType[*fault.Error](err)
	switch {
	case ok && wrong.Field == "/from":
		return nil, fmt.Errorf("%s_FROM %s", name, wrong.Detail)
	case ok:
		return nil, fmt.Errorf("%s, if it is not off or log, %s", name, wrong.Detail)
	default:
		return mailer, nil
	}
}

// configure checks a URL and returns what go-mail makes of it.
func (m *Mailer) configure(u *url.URL) ([]gomail.Option, error) {
	query, err := url.ParseQuery(u.RawQuery)
	plain := query.Get("tls") == "off" && len(query["tls"]) == 1
	if plain {
		query.Del("tls")
	}
	known := u.Scheme == "smtp" || u.Scheme == "smtps" && !plain
	if err != nil || !known || m.host == "" || strings.Trim(u.Path, "/") != "" || u.Fragment != "" || len(query) > 0 {
		return nil, wrongURL()
	}
	m.port = "587"
	if m.secure {
		m.port = "465"
	}
	m.port = cmp.Or(u.Port(), m.port)
	if port, err := strconv.ParseUint(m.port, 10, 16); err != nil || port == 0 {
		return nil, wrongURL()
	}
	all := []gomail.Option{
		gomail.WithTimeout(m.timeout), gomail.WithTLSConfig(m.tls),
		gomail.WithoutNoop(), gomail.WithoutRset(), // one mail is all that a connection is for
	}
	switch {
	case plain && (u.User != nil || !here(m.host)):
		return nil, fault.Invalid("/server", "insecure", "must not have tls=off with a password, nor for another machine than this")
	case plain || m.secure: // what dial returns speaks TLS already
		all = append(all, gomail.WithTLSPolicy(gomail.NoTLS))
	default:
		all = append(all, gomail.WithTLSPolicy(gomail.TLSMandatory))
	}
	if u.User == nil {
		return all, nil
	}
	m.user = u.User.Username()
	if m.password, _ = u.User.Password(); m.user == "" || m.password == "" {
		return nil, wrongURL()
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

// SendMail implements [levqor.Mailer]. It returns an ErrInvalid if the server refuses the mail
// or its recipient for good, and an ErrUnavailable else: that may pass, or the operator may end
// it. With the code "in_doubt" the server was given the mail and its answer was lost, so a
// copy may arrive each time it is sent again, all with one Message-ID. No error repeats
// what the server said, which tends to name people, but for its numbers.
func (m *Mailer) SendMail(ctx context.Context, mail levqor.Mail) error {
	message, ascii, err := m.message(mail)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel() // closes the connection, whatever became of it
	options := slices.Concat(m.options, []gomail.Option{gomail.WithDialContextFunc(m.dial(ctx))})
	if m.user != "" {
		options = append(options, gomail.WithSMTPAuthCustom(&login{user: m.user, password: m.password}))
	}
	if ascii {
		options = append(options, gomail.WithoutSMTPUTF8()) // a server on the way might not know it
	}
	client, err := gomail.NewClient(m.host, options...)
	if err != nil {
		return unavailable("it is not set up")
	}
	err = client.DialAndSendWithContext(ctx, message)
	if err == nil || message.IsDelivered() { // it is the server's, even if the farewell failed
		return nil
	}
	return refusal(ctx, err)
}

// message writes a mail, and reports whether its addresses are in ASCII.
func (m *Mailer) message(of levqor.Mail) (message *gomail.Msg, ascii bool, err error) {
	text := of.To.String()
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return nil, false, fault.Invalid("/to", "required", "must be an address")
	}
	if strings.ContainsFunc(of.Subject, unicode.IsControl) {
		return nil, false, fault.Invalid("/subject", "invalid_character", "must be one line")
	}
	if strings.ContainsFunc(of.ID, func(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune("<>@", c) }) {
		return nil, false, fault.Invalid("/id", "invalid_character", "must be of visible ASCII characters, without <, > and @")
	}
	to := text[:at+1] + of.To.Domain()
	message = gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	message.FromMailAddress(m.from)
	message.ToMailAddress(&mail.Address{Address: to})
	message.Subject(of.Subject)
	message.SetDate()
	message.SetMessageIDWithValue(of.ID + "@" + m.domain)
	message.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no out-of-office replies
	message.SetBodyString(gomail.TypeTextPlain, of.Text)
	if of.HTML != "" {
		message.AddAlternativeString(gomail.TypeTextHTML, of.HTML)
	}
	return message, !strings.ContainsFunc(to, func(c rune) bool { return c > unicode.MaxASCII }), nil
}

// dial returns what connects to the server. The connection ends with the context of the
// whole sending: go-mail looks at none after it is connected, and leaves it open when it is
// not let in.
func (m *Mailer) dial(whole context.Context) gomail.DialContextFunc {
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, net.JoinHostPort(m.host, m.port))
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
