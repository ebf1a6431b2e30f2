package identity

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"time"
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

// The overlap of a rotation, in which both secrets work.
const (
	// DefaultOverlap is an overlap long enough to bring the new token everywhere.
	DefaultOverlap = 24 * time.Hour
	// MaxOverlap is the longest overlap.
	MaxOverlap = 30 * 24 * time.Hour
)

// KeysOptions configure [Keys]. The zero value of each field means its default.
type KeysOptions struct {
	// Environment is that of the service, [Live] or [Test]: its keys have tokens that
	// say so, and those of the other are refused. Default: Live.
	Environment string
	// Scopes are those that a new key can have besides [AllScopes]. Default: any that
	// is well-formed.
	Scopes []string
	// Now replaces the clocks of the store and of the process, for tests. Default:
	// their clocks.
	Now func() time.Time
}

// Keys makes and checks API keys. It is safe for concurrent use.
type Keys struct {
	store  KeyStore
	hasher Hasher
	opts   KeysOptions
	cache  *cache
	uses   *uses
	by     *Principal // who makes and changes keys; nil for the service itself
	bound  bool       // to a transaction, whose keys nobody else may see
	// unknown is compared with where no key was found, so that it takes as long.
	unknown []byte
}

// NewKeys returns keys on a store. Options may be nil.
func NewKeys(store KeyStore, hasher Hasher, opts *KeysOptions) *Keys {
	k := &Keys{store: store, hasher: hasher, cache: &cache{}, uses: &uses{}, unknown: hasher.MAC(hashPurpose, []byte("no key"))}
	if opts != nil {
		k.opts = *opts
	}
	if k.opts.Environment == "" {
		k.opts.Environment = Live
	}
	return k
}

// With returns the same keys on another store, such as one bound to the caller's
// transaction; it should be a [Committer] then, or this process may believe for
// [CacheTTL] what it saw of a changed key before the commit.
func (k *Keys) With(store KeyStore) *Keys {
	c := *k
	c.store, c.bound = store, true
	return &c
}

// WithScopes returns the same keys that can have these scopes, unless the options
// said which.
func (k *Keys) WithScopes(scopes []string) *Keys {
	c := *k
	if c.opts.Scopes == nil {
		c.opts.Scopes = scopes
	}
	return &c
}

// ForCaller returns the same keys as a caller may make and change them. Those that it
// makes are its tenant's, name it as their creator and allow no more than it may
// itself; those that it changes, rotates or revokes do not either, or it could help
// itself to a stronger one. What it may not is an ErrScopeNotHeld.
//
// A key that calls is read anew, so use a store that is bound to a transaction: one that is
// revoked or expired makes, changes and rotates none, which is an ErrUnauthenticated. What
// it makes, or rotates, ends no later than it does itself and can be used from no other
// networks; nor can it widen its own.
func (k *Keys) ForCaller(by Principal) *Keys {
	c := *k
	c.by = &by
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
	// AllowedNetworks are where the key may be used from, at most 100; none means
	// anywhere.
	AllowedNetworks []netip.Prefix
	// ExpiresAt ends the key; zero for never.
	ExpiresAt time.Time
}

