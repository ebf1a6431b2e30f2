package factor

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // HMAC with SHA-1 is what apps know (RFC 6238), and is not broken
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// What all authenticator apps know: RFC 6238 with SHA-1, six digits and steps of 30
// seconds. A code of the step before or after counts too, for clocks that are wrong and
// people who type slowly (section 5.2). The secret is as long as RFC 4226 recommends
// (section 4, R6).
const (
	totpStep       = 30
	totpWindow     = 1
	totpDigits     = 6
	totpModulus    = 1_000_000
	totpSecretSize = 20
)

// PendingTTL is how long a new secret waits for its first code.
const PendingTTL = 15 * time.Minute

// Enrolment is a new secret on its way to an authenticator app. It is a secret: it is
// shown to its user once and logged nowhere.
type Enrolment struct {
	// Secret is for typing: 32 letters and digits of base32 (RFC 4648).
	Secret string
	// URI is for a QR code, in the Key URI format of Google Authenticator.
	URI string
}

// BeginTOTP makes a secret for a user's authenticator app, which shows it by the names
// of the account and of the issuer. It comes into use with [Factors.ConfirmTOTP] within
// [PendingTTL]; until then the one before stays in use. The name of an account, such as an
// address, is cut to 100 bytes. It returns an ErrInvalid about "/account" or "/issuer"
// unless each is a line of text without a colon, and the issuer has at most 100 bytes, and
// ErrNotFound if there is no such user.
func (f *Factors) BeginTOTP(ctx context.Context, user identity.UserID, account, issuer string) (Enrolment, error) {
	account = cut(account)
	if err := errors.Join(checkLabel("/account", account), checkLabel("/issuer", issuer)); err != nil {
		return Enrolment{}, wrap("begin TOTP", err)
	}
	secret := make([]byte, totpSecretSize)
	_, _ = rand.Read(secret) // does not fail
	sealed, err := f.sealer.Seal(secret, totpPlace(user))
	if err != nil {
		return Enrolment{}, wrap("begin TOTP", err)
	}
	if err := f.store.PutPendingTOTP(ctx, user, sealed, PendingTTL, f.now()); err != nil {
		return Enrolment{}, wrap("begin TOTP", err)
	}
	return enrolment(secret, account, issuer), nil
}

// PendingTOTP returns once more what [Factors.BeginTOTP] has made, as long as it waits for
// its first code, so that a page can show it which does not make it. It returns ErrInvalid
// as BeginTOTP does, and ErrNotFound if no secret waits.
func (f *Factors) PendingTOTP(ctx context.Context, user identity.UserID, account, issuer string) (Enrolment, error) {
	account = cut(account)
	if err := errors.Join(checkLabel("/account", account), checkLabel("/issuer", issuer)); err != nil {
		return Enrolment{}, wrap("pending TOTP", err)
	}
	totp, _, err := f.store.FindTOTP(ctx, user, f.now())
	if err == nil && totp.Pending == "" {
		err = ErrNotFound
	}
	if err != nil {
		return Enrolment{}, wrap("pending TOTP", err)
	}
	secret, err := f.openTOTP(user, totp.Pending)
	if err != nil {
		return Enrolment{}, wrap("pending TOTP", err)
	}
	return enrolment(secret, account, issuer), nil
}

func enrolment(secret []byte, account, issuer string) Enrolment {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(secret)
	return Enrolment{Secret: text, URI: keyURI(text, account, issuer)}
}

// ConfirmTOTP brings the secret of [Factors.BeginTOTP] into use by a code that the app
// shows, which does not count again. It returns an ErrWrongCode, and ErrNotFound if no
// secret waits.
func (f *Factors) ConfirmTOTP(ctx context.Context, user identity.UserID, code string) error {
	totp, at, err := f.store.FindTOTP(ctx, user, f.now())
	if err == nil && totp.Pending == "" {
		err = ErrNotFound
	}
	if err != nil {
		return wrap("confirm TOTP", err)
	}
	step, err := f.matchTOTP(user, totp.Pending, code, at)
	if err != nil {
		return wrap("confirm TOTP", err)
	}
	return wrap("confirm TOTP", f.store.ConfirmTOTP(ctx, user, totp.Pending, step, f.now()))
}

