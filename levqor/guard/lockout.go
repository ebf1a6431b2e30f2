package guard

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// LockoutOptions configure a [Lockout]. The zero value of each field means its default.
type LockoutOptions struct {
	// Account are how many guesses at an account all untrusted devices may make together,
	// and each trusted one by itself, by several measures of time. Default: "lockout-minute",
	// 5 a minute, "lockout-hour", 20 an hour, and "lockout-day", 100 a day.
	Account []Policy
	// Network are how many of them untrusted devices of one network may make. Default:
	// "lockout-network", 20 a day.
	Network []Policy
	// TrustFor is how long a device is trusted. Default: 365 days.
	TrustFor time.Duration
	// Now replaces the clock of the process, for tests. Default: its clock.
	Now func() time.Time
}

const (
	devicePurpose   = "trusted-device"
	deviceNonceSize = 16
	deviceDateSize  = 8
)

// Lockout slows down who guesses at the secret of an account, and does not let strangers
// keep its owner out: a device from which somebody has got in before is trusted, by a
// cookie, and has a count of its own, which no other device uses up (OWASP, Slow Down
// Online Guessing Attacks with Device Cookies,
// https://owasp.org/www-community/Slow_Down_Online_Guessing_Attacks_with_Device_Cookies).
//
//	err := lockout.Try(ctx, guard.Attempt{Account: account, Address: addr, Device: cookie})
//	if refused, ok := errors.AsType[*guard.LimitError](err); ok {
//		return tryAgain(refused.RetryAfter)
//	}
//	if err != nil || !right(secret) {
//		return wrong // the same answer, whatever it was
//	}
//	setCookie(lockout.NewDevice(account))
//
// Each attempt is counted before the secret is looked at, so that attempts at the same
// time cannot be more, and it stays counted if the secret was right: whoever gets in has a
// trusted device from then on.
//
// By default an attacker has 199 guesses in the first day at an account, from however many
// networks, and 100 in each day after; each wait is longer than the one before: up to 12 s
// after 5 guesses, 3 minutes after 20, and 14.4 minutes after 100, or, in one network,
// 72 minutes after 20. The owner does not notice on a trusted device. On another one the
// owner does not notice an attack from up to 4 networks. During one from more, an attempt is
// let through every 14.4 minutes, whoever asks first, the owner as well as the attacker; so
// a login that proves the owner's hold of something else, such as a link by mail, should
// make the device trusted, with [Lockout.NewDevice]. It is safe for concurrent use.
type Lockout struct {
	limiter *Limiter
	ring    Ring
	opts    LockoutOptions
}

// NewLockout returns a lockout that counts with a limiter. Options may be nil. It returns
// an ErrInvalid that names each wrong policy.
func NewLockout(limiter *Limiter, ring Ring, opts *LockoutOptions) (*Lockout, error) {
	l := &Lockout{limiter: limiter, ring: ring}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Account == nil {
		l.opts.Account = []Policy{{"lockout-minute", 5, time.Minute}, {"lockout-hour", 20, time.Hour}, {"lockout-day", 100, 24 * time.Hour}}
	}
	if l.opts.Network == nil {
		l.opts.Network = []Policy{{"lockout-network", 20, 24 * time.Hour}}
	}
	if l.opts.TrustFor <= 0 {
		l.opts.TrustFor = 365 * 24 * time.Hour
	}
	var errs []error
	for field, policies := range map[string][]Policy{"/account": l.opts.Account, "/network": l.opts.Network} {
		for i, p := range policies {
			if err := p.Validate(); err != nil {
				errs = append(errs, fault.Under(fmt.Sprintf("%s/%d", field, i), err))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("guard: lockout: %w", err)
	}
	return l, nil
}

// Attempt is somebody who wants to get in.
type Attempt struct {
	// Account is whose secret it is, in its one form: a user ID, or the canonical address
	// where it is not known whether there is such a user.
	Account string
	// Address is where the attempt comes from.
	Address netip.Addr
	// Device is the cookie of the device; anything that is none counts as none.
	Device string
}

// Try counts an attempt. It returns a [LimitError] that says how long to wait if there were
// too many, for an account that does not exist as for one that does, and ErrUnavailable if
// it could not be counted: then nobody should get in.
func (l *Lockout) Try(ctx context.Context, a Attempt) error {
	var charges []Charge
	charge := func(policies []Policy, parts ...string) {
		for _, p := range policies {
			charges = append(charges, Charge{Policy: p, Key: fmt.Sprintf("%q", parts)})
		}
	}
	if nonce, ok := l.device(a.Account, a.Device); ok {
		charge(l.opts.Account, "device", a.Account, string(nonce))
	} else {
		charge(l.opts.Account, "account", a.Account)
		charge(l.opts.Network, "network", a.Account, Network(a.Address))
	}
	_, err := l.limiter.Take(ctx, charges...)
	if err != nil {
		return fmt.Errorf("guard: try: %w", err)
	}
	return nil
}

// NewDevice returns the cookie of a device that is trusted with an account from now on: one
// from which somebody has just got in, or has proved otherwise to be its owner. It holds
// nothing personal and opens nothing; keep it from scripts and from other sites.
func (l *Lockout) NewDevice(account string) string {
	raw := make([]byte, deviceNonceSize, deviceNonceSize+deviceDateSize+32)
	_, _ = rand.Read(raw) // does not fail
	raw = binary.BigEndian.AppendUint64(raw, uint64(l.clock().Add(l.opts.TrustFor).Unix()))
	return base64.RawURLEncoding.EncodeToString(append(raw, l.ring.MAC(devicePurpose, []byte(account), raw)...))
}

// Trusts reports whether a cookie is of a device that is trusted with an account.
func (l *Lockout) Trusts(account, cookie string) bool {
	_, ok := l.device(account, cookie)
	return ok
}

// device returns what tells a trusted device from others.
func (l *Lockout) device(account, cookie string) (nonce []byte, ok bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cookie)
	if err != nil || len(raw) < deviceNonceSize+deviceDateSize {
		return nil, false
	}
	signed := raw[:deviceNonceSize+deviceDateSize]
	if !l.ring.Verify(devicePurpose, raw[len(signed):], []byte(account), signed) {
		return nil, false
	}
	until := time.Unix(int64(binary.BigEndian.Uint64(signed[deviceNonceSize:])), 0)
	return signed[:deviceNonceSize], l.clock().Before(until)
}

func (l *Lockout) clock() time.Time {
	if l.opts.Now != nil {
		return l.opts.Now()
	}
	return time.Now() //nolint:forbidigo // a year more or less
}
