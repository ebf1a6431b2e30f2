package smtpnotify

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"strings"

	gomail "github.com/wneessen/go-mail"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
)

// refusal tells what an error of go-mail means.
func refusal(ctx context.Context, err error) error {
	failed, ok := errors.AsType[*gomail.SendError](err)
	if !ok {
		return unavailable(why(ctx, err))
	}
	code, enhanced := failed.ErrorCode(), failed.EnhancedStatusCode()
	status := strings.TrimSpace(fmt.Sprint(code, " ", enhanced))
	switch {
	case code == 0 && failed.Reason == gomail.ErrSMTPDataClose:
		return &fault.Error{Kind: levqor.ErrUnavailable, Code: "in_doubt", Detail: "the mail server was given the mail and did not say whether it took it"}
	case code == 0:
		return unavailable(why(ctx, err))
	case final(failed.Reason, code, enhanced):
		return &fault.Error{Kind: levqor.ErrInvalid, Code: "mail_refused", Field: "/to", Detail: "the mail server refuses it for good, with " + status}
	case failed.Reason == gomail.ErrSMTPMailFrom:
		return &fault.Error{Kind: levqor.ErrUnavailable, Code: "mail_refused", Detail: "the mail server refuses the sender, with " + status}
	default:
		return &fault.Error{Kind: levqor.ErrUnavailable, Code: "mail_refused", Detail: "the mail server does not take it now, with " + status}
	}
}

// final reports whether an answer is about this mail or its recipient and will stay so. Many
// servers say only at the recipient that they do not know the sender or serve no relay
// (5.7.x, RFC 3463, and 530 and 503 where a password is wanted): that is about us, and the
// next mail would hear the same.
func final(at gomail.SendErrReason, code int, enhanced string) bool {
	switch at {
	case gomail.ErrSMTPRcptTo, gomail.ErrSMTPData:
		return code >= 500 && code != 503 && code != 530 && !strings.HasPrefix(enhanced, "5.7.")
	case gomail.ErrSMTPDataClose:
		return code >= 500
	default:
		return false
	}
}

func unavailable(reason string) error {
	return &fault.Error{Kind: levqor.ErrUnavailable, Code: "mail_unavailable", Detail: "the mail server cannot be used: " + reason}
}

// why says in words of ours what stands in the way before a mail, or cut it off.
func why(ctx context.Context, err error) string {
	answer, answered := errors.AsType[*textproto.Error](err)
	_, unknown := errors.AsType[*net.DNSError](err)
	_, strange := errors.AsType[*tls.CertificateVerificationError](err)
	_, refused := errors.AsType[*net.OpError](err)
	switch {
	case answered:
		return fmt.Sprintf("it does not let us in, with %d", answer.Code)
	case errors.Is(err, errNoMethod):
		return "it has no way to sign in that we know"
	case strange:
		return "its certificate is not its own, or of nobody whom we trust"
	case ctx.Err() != nil:
		return "it takes too long"
	case unknown:
		return "its name is not found"
	case strings.Contains(err.Error(), "STARTTLS"): // go-mail has no error of its own for it
		return "it does not offer TLS"
	case refused:
		return "nobody answers, or the connection ended"
	default:
		return "it does not speak as a mail server does"
	}
}
