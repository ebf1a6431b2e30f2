package egress

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
)

// ErrBlocked reports that a target's address belongs to a network that
// requests must not reach. It is for logs; [Public] does not tell it from
// other failures to connect.
var ErrBlocked = errors.New("egress: target is in a private or special network")

// errResponse reports that the target answered, but not with valid HTTP.
var errResponse = errors.New("egress: target's response is not valid")

const (
	textUnreachable = "the target could not be reached"
	textHandshake   = "the target did not accept a TLS connection"
	textResponse    = "the target's response was not valid HTTP"
	textCertificate = "the target's TLS certificate is not valid"
	textHostname    = "the target's TLS certificate is for another host"
	textExpired     = "the target's TLS certificate is expired or not yet valid"
	textAuthority   = "the target's TLS certificate is not from a trusted authority"
)

// Public returns what a tenant may read of err, a failure of [Client] or
// [ReadBody]; "" for nil. Blocked and refused addresses, timeouts, and names
// that do not resolve all read the same, so the text is no help in exploring
// a network. Faults of a target's certificate or response are named. The text
// holds no address, name or other part of err.
func Public(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrBlocked), isTimeout(err):
		return textUnreachable
	case errors.Is(err, errResponse):
		return textResponse
	case isCertificate(err):
		return certificateText(err)
	case isHandshake(err):
		return textHandshake
	}
	return textUnreachable
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
