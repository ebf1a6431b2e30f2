package factor

import (
	"context"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// MaxPasskeys is how many passkeys a user can have.
const MaxPasskeys = 20

// maxCredentialID is the length of a credential ID at most, in bytes (WebAuthn, section 5.8.3).
const maxCredentialID = 1023

// Passkey is a credential of WebAuthn (https://www.w3.org/TR/webauthn-3/, "credential
// record"). Nothing in it is secret.
type Passkey struct {
	// ID is the credential ID, 1 to 1,023 bytes.
	ID []byte
	// User is whose it is.
	User identity.UserID
	// Name is what the user calls it, a line of 1 to 100 bytes.
	Name string
	// PublicKey checks what the authenticator signs, a COSE_Key (RFC 9052).
	PublicKey []byte
	// SignCount is how often the passkey has signed, when it was used last; 0 if its
	// authenticator does not count.
	SignCount uint32
	// AAGUID names the model of the authenticator; zero if it does not say.
	AAGUID [16]byte
	// Transports are ways to reach the authenticator, such as "internal" or "usb".
	Transports []string
	// BackupEligible says that the passkey can be copied to other devices of the user.
	BackupEligible bool
	// BackedUp says that it has been, when it was used last.
	BackedUp bool
	// CreatedAt is when the passkey was registered.
	CreatedAt time.Time
	// LastUsedAt is when it was used last; zero if never.
	LastUsedAt time.Time
}

func (p Passkey) clone() Passkey {
	p.ID, p.PublicKey, p.Transports = slices.Clone(p.ID), slices.Clone(p.PublicKey), slices.Clone(p.Transports)
	return p
}

// PasskeyUse is what a passkey said of itself when it was used.
type PasskeyUse struct {
	// SignCount and BackedUp are those of [Passkey].
	SignCount uint32
	BackedUp  bool
}

// Grown reports whether a sign count may follow another one: it is above it, or the
// authenticator does not count (WebAuthn, section 6.1.1). It is the rule for all stores;
// one in SQL says it in its own words.
func (u PasskeyUse) Grown(before uint32) bool {
	return u.SignCount > before || u.SignCount == 0 && before == 0
}

// AddPasskey stores a passkey that an authenticator has just made and that has been
// verified, as package webauthnfactor does. It returns an ErrInvalid that names the wrong field,
// ErrNotFound if there is no such user, ErrPasskeyTaken and ErrTooManyPasskeys.
func (f *Factors) AddPasskey(ctx context.Context, passkey Passkey) (Passkey, error) {
	if err := checkText("/name", passkey.Name); err != nil {
		return Passkey{}, wrap("add passkey", err)
	}
	if len(passkey.ID) == 0 || len(passkey.ID) > maxCredentialID {
		return Passkey{}, wrap("add passkey", fault.Invalid("/id", "out_of_range", "must have 1 to 1023 bytes"))
	}
	added, err := f.store.AddPasskey(ctx, passkey, f.now())
	return added, wrap("add passkey", err)
}

// FindPasskey returns the passkey with a credential ID, whoever's it is, or ErrNotFound.
func (f *Factors) FindPasskey(ctx context.Context, id []byte) (Passkey, error) {
	passkey, err := f.store.FindPasskey(ctx, id)
	return passkey, wrap("find passkey", err)
}

// Passkeys returns a user's passkeys, the oldest first.
func (f *Factors) Passkeys(ctx context.Context, user identity.UserID) ([]Passkey, error) {
	all, err := f.store.Passkeys(ctx, user)
	return all, wrap("passkeys", err)
}

// RenamePasskey sets the name of a user's passkey. It returns an ErrInvalid about
// "/name", and ErrNotFound if the user has no such passkey.
func (f *Factors) RenamePasskey(ctx context.Context, user identity.UserID, id []byte, name string) (Passkey, error) {
	if err := checkText("/name", name); err != nil {
		return Passkey{}, wrap("rename passkey", err)
	}
	passkey, err := f.store.RenamePasskey(ctx, user, id, name)
	return passkey, wrap("rename passkey", err)
}

// UsePasskey records that a user's passkey has just been used and verified, as package
// webauthnfactor does. It returns ErrCloned if the sign count has not grown, and
// ErrNotFound if the user has no such passkey.
func (f *Factors) UsePasskey(ctx context.Context, user identity.UserID, id []byte, use PasskeyUse) (Passkey, error) {
	passkey, err := f.store.UsePasskey(ctx, user, id, use, f.now())
	return passkey, wrap("use passkey", err)
}
