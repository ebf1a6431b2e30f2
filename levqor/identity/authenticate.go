package identity

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
)

// Authenticate returns who a token stands for, as [Keys.AuthenticateFrom] does for a
// caller whose address nobody knows.
func (k *Keys) Authenticate(ctx context.Context, token string) (Principal, error) {
	return k.AuthenticateFrom(ctx, token, netip.Addr{})
}

// AuthenticateFrom returns who a token stands for that was sent from an address. It
// returns ErrUnauthenticated for a token that is malformed, unknown, revoked, expired,
// of another environment (ErrOtherEnvironment) or not allowed from there
// (ErrOtherNetwork), and ErrUnavailable if the store could not be asked. Malformed
// tokens never reach the store. What the store says is believed for [CacheTTL], and no
// longer than the key lives.
func (k *Keys) AuthenticateFrom(ctx context.Context, token string, from netip.Addr) (Principal, error) {
	t, ok := parseToken(token)
	if !ok {
		return Principal{}, errUnauthenticated()
	}
	if t.environment != k.opts.Environment {
		return Principal{}, &refusal{ErrOtherEnvironment, t.keyID()}
	}
	sum, now := digest(sha256.Sum256([]byte(token))), k.clock()
	f, known, changes := k.cache.get(sum, now)
	if !known || k.bound {
		var err error
		if f, err = k.find(ctx, t); err != nil {
			return Principal{}, err
		}
	}
	at := f.instant(now)
	if !f.works(at) {
		return Principal{}, errUnauthenticated()
	}
	if !f.key.allowsFrom(from) {
		return Principal{}, &refusal{ErrOtherNetwork, f.key.ID}
	}
	if !known && !k.bound {
		k.cache.put(sum, f, changes)
		k.uses.note(f.key, at)
		k.noteOldHash(f, t)
	}
	return f.principal(), nil
}

// find asks the store for a token. It returns ErrUnauthenticated unless the token is
// right, whether its key is at its end or not. An unknown key takes as long as a known
// one.
func (k *Keys) find(ctx context.Context, t token) (finding, error) {
	asked := k.clock()
	key, at, err := k.store.FindKey(ctx, t.keyID(), k.now())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return finding{}, fmt.Errorf("identity: authenticate: %w", err)
	}
	hash, oldHash := key.Hash, key.OldHash
	if err != nil || key.Environment != t.environment {
		hash, oldHash = k.unknown, nil
	}
	if len(oldHash) == 0 {
		oldHash = k.unknown
	}
	present := k.hasher.Verify(hashPurpose, hash, []byte(t.kid), []byte(t.secret))
	old := k.hasher.Verify(hashPurpose, oldHash, []byte(t.kid), []byte(t.secret))
	if !present && !old {
		return finding{}, errUnauthenticated()
	}
	return finding{key: key, old: !present, at: at, asked: asked}, nil
}

// noteOldHash keeps the hash of a token under the current key, if the stored one is under
// another: a key that is in use then outlives the secret that it was hashed by.
func (k *Keys) noteOldHash(f finding, t token) {
	from, to := f.key.Hash, k.hash(t)
	if f.old {
		from = f.key.OldHash
	}
	if !hmac.Equal(from, to) {
		k.uses.noteHash(Rehash{ID: f.key.ID, From: from, To: to})
	}
}

func (f finding) principal() Principal {
	p := Principal{Tenant: f.key.Tenant, KeyID: f.key.ID, Scopes: slices.Clone(f.key.Scopes)}
	if f.old {
		p.Retiring = f.key.retiringUntil()
	}
	return p
}

// clock returns the time of this process, which the age of findings is measured by.
func (k *Keys) clock() time.Time {
	if k.opts.Now == nil {
		return time.Now() //nolint:forbidigo // see above
	}
	return k.opts.Now()
}

func errUnauthenticated() error {
	return &fault.Error{Kind: ErrUnauthenticated, Code: "invalid_api_key"}
}
