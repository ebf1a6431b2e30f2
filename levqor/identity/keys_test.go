package identity_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// counter counts the questions to a store and the comparisons of hashes.
type counter struct {
	identity.KeyStore
	identity.Hasher
	finds, verifies int
}

func (c *counter) FindKey(ctx context.Context, id string, now time.Time) (identity.Key, bool, error) {
	c.finds++
	return c.KeyStore.FindKey(ctx, id, now)
}

func (c *counter) Verify(purpose string, mac []byte, parts ...[]byte) bool {
	c.verifies++
	return c.Hasher.Verify(purpose, mac, parts...)
}

func newKeys(tb testing.TB) (*identity.Keys, *counter) {
	tb.Helper()
	ring, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
	if err != nil {
		tb.Fatal(err)
	}
	c := &counter{KeyStore: identity.NewMemKeyStore(), Hasher: ring}
	return identity.NewKeys(c, c, nil), c
}

func create(t *testing.T, keys *identity.Keys, n identity.NewKey) (identity.Key, string) {
	t.Helper()
	key, token, err := keys.Create(t.Context(), n)
	if err != nil {
		t.Fatalf("Create = %v", err)
	}
	return key, token
}

var reader = identity.NewKey{Tenant: "acme", Name: "ci", Scopes: []string{"jobs:read"}}

func TestATokenStandsForItsKey(t *testing.T) {
	keys, store := newKeys(t)
	key, token := create(t, keys, reader)
	if !regexp.MustCompile(`^lvq_live_[0-9A-Za-z]{60}$`).MatchString(token) {
		t.Errorf("the token is %q", token)
	}
	if strings.Contains(fmt.Sprintf("%s %+v", key.Hash, key), token[31:63]) {
		t.Error("the key holds its secret")
	}
	who, err := keys.Authenticate(t.Context(), token)
	if err != nil || who.Tenant != "acme" || who.KeyID != key.ID {
		t.Errorf("Authenticate = %+v, %v", who, err)
	}
	if !who.Allows("jobs:read") || who.Allows("jobs:write") || who.Allows("") {
		t.Errorf("the scopes of %+v do not hold", who)
	}
	if store.finds != 1 {
		t.Errorf("the store was asked %d times", store.finds)
	}
}

func TestMalformedTokensNeverReachTheStore(t *testing.T) {
	keys, store := newKeys(t)
	_, token := create(t, keys, reader)
	for _, bad := range []string{
		"", "x", token[:len(token)-1], token + "0", strings.ToUpper(token), "lvq_test_" + token[9:],
		token[:20] + "-" + token[21:], token[:len(token)-1] + string(next(token[len(token)-1])), token[:12] + string(next(token[12])) + token[13:],
	} {
		if _, err := keys.Authenticate(t.Context(), bad); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("Authenticate(%q) = %v, want ErrUnauthenticated", bad, err)
		}
	}
	if store.finds != 0 {
		t.Errorf("the store was asked %d times", store.finds)
	}
}

func next(c byte) byte {
	if c == 'a' {
		return 'b'
	}
	return 'a'
}

func TestAnUnknownKeyTakesAsLongAsAKnownOne(t *testing.T) {
	keys, store := newKeys(t)
	other, _ := newKeys(t)
	_, foreign := create(t, other, reader)
	if _, err := keys.Authenticate(t.Context(), foreign); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate = %v, want ErrUnauthenticated", err)
	}
	if store.finds != 1 || store.verifies != 1 {
		t.Errorf("%d questions and %d comparisons, want 1 each", store.finds, store.verifies)
	}
}

func TestRevokedAndExpiredKeysGiveNoAccess(t *testing.T) {
	keys, _ := newKeys(t)
	key, token := create(t, keys, reader)
	if _, err := keys.Revoke(t.Context(), "other", key.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Revoke of another tenant's key = %v, want ErrNotFound", err)
	}
	if _, err := keys.Revoke(t.Context(), "acme", key.ID); err != nil {
		t.Fatalf("Revoke = %v", err)
	}
	expired := reader
	expired.ExpiresAt = time.Now().Add(-time.Second)
	_, old := create(t, keys, expired)
	for _, token := range []string{token, old} {
		if _, err := keys.Authenticate(t.Context(), token); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("Authenticate = %v, want ErrUnauthenticated", err)
		}
	}
}

func TestAStolenHashIsNoToken(t *testing.T) {
	keys, store := newKeys(t)
	_, token := create(t, keys, reader)
	other, err := levqor.NewKeyRing([]byte("another secret, 32 bytes or more ..."))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := identity.NewKeys(store.KeyStore, other, nil).Authenticate(t.Context(), token); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate under another secret = %v, want ErrUnauthenticated", err)
	}
}

func TestTheOwnersKeyIsMadeOnce(t *testing.T) {
	keys, _ := newKeys(t)
	token, created, err := keys.EnsureOwner(t.Context())
	if err != nil || !created {
		t.Fatalf("EnsureOwner = %v, %v", created, err)
	}
	who, err := keys.Authenticate(t.Context(), token)
	if err != nil || who.Tenant != identity.OwnerTenant || !who.Allows("anything") {
		t.Errorf("Authenticate = %+v, %v", who, err)
	}
	if token, created, err := keys.EnsureOwner(t.Context()); err != nil || created || token != "" {
		t.Errorf("EnsureOwner = %q, %v, %v; want nothing the second time", token, created, err)
	}
}

func TestCreateNamesWhatIsWrong(t *testing.T) {
	keys, _ := newKeys(t)
	_, _, err := keys.Create(t.Context(), identity.NewKey{Scopes: []string{""}})
	for _, scope := range []string{"jobs:read *", "*jobs", "a b", "A\n"} {
		n := reader
		n.Scopes = []string{scope}
		if _, _, err := keys.Create(t.Context(), n); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("Create with the scope %q = %v, want ErrInvalid", scope, err)
		}
	}
	for _, field := range []string{"/tenant", "/name", "/scopes"} {
		if !errors.Is(err, identity.ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("Create = %v, want ErrInvalid that names %s", err, field)
		}
	}
}

func TestTheChecksumIsThatOfTheFormat(t *testing.T) {
	keys, store := newKeys(t)
	head := "lvq_live_7Qd2mX0aB9LkT4vYw8RjC3" + strings.Repeat("A", 32)
	_, _ = keys.Authenticate(t.Context(), head+"04y9Ok")
	if store.finds != 1 {
		t.Error("the test vector's checksum is refused")
	}
}

func ExampleNewKeys() {
	ring, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	keys := identity.NewKeys(identity.NewMemKeyStore(), ring, nil)
	_, token, err := keys.Create(ctx, identity.NewKey{Tenant: "acme", Name: "ci", Scopes: []string{"jobs:read"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	who, err := keys.Authenticate(ctx, token)
	fmt.Println(who.Tenant, who.Allows("jobs:read"), who.Allows("jobs:write"), err)
	_, err = keys.Authenticate(ctx, token+"x")
	fmt.Println(err)
	// Output:
	// acme true false <nil>
	// unauthenticated
}

func ExampleNewMemKeyStore() {
	_, _, err := identity.NewMemKeyStore().FindKey(context.Background(), "key_nope", time.Time{})
	fmt.Println(err)
	// Output: not found
}
