// Package factor keeps the second factors of people, by which they show that they are
// who their mailbox says: codes of an authenticator app (TOTP), passkeys, and recovery
// codes for the day on which both are lost.
//
//	factors := factor.New(store, ring, ring.Sealer(), nil)
//	enrolment, err := factors.BeginTOTP(ctx, user, "ada@example.com", "Engines")
//	show(enrolment.URI) // as a QR code
//	err = factors.ConfirmTOTP(ctx, user, code)
//	codes, err := factors.ReplaceRecoveryCodes(ctx, user) // shown once
//
//	held, err := factors.Has(ctx, user)
//	if held.Any() {
//		err = factors.VerifyTOTP(ctx, user, code)
//	}
//
// Signing in by a link in a mail alone is below level 2 of OWASP's ASVS 5.0 (6.3.3):
// who may change much should have one of these too.
//
// Secrets of apps are sealed in the store and recovery codes are kept as keyed hashes, so
// a copy of the database without the service's secret holds nothing that signs anybody
// in. The ceremonies of passkeys are those of package webauthnfactor.
//
// Whoever calls has checked that the user may do it: a new factor and the removal of one
// are for those who have just shown a factor that they have, or who have none.
package factor

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// Hasher makes and checks keyed hashes. A key ring of package levqor is one.
type Hasher interface {
	// MAC returns the keyed hash of parts for a purpose.
	MAC(purpose string, parts ...[]byte) []byte
	// Verify reports, in constant time, whether mac is such a hash under any key
	// that the ring still honours.
	Verify(purpose string, mac []byte, parts ...[]byte) bool
}

// Sealer encrypts what is kept. Key rings of package levqor have one.
type Sealer interface {
	// Seal returns plaintext in a form that is a line of text.
	Seal(plaintext, aad []byte) (string, error)
	// Open returns what Seal was given with the same aad, or an ErrInvalid.
	Open(sealed string, aad []byte) ([]byte, error)
}

// Throttle slows down who guesses codes.
type Throttle interface {
	// Try runs check, which looks at a code of a user and returns an ErrWrongCode for one
	// that is wrong, and returns its error. A user with too many wrong ones in a row is
	// refused with an ErrLimit, without a look, for a while: five are few enough for
	// codes of six digits. Attempts at the same time count too.
	Try(ctx context.Context, user identity.UserID, check func() error) error
}

