package identity

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// Hasher makes and checks keyed hashes. A key ring of package levqor is one.
type Hasher interface {
	// MAC returns the keyed hash of parts for a purpose.
	MAC(purpose string, parts ...[]byte) []byte
	// Verify reports, in constant time, whether mac is such a hash under any key
	// that the ring still honours.
	Verify(purpose string, mac []byte, parts ...[]byte) bool
}

const hashPurpose = "api-key"

// scopeForm leaves no room for a separator, so no scope can hold another.
var scopeForm = regexp.MustCompile(`^(\*|[a-z0-9_.:-]{1,64})$`)

// KeysOptions configure [Keys]. The zero value of each field means its default.
type KeysOptions struct {
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Keys makes and checks API keys. It is safe for concurrent use.
type Keys struct {
	store  KeyStore
	hasher Hasher
	opts   KeysOptions
	// unknown is compared with where no key was found, so that it takes as long.
	unknown []byte
}

// NewKeys returns keys on a store. Options may be nil.
func NewKeys(store KeyStore, hasher Hasher, opts *KeysOptions) *Keys {
	k := &Keys{store: store, hasher: hasher, unknown: hasher.MAC(hashPurpose, []byte("no key"))}
	if opts != nil {
		k.opts = *opts
	}
	return k
}

// With returns the same keys on another store, such as one bound to the caller's
// transaction.
func (k *Keys) With(store KeyStore) *Keys {
	c := *k
	c.store = store
	return &c
}

// NewKey says what a key is to be.
type NewKey struct {
	// Tenant is whose data the key opens.
	Tenant string
	// Name helps people to tell keys apart, 1 to 100 bytes.
	Name string
	// Scopes are what the key allows, at least one.
	Scopes []string
	// ExpiresAt ends the key; zero for never.
	ExpiresAt time.Time
}

// Create makes a key and returns it with its token, which cannot be had again.
// It returns an ErrInvalid that names each wrong field.
func (k *Keys) Create(ctx context.Context, n NewKey) (Key, string, error) {
	if err := n.validate(); err != nil {
		return Key{}, "", fmt.Errorf("identity: create key: %w", err)
	}
	key, token := k.generate(n)
	key, err := k.store.InsertKey(ctx, key, k.now())
	if err != nil {
		return Key{}, "", fmt.Errorf("identity: create key: %w", err)
	}
	return key, token, nil
}

// EnsureOwner makes the owner's key, with every scope on the tenant "default",
// unless one was ever made. Of any number of processes that start on an empty
// database, exactly one gets created = true and the token.
func (k *Keys) EnsureOwner(ctx context.Context) (token string, created bool, err error) {
	key, token := k.generate(NewKey{Tenant: OwnerTenant, Name: "owner", Scopes: []string{AllScopes}})
	created, err = k.store.InsertOwnerKey(ctx, key, k.now())
	if err != nil {
		return "", false, fmt.Errorf("identity: ensure owner: %w", err)
	}
	if !created {
		return "", false, nil
	}
	return token, true, nil
}

// Authenticate returns who a token stands for. It returns ErrUnauthenticated for
// a token that is malformed, unknown, revoked or expired, and ErrUnavailable if
// the store could not be asked. Malformed tokens never reach the store.
func (k *Keys) Authenticate(ctx context.Context, token string) (Principal, error) {
	kid, secret, ok := splitToken(token)
	if !ok {
		return Principal{}, errUnauthenticated()
	}
	key, current, err := k.store.FindKey(ctx, keyIDPrefix+kid, k.now())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Principal{}, fmt.Errorf("identity: authenticate: %w", err)
	}
	hash := key.Hash
	if err != nil {
		hash = k.unknown
	}
	if !k.hasher.Verify(hashPurpose, hash, []byte(kid), []byte(secret)) || !current {
		return Principal{}, errUnauthenticated()
	}
	return Principal{Tenant: key.Tenant, KeyID: key.ID, Scopes: key.Scopes}, nil
}

// Revoke ends a tenant's key at once. It returns ErrNotFound if the tenant has
// none with that ID. A key that was revoked before is returned as it is.
func (k *Keys) Revoke(ctx context.Context, tenant, id string) (Key, error) {
	key, err := k.store.RevokeKey(ctx, tenant, id, k.now())
	if err != nil {
		return Key{}, fmt.Errorf("identity: revoke key: %w", err)
	}
	return key, nil
}

func (k *Keys) generate(n NewKey) (Key, string) {
	token, kid, secret := newToken()
	return Key{
		ID: keyIDPrefix + kid, Tenant: n.Tenant, Name: n.Name, Scopes: n.Scopes, ExpiresAt: n.ExpiresAt,
		Hash: k.hasher.MAC(hashPurpose, []byte(kid), []byte(secret)),
	}, token
}

func (n NewKey) validate() error {
	var errs []error
	if n.Tenant == "" || len(n.Tenant) > 64 {
		errs = append(errs, fault.Invalid("/tenant", "out_of_range", "must have 1 to 64 bytes"))
	}
	if n.Name == "" || len(n.Name) > 100 {
		errs = append(errs, fault.Invalid("/name", "out_of_range", "must have 1 to 100 bytes"))
	}
	if len(n.Scopes) == 0 || slices.ContainsFunc(n.Scopes, func(s string) bool { return !scopeForm.MatchString(s) }) {
		errs = append(errs, fault.Invalid("/scopes", "invalid_format", "must hold at least one scope, each of letters, digits and : . _ - alone"))
	}
	return errors.Join(errs...)
}

func (k *Keys) now() time.Time {
	if k.opts.Now == nil {
		return time.Time{}
	}
	return k.opts.Now()
}

func errUnauthenticated() error {
	return &fault.Error{Kind: ErrUnauthenticated, Code: "invalid_api_key"}
}
