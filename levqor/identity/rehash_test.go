package identity_test

import (
	"errors"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// keysUnder returns keys whose ring has these secrets.
func keysUnder(t *testing.T, store identity.KeyStore, secrets ...string) *identity.Keys {
	t.Helper()
	var all [][]byte
	for _, s := range secrets {
		all = append(all, []byte(s+", 32 bytes or more from a random source"))
	}
	ring, err := levqor.NewKeyRing(all...)
	if err != nil {
		t.Fatal(err)
	}
	return identity.NewKeys(store, ring, nil)
}

func TestAKeyThatIsUsedOutlivesTheSecretThatItWasHashedBy(t *testing.T) {
	store := identity.NewMemKeyStore()
	before := keysUnder(t, store, "a")
	key, old := create(t, before, reader)
	_, present := rotate(t, before, key, time.Hour)
	_, unused := create(t, before, reader)

	between := keysUnder(t, store, "b", "a")
	for _, token := range []string{old, present} {
		if _, err := between.Authenticate(t.Context(), token); err != nil {
			t.Fatalf("Authenticate = %v", err)
		}
	}
	if _, err := between.Authenticate(t.Context(), withSecretOf(unused, old)); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate with a wrong secret = %v", err)
	}
	if err := between.RecordUses(t.Context()); err != nil {
		t.Fatalf("RecordUses = %v", err)
	}

	after := keysUnder(t, store, "b")
	who, err := after.Authenticate(t.Context(), old)
	if err != nil || who.KeyID != key.ID || who.Retiring.IsZero() {
		t.Errorf("Authenticate with the token from before the rotation = %+v, %v", who, err)
	}
	if who, err = after.Authenticate(t.Context(), present); err != nil || who.KeyID != key.ID || !who.Retiring.IsZero() {
		t.Errorf("Authenticate = %+v, %v", who, err)
	}
	if _, err := after.Authenticate(t.Context(), unused); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate with a key that was not used = %v, want ErrUnauthenticated", err)
	}
	if _, err := before.Authenticate(t.Context(), unused); err != nil {
		t.Errorf("Authenticate = %v: what was not used is as it was", err)
	}
}

// A key whose use is refused is not helped over to the new secret.
func TestAKeyThatIsRefusedKeepsItsHash(t *testing.T) {
	store := identity.NewMemKeyStore()
	before := keysUnder(t, store, "a")
	key, token := create(t, before, reader)
	if _, err := before.Revoke(t.Context(), key.Tenant, key.ID); err != nil {
		t.Fatal(err)
	}
	between := keysUnder(t, store, "b", "a")
	_, err := between.Authenticate(t.Context(), token)
	if !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate = %v", err)
	}
	if err := between.RecordUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, _, err := store.FindKey(t.Context(), key.ID, time.Time{}); err != nil || string(got.Hash) != string(key.Hash) {
		t.Errorf("the hash is %x, %v; want %x", got.Hash, err, key.Hash)
	}
}

func TestTheIDOfAPrincipalIsThatOfItsKeyOrPerson(t *testing.T) {
	for want, p := range map[string]identity.Principal{"key_1": {KeyID: "key_1", UserID: "usr_1"}, "usr_1": {UserID: "usr_1"}, "": {}} {
		if got := p.ID(); got != want {
			t.Errorf("the ID of %+v is %q, want %q", p, got, want)
		}
	}
}