// Options configure [Factors]. The zero value of each field means its default.
type Options struct {
	// Required says whether a user must have a factor. The last one of a user who must
	// cannot be removed. Default: nobody must.
	Required func(ctx context.Context, user identity.UserID) (bool, error)
	// Throttle slows down who guesses codes of apps. Recovery codes are too long to be
	// guessed and do not count, so that guesses do not keep their owner from using one.
	// Default: none.
	Throttle Throttle
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Factors keeps the second factors of people. It is safe for concurrent use.
type Factors struct {
	store  Store
	hasher Hasher
	sealer Sealer
	opts   Options
}

// New returns the factors on a store. Options may be nil.
func New(store Store, hasher Hasher, sealer Sealer, opts *Options) *Factors {
	f := &Factors{store: store, hasher: hasher, sealer: sealer}
	if opts != nil {
		f.opts = *opts
	}
	return f
}

// With returns the same factors on another store, such as one bound to the caller's
// transaction. What asks [Options.Throttle] or [Options.Required] belongs outside of one:
// they use stores of their own, and a wrong code counts also if the transaction is undone.
func (f *Factors) With(store Store) *Factors {
	c := *f
	c.store = store
	return &c
}

// Held is what factors a user has.
type Held struct {
	// TOTP says that the user has an authenticator app, confirmed by a code.
	TOTP bool
	// Passkeys is how many passkeys the user has.
	Passkeys int
	// RecoveryCodes is how many recovery codes the user has left.
	RecoveryCodes int
}

// Count returns how many factors the user has: the app and each passkey. Recovery codes
// are none: they stand in for one.
func (h Held) Count() int {
	if h.TOTP {
		return h.Passkeys + 1
	}
	return h.Passkeys
}

// Less returns what is gone where somebody who had h has other left.
func (h Held) Less(other Held) Held {
	return Held{TOTP: h.TOTP && !other.TOTP, Passkeys: h.Passkeys - other.Passkeys, RecoveryCodes: h.RecoveryCodes - other.RecoveryCodes}
}

// Any reports whether the user has a factor.
func (h Held) Any() bool { return h.Count() > 0 }

// Has returns what factors a user has: none if there is no such user.
func (f *Factors) Has(ctx context.Context, user identity.UserID) (Held, error) {
	held, err := f.store.Held(ctx, user)
	return held, wrap("has", err)
}

// Required reports whether a user must have a factor, by [Options].
func (f *Factors) Required(ctx context.Context, user identity.UserID) (bool, error) {
	if f.opts.Required == nil {
		return false, nil
	}
	required, err := f.opts.Required(ctx, user)
	return required, wrap("required", err)
}

// RemoveTOTP removes a user's authenticator app, and the recovery codes with the last
// factor. It returns ErrNotFound if there is none, and ErrFactorRequired if it is the
// last factor of a user who must have one: who changes phones begins with the new one,
// which takes the place of the old.
func (f *Factors) RemoveTOTP(ctx context.Context, user identity.UserID) error {
	least, err := f.least(ctx, user)
	if err != nil {
		return err
	}
	return wrap("remove TOTP", f.store.RemoveTOTP(ctx, user, least))
}

// RemovePasskey removes a passkey by its credential ID, and the recovery codes with the
// last factor. It returns ErrNotFound if the user has no such passkey, and
// ErrFactorRequired if it is the last factor of a user who must have one.
func (f *Factors) RemovePasskey(ctx context.Context, user identity.UserID, id []byte) error {
	least, err := f.least(ctx, user)
	if err != nil {
		return err
	}
	return wrap("remove passkey", f.store.RemovePasskey(ctx, user, id, least))
}

// Reset removes all factors of a user who has lost them, also what is not confirmed yet,
// and returns what they were. It asks nobody: it is for an operator and for an owner of a
// tenant, and the caller checks that it is one, ends the user's sessions and records it.
func (f *Factors) Reset(ctx context.Context, user identity.UserID) (Held, error) {
	held, err := f.store.RemoveAll(ctx, user)
	return held, wrap("reset", err)
}

// RemoveSince removes the factors that a user has been given at an instant or later, and
// recovery codes from then, also what is not confirmed yet, and returns what they were: for
// an account that was in wrong hands since. An app that took the place of another one does
// not bring that back. Like [Factors.Reset] it asks nobody, and the caller ends the user's
// sessions and records it.
func (f *Factors) RemoveSince(ctx context.Context, user identity.UserID, since time.Time) (Held, error) {
	removed, err := f.store.RemoveSince(ctx, user, since)
	return removed, wrap("remove since", err)
}

var _ identity.UserEraser = (*Factors)(nil)

// EraseUser implements [identity.UserEraser].
func (f *Factors) EraseUser(ctx context.Context, user identity.User) error {
	_, err := f.store.RemoveAll(ctx, user.ID)
	return wrap("erase user", err)
}

// least returns how many factors a user must keep.
func (f *Factors) least(ctx context.Context, user identity.UserID) (int, error) {
	required, err := f.Required(ctx, user)
	if required {
		return 1, err
	}
	return 0, err
}

func (f *Factors) now() time.Time {
	if f.opts.Now == nil {
		return time.Time{}
	}
	return f.opts.Now()
}

// maxText bounds names and labels, in bytes.
const maxText = 100

// checkText returns an ErrInvalid about field for what cannot be shown in a line.
func checkText(field, text string) error {
	if text == "" || len(text) > maxText {
		return fault.Invalid(field, "out_of_range", fmt.Sprintf("must have 1 to %d bytes", maxText))
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) || text != strings.TrimSpace(text) {
		return fault.Invalid(field, "invalid_format", "must be a line of text without spaces around it")
	}
	return nil
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("factor: %s: %w", op, err)
}
