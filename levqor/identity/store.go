package identity

import (
	"context"
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
	// Hash is the keyed hash of the secret.
	Hash []byte
	// Scopes are what the key allows.
	Scopes []string
	// CreatedAt is when the key was stored.
	CreatedAt time.Time
	// ExpiresAt ends the key; zero for never.
	ExpiresAt time.Time
	// RevokedAt is when the key was revoked; zero if it was not.
	RevokedAt time.Time
}

// KeyStore keeps API keys. What holds for every method: it is safe for
// concurrent use; now is the instant that the call works with, and the zero time
// means the store's own clock; errors wrap the kinds of this package and print
// nothing of the store's inner workings.
type KeyStore interface {
	// InsertKey stores a key and returns it with CreatedAt set. It returns
	// ErrConflict if the ID is taken.
	InsertKey(ctx context.Context, key Key, now time.Time) (Key, error)

	// InsertOwnerKey stores a key as InsertKey does unless an owner's key was
	// ever stored, and reports whether it did. Of any number of callers at once,
	// in any number of processes, one is told true.
	InsertOwnerKey(ctx context.Context, key Key, now time.Time) (bool, error)

	// FindKey returns the key with an ID and whether it is current at now:
	// neither revoked nor expired. It returns ErrNotFound if there is none.
	FindKey(ctx context.Context, id string, now time.Time) (key Key, current bool, err error)

	// RevokeKey sets RevokedAt of a tenant's key, unless it is set. It returns
	// ErrNotFound if there is none with that ID or it belongs to another tenant.
	RevokeKey(ctx context.Context, tenant, id string, now time.Time) (Key, error)
}