// VerifyTOTP checks a code of a user's authenticator app. Each code counts once,
// wherever it is shown, and none that is older than one that has counted. It returns an
// ErrWrongCode, which is an ErrReplayed for a code that has been used, an ErrLimit from
// the [Throttle], and ErrNotFound if the user has no app.
func (f *Factors) VerifyTOTP(ctx context.Context, user identity.UserID, code string) error {
	check := func() error { return f.verifyTOTP(ctx, user, code) }
	if f.opts.Throttle == nil {
		return wrap("verify TOTP", check())
	}
	return wrap("verify TOTP", f.opts.Throttle.Try(ctx, user, check))
}

func (f *Factors) verifyTOTP(ctx context.Context, user identity.UserID, code string) error {
	totp, at, err := f.store.FindTOTP(ctx, user, f.now())
	if err != nil {
		return err
	}
	if totp.Secret == "" {
		return ErrNotFound
	}
	step, err := f.matchTOTP(user, totp.Secret, code, at)
	if err != nil {
		return err
	}
	return f.store.UseTOTPStep(ctx, user, totp.Secret, step)
}

func (f *Factors) openTOTP(user identity.UserID, sealed string) ([]byte, error) {
	secret, err := f.sealer.Open(sealed, totpPlace(user))
	if err != nil {
		return nil, fmt.Errorf("secret of an app: %w", fault.Opaque(ErrUnavailable, err)) // the operator's keys are wrong, not the code
	}
	return secret, nil
}

// matchTOTP returns the latest step around an instant that has a code, or ErrWrongCode.
func (f *Factors) matchTOTP(user identity.UserID, sealed, code string, at time.Time) (int64, error) {
	secret, err := f.openTOTP(user, sealed)
	if err != nil {
		return 0, err
	}
	code = strings.ReplaceAll(code, " ", "") // apps show it in groups
	now, match := at.Unix()/totpStep, int64(-1)
	for step := now - totpWindow; step <= now+totpWindow; step++ {
		if subtle.ConstantTimeCompare([]byte(hotp(secret, step)), []byte(code)) == 1 {
			match = step
		}
	}
	if match < 0 {
		return 0, ErrWrongCode
	}
	return match, nil
}

// TOTPCode returns the code that an app with a secret shows at an instant (RFC 6238): for
// tests, and for programs that stand in for an app. The secret is the text of an
// [Enrolment]; it returns an ErrInvalid about "/secret" for another text.
func TOTPCode(secret string, at time.Time) (string, error) {
	raw, err := base32.StdEncoding.WithPadding(base32.NoPadding).DecodeString(secret)
	if err != nil {
		return "", fmt.Errorf("factor: TOTP code: %w", fault.Invalid("/secret", "invalid_format", "must be base32 without padding"))
	}
	return hotp(raw, at.Unix()/totpStep), nil
}

// hotp returns the code of RFC 4226, section 5.3, for a counter.
func hotp(secret []byte, counter int64) string {
	h := hmac.New(sha1.New, secret)
	_ = binary.Write(h, binary.BigEndian, counter) // a hash takes whatever comes
	sum := h.Sum(nil)
	offset := sum[len(sum)-1] & 0xf
	n := binary.BigEndian.Uint32(sum[offset:]) & 0x7fffffff
	return fmt.Sprintf("%0*d", totpDigits, n%totpModulus)
}

// totpPlace names where a secret is kept, so that it opens nowhere else.
func totpPlace(user identity.UserID) []byte {
	return fmt.Appendf(nil, "levqor_factor_totp|secret|%d", user)
}

// checkLabel is checkText for labels of the Key URI format, which a colon separates.
func checkLabel(field, text string) error {
	if strings.Contains(text, ":") {
		return fault.Invalid(field, "invalid_character", "must hold no colon")
	}
	return checkText(field, text)
}

// cut returns what fits into a label of a text that may be too long.
func cut(text string) string {
	if len(text) <= maxText {
		return text
	}
	end := maxText
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return strings.TrimSpace(text[:end])
}

// keyURI writes a secret in the Key URI format:
// https://github.com/google/google-authenticator/wiki/Key-Uri-Format
func keyURI(secret, account, issuer string) string {
	escape := func(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") } // some apps show a +
	return fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d",
		escape(issuer), escape(account), secret, escape(issuer), totpDigits, totpStep)
}