// Create makes a key and returns it with its token, which cannot be had again.
// It returns an ErrInvalid that names each wrong field. Whether the tenant exists is not
// asked: there are services whose tenants no [Directory] knows.
func (k *Keys) Create(ctx context.Context, n NewKey) (Key, string, error) {
	if err := k.checkNew(n); err != nil {
		return Key{}, "", fmt.Errorf("identity: create key: %w", err)
	}
	maker, err := k.maker(ctx)
	if err == nil {
		err = n.within(maker)
	}
	if err != nil {
		return Key{}, "", fmt.Errorf("identity: create key: %w", err)
	}
	key, token := k.generate(n)
	key, err = k.store.InsertKey(ctx, key, k.now())
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

// Get returns a tenant's key. It returns ErrNotFound if the tenant has none with that
// ID.
func (k *Keys) Get(ctx context.Context, tenant, id string) (Key, error) {
	key, err := k.get(ctx, tenant, id)
	if err != nil {
		return Key{}, fmt.Errorf("identity: get key: %w", err)
	}
	return key, nil
}

// List returns a tenant's keys, the newest first.
func (k *Keys) List(ctx context.Context, tenant string, q KeyQuery) ([]Key, error) {
	keys, err := k.store.ListKeys(ctx, tenant, q)
	if err != nil {
		return nil, fmt.Errorf("identity: list keys: %w", err)
	}
	return keys, nil
}

// Update changes the name or the networks of a tenant's key, at once in this process
// and within [CacheTTL] in others. It returns an ErrInvalid that names each wrong
// field, ErrNotFound if the tenant has no such key, and ErrConflict if it is revoked.
func (k *Keys) Update(ctx context.Context, tenant, id string, c KeyChange) (Key, error) {
	if err := c.validate(); err != nil {
		return Key{}, fmt.Errorf("identity: update key: %w", err)
	}
	key, err := k.changeable(ctx, tenant, id)
	if err != nil {
		return Key{}, fmt.Errorf("identity: update key: %w", err)
	}
	maker, err := k.maker(ctx)
	if err != nil {
		return Key{}, fmt.Errorf("identity: update key: %w", err)
	}
	if c.AllowedNetworks != nil {
		c.AllowedNetworks = new(canonical(*c.AllowedNetworks))
		if !covers(maker.AllowedNetworks, *c.AllowedNetworks) && (len(key.AllowedNetworks) == 0 || !covers(key.AllowedNetworks, *c.AllowedNetworks)) {
			return Key{}, fmt.Errorf("identity: update key: %w", errNetworksBeyond())
		}
	}
	defer k.changed(id)
	key, err = k.store.UpdateKey(ctx, tenant, id, c)
	if err != nil {
		return Key{}, fmt.Errorf("identity: update key: %w", err)
	}
	return key, nil
}

// Hold returns a tenant's key as Get does and, on a store that is bound to a transaction,
// keeps others from changing it until that ends. It returns ErrConflict if the key is
// revoked.
func (k *Keys) Hold(ctx context.Context, tenant, id string) (Key, error) {
	if _, ok := kidOf(id); !ok {
		return Key{}, fmt.Errorf("identity: hold key: %w", ErrNotFound)
	}
	key, err := k.store.UpdateKey(ctx, tenant, id, KeyChange{})
	if err != nil {
		return Key{}, fmt.Errorf("identity: hold key: %w", err)
	}
	return key, nil
}

// Rotate gives a tenant's key another secret and returns it with its token, which
// cannot be had again. It stays the same key in everything else. The token from before
// works for the overlap, up to [MaxOverlap]; without one it ends at once in this
// process and within [CacheTTL] in others. Rotate returns ErrRotating while a token
// from before still works, ErrConflict if the key is revoked or expired, and
// ErrNotFound if the tenant has no such key.
func (k *Keys) Rotate(ctx context.Context, tenant, id string, overlap time.Duration) (Key, string, error) {
	if err := checkOverlap(overlap); err != nil {
		return Key{}, "", fmt.Errorf("identity: rotate key: %w", err)
	}
	key, err := k.changeable(ctx, tenant, id)
	if err != nil {
		return Key{}, "", fmt.Errorf("identity: rotate key: %w", err)
	}
	maker, err := k.maker(ctx)
	if err == nil && (outlives(key.ExpiresAt, maker.ExpiresAt) || !covers(maker.AllowedNetworks, key.AllowedNetworks)) {
		err = errNotHeld()
	}
	if err != nil {
		return Key{}, "", fmt.Errorf("identity: rotate key: %w", err)
	}
	kid, _ := kidOf(id)
	t := newToken(key.Environment, kid)
	defer k.changed(id)
	key, err = k.store.RotateKey(ctx, tenant, id, KeyRotation{Hash: k.hash(t), LastFour: lastFour(t), Overlap: overlap}, k.now())
	if err != nil {
		return Key{}, "", fmt.Errorf("identity: rotate key: %w", err)
	}
	return key, t.text, nil
}

// Revoke ends a tenant's key, at once in this process and within [CacheTTL] in
// others. It returns ErrNotFound if the tenant has none with that ID. A key that was
// revoked before is returned as it is.
func (k *Keys) Revoke(ctx context.Context, tenant, id string) (Key, error) {
	if _, err := k.changeable(ctx, tenant, id); err != nil {
		return Key{}, fmt.Errorf("identity: revoke key: %w", err)
	}
	defer k.changed(id)
	key, err := k.store.RevokeKey(ctx, tenant, id, k.now())
	if err != nil {
		return Key{}, fmt.Errorf("identity: revoke key: %w", err)
	}
	return key, nil
}

// RevokeLeaked revokes the key of a token that was found where everybody can see it,
// and returns the key. It returns ErrUnauthenticated if the token is not of this
// service. A token that has ended is of this service all the same; whatever is left of
// its key ends too.
func (k *Keys) RevokeLeaked(ctx context.Context, token string) (Key, error) {
	t, ok := parseToken(token)
	if !ok || t.environment != k.opts.Environment {
		return Key{}, errUnauthenticated()
	}
	f, err := k.find(ctx, t)
	if err != nil {
		return Key{}, err
	}
	return k.Revoke(ctx, f.key.Tenant, f.key.ID)
}

// get returns a tenant's key. An ID of any other form than ours is not found, and
// never reaches the store.
func (k *Keys) get(ctx context.Context, tenant, id string) (Key, error) {
	if _, ok := kidOf(id); !ok {
		return Key{}, ErrNotFound
	}
	key, _, err := k.store.FindKey(ctx, id, k.now())
	if err == nil && key.Tenant != tenant {
		err = ErrNotFound
	}
	if err != nil {
		return Key{}, err
	}
	return key, nil
}

// changeable returns a tenant's key if it is one that the caller may change. Its
// scopes never change, so the answer still holds when the change is made.
func (k *Keys) changeable(ctx context.Context, tenant, id string) (Key, error) {
	key, err := k.get(ctx, tenant, id)
	if err != nil {
		return Key{}, err
	}
	return key, k.holds(key.Tenant, key.Scopes)
}

// holds returns nil if the caller has all of a key's scopes in its tenant.
func (k *Keys) holds(tenant string, scopes []string) error {
	return held(k.by, tenant, scopes)
}

// changed makes this process forget what it knows of a key. A change whose outcome is
// unknown may have been made.
func (k *Keys) changed(id string) {
	if tx, ok := k.store.(Committer); ok {
		tx.AfterCommit(func() { k.cache.forget(id) })
		return
	}
	k.cache.forget(id)
}

func (k *Keys) generate(n NewKey) (Key, string) {
	t := newToken(k.opts.Environment, randomDigits(kidLength))
	key := Key{
		ID: t.keyID(), Tenant: n.Tenant, Name: n.Name, Environment: t.environment, LastFour: lastFour(t), Hash: k.hash(t),
		Scopes: n.Scopes, AllowedNetworks: canonical(n.AllowedNetworks), ExpiresAt: n.ExpiresAt,
	}
	if k.by != nil {
		key.Creator = k.by.ID()
	}
	return key, t.text
}

func (k *Keys) hash(t token) []byte {
	return k.hasher.MAC(hashPurpose, []byte(t.kid), []byte(t.secret))
}

// lastFour returns what people see of the end of a token. It is of the checksum, which
// tells no more of the secret than 4 digits of it would.
func lastFour(t token) string { return t.text[len(t.text)-4:] }

func (k *Keys) now() time.Time {
	if k.opts.Now == nil {
		return time.Time{}
	}
	return k.opts.Now()
}
