package smtpnotify

import (
	"errors"
	"slices"

	"github.com/wneessen/go-mail/smtp"
)

var errNoMethod = errors.New("smtpnotify: the server offers none of SCRAM-SHA-256, PLAIN and LOGIN")

// login signs in at a server by the best method that both know, over TLS alone. Those that
// go-mail would fall back to are broken or ask for another kind of account.
type login struct {
	user, password string
	chosen         smtp.Auth
}

// Start implements [smtp.Auth].
func (l *login) Start(server *smtp.ServerInfo) (method string, first []byte, err error) {
	offers := func(name string) bool { return server.TLS && slices.Contains(server.Auth, name) }
	switch {
	case offers("SCRAM-SHA-256"):
		l.chosen = smtp.ScramSHA256Auth(l.user, l.password)
	case offers("PLAIN"):
		l.chosen = smtp.PlainAuth("", l.user, l.password, server.Name, false)
	case offers("LOGIN"):
		l.chosen = smtp.LoginAuth(l.user, l.password, server.Name, false)
	default:
		return "", nil, errNoMethod
	}
	return l.chosen.Start(server)
}

// Next implements [smtp.Auth].
func (l *login) Next(challenge []byte, more bool) ([]byte, error) {
	return l.chosen.Next(challenge, more)
}
