package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
)

// ErrBlocked reports that a target's address belongs to a network that
// requests must not reach. The error's text names that network, for logs.
var ErrBlocked = errors.New("egress: target is in a private or special network")

// ErrResponse reports that the target answered, but not with valid HTTP. The
// error's text may quote pieces of the answer, and so what a request with
// secrets got back: it is not for logs then.
var ErrResponse = errors.New("egress: target's response is not valid")

// urlError says what is wrong with a URL without repeating any part of it.
type urlError string

// Error names the package, for logs.
func (e urlError) Error() string { return "egress: " + string(e) }

const (
	textUnreachable = "the server could not be reached"
	textBlocked     = "the host's address is not public"
	textName        = "the host's name could not be resolved"
	textRefused     = "the connection was refused"
	textTimeout     = "the server did not answer in time"
	textHangup      = "the server closed the connection without an answer"
	textResponse    = "the server's answer was not valid HTTP"
	textHandshake   = "the server did not accept a TLS connection"
	textCertificate = "the server's TLS certificate is not valid"
	textHostname    = "the server's TLS certificate is for another host"
	textExpired     = "the server's TLS certificate is expired or not yet valid"
	textAuthority   = "the server's TLS certificate is not from a trusted authority"
)

// Refused reports whether err says that a request was not sent because its URL
// or its host's addresses are refused. Sending it again is of no use then.
func Refused(err error) bool {
	var badURL urlError
	return errors.Is(err, ErrBlocked) || errors.As(err, &badURL)
}

// Public returns what a user may read of err, a failure of [CheckURL], [Client]
// or [ReadBody]; "" for nil. The text holds no address, name or other part of
// err. All refused addresses read the same, whatever network they are in and
// whatever listens there.
func Public(err error) string {
	var badURL urlError
	var name *net.DNSError
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrBlocked):
		return textBlocked
	case errors.As(err, &badURL):
		return string(badURL)
	case errors.As(err, &name):
		return textName
	case isTimeout(err):
		return textTimeout
	case errors.Is(err, ErrResponse):
		return textResponse
	case isCertificate(err):
		return certificateText(err)
	case isHandshake(err):
		return textHandshake
	case errors.Is(err, syscall.ECONNREFUSED):
		return textRefused
	case isHangup(err):
		return textHangup
	}
	return textUnreachable
}

// isHangup tells a connection that ended before the first byte of an answer.
func isHangup(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	return errors.As(err, &verification)
}

func certificateText(err error) string {
	var hostname x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &hostname):
		return textHostname
	case errors.As(err, &authority):
		return textAuthority
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return textExpired
	}
	return textCertificate
}

func isHandshake(err error) bool {
	var record tls.RecordHeaderError
	var alert tls.AlertError
	return errors.As(err, &record) || errors.As(err, &alert) || errors.Is(err, http.ErrSchemeMismatch)
}
