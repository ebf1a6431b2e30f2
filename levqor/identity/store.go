package identity

import (
	"context"
	"net/netip"
	"time"
)

// Key is an API key as its store knows it. Keys are tenant-owned.
type Key struct {
	// ID identifies the key: "key_" and the public part of its token.
	ID string
	// Tenant is whose data the key opens.
	Tenant string
	// Name helps people to tell keys apart, 1 to 100 bytes.
	Name string
	// Environment is that of its tokens, "live" or "test".
	Environment string
	// LastFour are the last characters of its present token; empty for keys from
	// before they were kept.
	LastFour string
	// Creator is who made the key: the ID of a key or of a user; empty for the
	// service itself.
	Creator string
	// Hash is the keyed hash of the secret.
	Hash []byte
	// OldHash is that of the secret from before the last rotation; empty if there
	// is none.
	OldHash []byte
	// Scopes are what the key allows. They never change.
	Scopes []string
	// AllowedNetworks are where the key may be used from; none means anywhere. One
	// that a store cannot read is the zero Prefix, which holds no address.
	AllowedNetworks []netip.Prefix
	// CreatedAt is when the key was stored.
	CreatedAt time.Time
	// ExpiresAt ends the key; zero for never.
	ExpiresAt time.Time
	// RevokedAt is when the key was revoked; zero if it was not.
	RevokedAt time.Time
	// LastUsedAt is when the key was last used, give or take two minutes; zero if
	// it never was.
	LastUsedAt time.Time
	// RotatedAt is when the key last got another secret; zero if it never did.
	RotatedAt time.Time
	// RetiringUntil ends the secret from before the last rotation; zero if there is
	// none.
	RetiringUntil time.Time
}

// KeyChange is a change of a key; nil fields leave it as it is.
type KeyChange struct {
	// Name is the new name.
	Name *string
	// AllowedNetworks take the place of those that the key has.
	AllowedNetworks *[]netip.Prefix
}

// KeyRotation is what a rotation puts into a key.
type KeyRotation struct {
	// Hash is the keyed hash of the new secret.
	Hash []byte
	// LastFour are the last characters of the new token.
	LastFour string
	// Overlap is how long the secret from before goes on to work.
	Overlap time.Duration
}

// KeyQuery says which keys to list.
type KeyQuery struct {
	// WithRevoked includes revoked keys.
	WithRevoked bool
	// Before leaves out all keys up to this one, in the order of the list. Its
	// CreatedAt and ID count; the zero Key leaves out none.
	Before Key
	// Limit is how many to return at most.
	Limit int
}

// KeyStore keeps API keys. What holds for every method: it is safe for
// concurrent use; now is the instant that the call works with, and the zero time
// means the store's own clock; errors wrap the kinds of this package and print
// nothing of the store's inner workings.
type KeyStore interface {
	KeyHashStore

	// InsertKey stores a key and returns it with CreatedAt set. It returns
	// ErrConflict if the ID is taken.
	InsertKey(ctx context.Context, key Key, now time.Time) (Key, error)

	// InsertOwnerKey stores a key as InsertKey does unless an owner's key was
	// ever stored, and reports whether it did. Of any number of callers at once,
	// in any number of processes, one is told true.
	InsertOwnerKey(ctx context.Context, key Key, now time.Time) (bool, error)

	// FindKey returns the key with an ID, whatever its state, and the instant that
	// the call worked with. It returns ErrNotFound if there is none.
	FindKey(ctx context.Context, id string, now time.Time) (key Key, at time.Time, err error)

	// ListKeys returns a tenant's keys, the newest first and those of the same
	// instant in an order that stays the same. It leaves out revoked ones unless
	// asked for.
	ListKeys(ctx context.Context, tenant string, q KeyQuery) ([]Key, error)

	// UpdateKey changes a tenant's key and returns it. Within a transaction it keeps others
	// from changing, rotating or revoking the key until that ends, also with a change of
	// nothing. It returns ErrConflict if the key is revoked, and ErrNotFound if there is
	// none with that ID or it belongs to another tenant.
	UpdateKey(ctx context.Context, tenant, id string, c KeyChange) (Key, error)

	// RotateKey puts another secret into a tenant's key and returns it: OldHash is
	// the hash that it had, RotatedAt is now, and RetiringUntil is Overlap later.
	// Without an overlap there is no old secret. Of any number of callers at once
	// with an overlap, one does so. It returns ErrRotating while a secret from
	// before still works, ErrConflict if the key is revoked or expired, and
	// ErrNotFound if there is none with that ID or it belongs to another tenant.
	RotateKey(ctx context.Context, tenant, id string, r KeyRotation, now time.Time) (Key, error)

	// TouchKeys sets LastUsedAt of keys, of any tenants, to now, unless it is less
	// than a minute before. It leaves out IDs that there are none of, and may leave
	// out keys that somebody changes meanwhile.
	TouchKeys(ctx context.Context, ids []string, now time.Time) error

	// RevokeKey sets RevokedAt of a tenant's key, unless it is set. It returns
	// ErrNotFound if there is none with that ID or it belongs to another tenant.
	RevokeKey(ctx context.Context, tenant, id string, now time.Time) (Key, error)
}

// KeyHashStore replaces the hashes of API keys. What holds for a [KeyStore] holds here too.
type KeyHashStore interface {
	// RehashKeys puts To in the place of From where a key, of any tenant, has it as its
	// Hash or its OldHash. It leaves alone a key whose hashes are others, and changes
	// nothing else.
	RehashKeys(ctx context.Context, all []Rehash) error
}

// Rehash is another hash of the same secret.
type Rehash struct {
	// ID is that of the key.
	ID string
	// From is the hash that the key has, To the one under the current key of the [Hasher].
	From, To []byte
}

// Committer is a store bound to a transaction that knows when it ends. [Keys] on one
// forget what they know of a key that was changed after the commit.
type Committer interface {
	// AfterCommit calls fn once the transaction has been committed, and never if it
	// is not.
	AfterCommit(fn func())
}
