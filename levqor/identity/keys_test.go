package identity_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// counter counts the questions and writes to a store and the comparisons of hashes. It
// is for one caller at a time.
type counter struct {
	identity.KeyStore
	identity.Hasher
	finds, verifies, touches int
	touchErr                 error
}

func (c *counter) FindKey(ctx context.Context, id string, now time.Time) (identity.Key, time.Time, error) {
	c.finds++
	return c.KeyStore.FindKey(ctx, id, now)
}

func (c *counter) TouchKeys(ctx context.Context, ids []string, now time.Time) error {
	c.touches++
	return errors.Join(c.touchErr, c.KeyStore.TouchKeys(ctx, ids, now))
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
	_, unknown := create(t, other, reader)
	key, token := create(t, keys, reader)
	_, rotated := rotate(t, keys, key, time.Hour)
	forged := withSecretOf(unknown, token)
	for _, token := range []string{unknown, forged, rotated} {
		store.finds, store.verifies = 0, 0
		_, err := keys.Authenticate(t.Context(), token)
		if want := token != rotated; errors.Is(err, identity.ErrUnauthenticated) != want {
			t.Errorf("Authenticate = %v, want ErrUnauthenticated: %v", err, want)
		}
		if store.finds != 1 || store.verifies != 2 {
			t.Errorf("%d questions and %d comparisons, want 1 and 2 each", store.finds, store.verifies)
		}
	}
}

// withSecretOf returns a well-formed token of a key with the secret of another.
func withSecretOf(secret, key string) string { return checked(key[:31] + secret[31:63]) }

// checked returns the token of everything before its checksum.
func checked(head string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := make([]byte, 6)
	n := crc32.ChecksumIEEE([]byte(head))
	for i := range slices.Backward(sum) {
		sum[i] = digits[n%62]
		n /= 62
	}
	return head + string(sum)
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
	if store.finds != 1 || checked(head) != head+"04y9Ok" {
		t.Error("the test vector's checksum is refused")
	}
}

func TestNamesAndTimesThatNoStoreKeepsAreRefused(t *testing.T) {
	keys, _ := newKeys(t)
	for field, change := range map[string]func(*identity.NewKey){
		"/name":               func(n *identity.NewKey) { n.Name = "a\x00b" },
		"/tenant":             func(n *identity.NewKey) { n.Tenant = "a\nb" },
		"/expires_at":         func(n *identity.NewKey) { n.ExpiresAt = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) },
		"/allowed_networks/1": func(n *identity.NewKey) { n.AllowedNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), {}} },
		"/allowed_networks: ": func(n *identity.NewKey) { n.AllowedNetworks = make([]netip.Prefix, 101) },
	} {
		n := reader
		change(&n)
		if _, _, err := keys.Create(t.Context(), n); !errors.Is(err, identity.ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("Create = %v, want ErrInvalid that names %s", err, field)
		}
	}
	key, _ := create(t, keys, reader)
	if _, err := keys.Update(t.Context(), "acme", key.ID, identity.KeyChange{Name: new("")}); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("Update = %v, want ErrInvalid", err)
	}
}

func TestScopesAreKnownOnes(t *testing.T) {
	_, store := newKeys(t)
	for _, keys := range []*identity.Keys{
		identity.NewKeys(store, store, &identity.KeysOptions{Scopes: []string{"jobs:read"}}).WithScopes([]string{"jobs:raed"}),
		identity.NewKeys(store, store, nil).WithScopes([]string{"jobs:read"}),
	} {
		for _, scopes := range [][]string{{"jobs:read"}, {"*"}} {
			create(t, keys, identity.NewKey{Tenant: "acme", Name: "ci", Scopes: scopes})
		}
		_, _, err := keys.Create(t.Context(), identity.NewKey{Tenant: "acme", Name: "ci", Scopes: []string{"jobs:read", "jobs:raed"}})
		if !errors.Is(err, identity.ErrInvalid) || !strings.Contains(err.Error(), "/scopes/1") {
			t.Errorf("Create = %v, want ErrInvalid that names the second scope", err)
		}
	}
}

func TestACallerGivesAndChangesNoMoreThanItHas(t *testing.T) {
	keys, _ := newKeys(t)
	ctx := t.Context()
	mine, token := create(t, keys, identity.NewKey{Tenant: "acme", Name: "mine", Scopes: []string{"keys:write", "jobs:read"}})
	strong, _ := create(t, keys, identity.NewKey{Tenant: "acme", Name: "strong", Scopes: []string{"*"}})
	foreign, _ := create(t, keys, identity.NewKey{Tenant: "other", Name: "foreign", Scopes: []string{"jobs:read"}})
	who, err := keys.Authenticate(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	own := keys.ForCaller(who)
	for _, scope := range []string{"jobs:write", "*"} {
		_, _, err := own.Create(ctx, identity.NewKey{Tenant: "acme", Name: "x", Scopes: []string{"jobs:read", scope}})
		if !errors.Is(err, identity.ErrScopeNotHeld) || !errors.Is(err, identity.ErrForbidden) {
			t.Errorf("Create with %s = %v, want ErrScopeNotHeld", scope, err)
		}
	}
	weak, _, err := own.Create(ctx, reader)
	if err != nil || weak.Creator != mine.ID {
		t.Errorf("Create = %+v, %v; want it to name its creator", weak, err)
	}
	wants := map[string]error{strong.ID: identity.ErrScopeNotHeld, foreign.ID: identity.ErrNotFound}
	for _, id := range []string{strong.ID, foreign.ID, weak.ID, mine.ID} {
		want := wants[id]
		_, updateErr := own.Update(ctx, "acme", id, identity.KeyChange{Name: new("new")})
		_, _, rotateErr := own.Rotate(ctx, "acme", id, 0)
		_, revokeErr := own.Revoke(ctx, "acme", id)
		for _, err := range []error{updateErr, rotateErr, revokeErr} {
			if !errors.Is(err, want) {
				t.Errorf("a change of %s = %v, want %v", id, err, want)
			}
		}
	}
	if _, err := own.Revoke(ctx, "other", foreign.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Revoke in another tenant = %v, want ErrNotFound", err)
	}
}

// What the cache of a process believes of a key that is dead must not live on in others.
func TestADeadKeyMakesAndChangesNone(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, k *identity.Keys, id string){
		"a revoked one": func(t *testing.T, k *identity.Keys, id string) {
			t.Helper()
			if _, err := k.Revoke(t.Context(), "acme", id); err != nil {
				t.Fatal(err)
			}
		},
		"an expired one": func(*testing.T, *identity.Keys, string) {},
	} {
		t.Run(name, func(t *testing.T) {
			now := time.Date(2031, 1, 1, 0, 0, 0, 0, time.UTC)
			_, store := newKeys(t)
			keys := identity.NewKeys(store, store, &identity.KeysOptions{Now: func() time.Time { return now }})
			other, _ := create(t, keys, reader)
			admin, token := create(t, keys, identity.NewKey{Tenant: "acme", Name: "admin", Scopes: []string{"*"}, ExpiresAt: now.Add(time.Hour)})
			who, err := keys.Authenticate(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			end(t, keys, admin.ID)
			if name == "an expired one" {
				now = now.Add(time.Hour)
			}
			own := keys.ForCaller(who)
			_, _, created := own.Create(t.Context(), identity.NewKey{Tenant: "acme", Name: "x", Scopes: []string{"*"}, ExpiresAt: now})
			_, updated := own.Update(t.Context(), "acme", other.ID, identity.KeyChange{Name: new("new")})
			_, _, rotated := own.Rotate(t.Context(), "acme", other.ID, 0)
			for _, err := range []error{created, updated, rotated} {
				if !errors.Is(err, identity.ErrUnauthenticated) {
					t.Errorf("a dead key gets %v, want ErrUnauthenticated", err)
				}
			}
		})
	}
}

func TestAKeyMakesNoneThatOutlivesItOrOpensMore(t *testing.T) {
	keys, _ := newKeys(t)
	office, desk, elsewhere := netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("198.51.100.0/24")
	end := time.Now().Add(time.Hour)
	mine, _ := create(t, keys, identity.NewKey{
		Tenant: "acme", Name: "mine", Scopes: []string{"*"}, ExpiresAt: end, AllowedNetworks: []netip.Prefix{office},
	})
	own := keys.ForCaller(identity.Principal{Tenant: "acme", KeyID: mine.ID, Scopes: mine.Scopes})
	for name, c := range map[string]struct {
		end      time.Time
		networks []netip.Prefix
		field    string
	}{
		"as its maker":            {end, []netip.Prefix{office}, ""},
		"less than its maker":     {end.Add(-time.Minute), []netip.Prefix{desk}, ""},
		"without an end":          {time.Time{}, []netip.Prefix{desk}, "/expires_at"},
		"with a later end":        {end.Add(time.Second), []netip.Prefix{desk}, "/expires_at"},
		"from anywhere":           {end, nil, "/allowed_networks"},
		"from elsewhere too":      {end, []netip.Prefix{desk, elsewhere}, "/allowed_networks"},
		"from a network around":   {end, []netip.Prefix{netip.MustParsePrefix("192.0.0.0/16")}, "/allowed_networks"},
		"from the other protocol": {end, []netip.Prefix{netip.MustParsePrefix("2001:db8::/32")}, "/allowed_networks"},
	} {
		_, _, err := own.Create(t.Context(), identity.NewKey{Tenant: "acme", Name: "x", Scopes: []string{"*"}, ExpiresAt: c.end, AllowedNetworks: c.networks})
		if (err == nil) != (c.field == "") || err != nil && !strings.Contains(err.Error(), c.field) {
			t.Errorf("Create %s = %v, want it to name %q", name, err, c.field)
		}
	}
	for _, networks := range [][]netip.Prefix{nil, {elsewhere}, {office, elsewhere}} {
		if _, err := own.Update(t.Context(), "acme", mine.ID, identity.KeyChange{AllowedNetworks: &networks}); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("Update of its own to %v = %v, want ErrInvalid", networks, err)
		}
	}
	lasting, _ := create(t, keys, identity.NewKey{Tenant: "acme", Name: "lasting", Scopes: []string{"*"}, AllowedNetworks: []netip.Prefix{office}})
	wide, _ := create(t, keys, identity.NewKey{Tenant: "acme", Name: "wide", Scopes: []string{"*"}, ExpiresAt: end, AllowedNetworks: []netip.Prefix{elsewhere}})
	for _, key := range []identity.Key{lasting, wide} {
		if _, _, err := own.Rotate(t.Context(), "acme", key.ID, 0); !errors.Is(err, identity.ErrScopeNotHeld) {
			t.Errorf("Rotate of the key that is %s = %v, want ErrScopeNotHeld", key.Name, err)
		}
	}
	narrower := []netip.Prefix{netip.MustParsePrefix("198.51.100.1/32")}
	if _, err := own.Update(t.Context(), "acme", wide.ID, identity.KeyChange{AllowedNetworks: &narrower}); err != nil {
		t.Errorf("Update of another to less = %v", err)
	}
	if _, err := own.Update(t.Context(), "acme", mine.ID, identity.KeyChange{AllowedNetworks: &[]netip.Prefix{desk}}); err != nil {
		t.Errorf("Update of its own to less = %v", err)
	}
}

func TestOperatorsScopesAreNothingOutsideTheOwnersTenant(t *testing.T) {
	keys, _ := newKeys(t)
	for _, scope := range []string{"operator:people", "operator:jobs", "operator:x"} {
		for tenant, want := range map[string]bool{identity.OwnerTenant: true, "acme": false} {
			for _, scopes := range [][]string{{scope}, {"*"}} {
				if got := (identity.Principal{Tenant: tenant, Scopes: scopes}).Allows(scope); got != want {
					t.Errorf("%s with %s in %s: %t", scope, scopes, tenant, got)
				}
			}
			if _, _, err := keys.Create(t.Context(), identity.NewKey{Tenant: tenant, Name: "x", Scopes: []string{scope}}); (err == nil) != want {
				t.Errorf("Create with %s in %s = %v", scope, tenant, err)
			}
		}
	}
}

func TestTheKeysOfADeletedTenantAreForgotten(t *testing.T) {
	keys, store := newKeys(t)
	_, token := create(t, keys, identity.NewKey{Tenant: identity.TenantID(20).String(), Name: "x", Scopes: []string{"*"}})
	_, other := create(t, keys, reader)
	for _, token := range []string{token, other} {
		if _, err := keys.Authenticate(t.Context(), token); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.EraseTenant(t.Context(), identity.Tenant{ID: 20}); err != nil {
		t.Fatal(err)
	}
	store.finds = 0
	_, _ = keys.Authenticate(t.Context(), other)
	_, _ = keys.Authenticate(t.Context(), token)
	if store.finds != 1 {
		t.Errorf("the store was asked %d times, want once, for the deleted tenant's key", store.finds)
	}
}

func TestKeysAreReadWithinTheirTenant(t *testing.T) {
	keys, store := newKeys(t)
	key, token := create(t, keys, reader)
	if got, err := keys.Get(t.Context(), "acme", key.ID); err != nil || got.Prefix() != token[:15] || got.LastFour != token[65:] {
		t.Errorf("Get = %s…%s, %v; the token is %s", got.Prefix(), got.LastFour, err, token)
	}
	if keys, err := keys.List(t.Context(), "acme", identity.KeyQuery{Limit: 2}); err != nil || len(keys) != 1 || keys[0].ID != key.ID {
		t.Errorf("List = %v, %v", keys, err)
	}
	store.finds = 0
	if _, err := keys.Get(t.Context(), "other", key.ID); !errors.Is(err, identity.ErrNotFound) || store.finds != 1 {
		t.Errorf("Get of another tenant's key = %v, want ErrNotFound", err)
	}
	for _, id := range []string{"", "key_", "key_nope", key.ID + "\x00", "job_" + key.ID[4:], key.ID[:25] + "ä"} {
		if _, err := keys.Get(t.Context(), "acme", id); !errors.Is(err, identity.ErrNotFound) || store.finds != 1 {
			t.Errorf("Get(%q) = %v after %d questions, want ErrNotFound without one", id, err, store.finds)
		}
	}
}

func TestAKeyIsHeldThatItsTenantHasAndMayChange(t *testing.T) {
	keys, _ := newKeys(t)
	key, _ := create(t, keys, reader)
	if got, err := keys.Hold(t.Context(), "acme", key.ID); err != nil || fmt.Sprint(got) != fmt.Sprint(key) {
		t.Errorf("Hold = %v, %v; want %v", got, err, key)
	}
	for _, id := range []string{"key_nope", "", key.ID[:len(key.ID)-1] + string(next(key.ID[len(key.ID)-1]))} {
		if _, err := keys.Hold(t.Context(), "acme", id); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("Hold(%q) = %v, want ErrNotFound", id, err)
		}
	}
	if _, err := keys.Hold(t.Context(), "other", key.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Hold for another tenant = %v, want ErrNotFound", err)
	}
	if _, err := keys.Revoke(t.Context(), "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	for tenant, want := range map[string]error{"acme": identity.ErrConflict, "other": identity.ErrNotFound} {
		if _, err := keys.Hold(t.Context(), tenant, key.ID); !errors.Is(err, want) {
			t.Errorf("Hold of a revoked key for %s = %v, want %v", tenant, err, want)
		}
	}
}

func TestAKeyOfAnotherEnvironmentIsRefused(t *testing.T) {
	live, store := newKeys(t)
	test := identity.NewKeys(store, store, &identity.KeysOptions{Environment: identity.Test})
	_, liveToken := create(t, live, reader)
	key, testToken := create(t, test, reader)
	if !strings.HasPrefix(testToken, "lvq_test_") || key.Prefix() != testToken[:15] {
		t.Errorf("the token is %q, its prefix %q", testToken, key.Prefix())
	}
	if _, err := test.Authenticate(t.Context(), testToken); err != nil {
		t.Errorf("Authenticate = %v", err)
	}
	store.finds = 0
	for token, keys := range map[string]*identity.Keys{testToken: live, liveToken: test} {
		_, err := keys.Authenticate(t.Context(), token)
		if !errors.Is(err, identity.ErrOtherEnvironment) || !errors.Is(err, identity.ErrUnauthenticated) || !strings.Contains(err.Error(), "key_"+token[9:31]) {
			t.Errorf("Authenticate = %v, want ErrOtherEnvironment that names the key", err)
		}
		if _, err := keys.RevokeLeaked(t.Context(), token); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("RevokeLeaked = %v, want ErrUnauthenticated", err)
		}
	}
	if store.finds != 0 {
		t.Errorf("the store was asked %d times", store.finds)
	}
	dressed := checked("lvq_live_" + testToken[9:63])
	if _, err := live.Authenticate(t.Context(), dressed); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate of a test key dressed up = %v, want ErrUnauthenticated", err)
	}
	if _, token, err := live.Rotate(t.Context(), "acme", key.ID, 0); err != nil || !strings.HasPrefix(token, "lvq_test_") {
		t.Errorf("Rotate = %q, %v; want a key to stay in its environment", token, err)
	}
}

func TestAKeyIsGoodInItsNetworksAlone(t *testing.T) {
	keys, _ := newKeys(t)
	n := reader
	for _, text := range []string{"192.0.2.77/24", "2001:db8::/32", "::ffff:198.51.100.0/120"} {
		n.AllowedNetworks = append(n.AllowedNetworks, netip.MustParsePrefix(text))
	}
	key, token := create(t, keys, n)
	if got := fmt.Sprint(key.AllowedNetworks); got != "[192.0.2.0/24 2001:db8::/32 198.51.100.0/24]" {
		t.Errorf("the networks are %s", got)
	}
	for range 2 { // from the store and from the cache
		for addr, want := range map[string]bool{
			"192.0.2.1": true, "::ffff:192.0.2.1": true, "2001:db8::7": true, "2001:db8::7%eth0": true, "198.51.100.255": true,
			"192.0.3.1": false, "2001:db9::1": false, "::1": false, "0.0.0.0": false, "": false,
		} {
			from, _ := netip.ParseAddr(addr)
			_, err := keys.AuthenticateFrom(t.Context(), token, from)
			if (err == nil) != want || err != nil && (!errors.Is(err, identity.ErrOtherNetwork) || !errors.Is(err, identity.ErrUnauthenticated)) {
				t.Errorf("AuthenticateFrom %s = %v, want access: %v", addr, err, want)
			}
		}
	}
	if _, err := keys.Update(t.Context(), "acme", key.ID, identity.KeyChange{AllowedNetworks: new([]netip.Prefix(nil))}); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Authenticate(t.Context(), token); err != nil {
		t.Errorf("Authenticate = %v, want access from anywhere", err)
	}
}

func TestALeakedTokenEndsItsKey(t *testing.T) {
	keys, _ := newKeys(t)
	other, _ := newKeys(t)
	key, token := create(t, keys, reader)
	_, rotated := rotate(t, keys, key, 0)
	_, unknown := create(t, other, reader)
	for _, no := range []string{"", "lvq_live_x", unknown, withSecretOf(unknown, token)} {
		if _, err := keys.RevokeLeaked(t.Context(), no); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("RevokeLeaked(%q) = %v, want ErrUnauthenticated", no, err)
		}
	}
	if _, err := keys.Authenticate(t.Context(), rotated); err != nil {
		t.Fatalf("Authenticate = %v", err)
	}
	for range 2 {
		got, err := keys.RevokeLeaked(t.Context(), rotated)
		if err != nil || got.ID != key.ID || got.RevokedAt.IsZero() {
			t.Errorf("RevokeLeaked = %+v, %v", got, err)
		}
	}
	if _, err := keys.Authenticate(t.Context(), rotated); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate = %v, want ErrUnauthenticated", err)
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

func TestAKeyIsHeldByItsTenantWhileItWorks(t *testing.T) {
	keys, _ := newKeys(t)
	key, token := create(t, keys, reader)
	got, err := keys.Hold(t.Context(), "acme", key.ID)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(key) {
		t.Errorf("Hold = %v, %v; want %v", got, err, key)
	}
	for _, c := range []struct{ tenant, id, why string }{
		{"other", key.ID, "it belongs to another tenant"}, {"acme", "key_0000000000001", "there is none"}, {"acme", "nonsense", "it is no ID"},
	} {
		if _, err := keys.Hold(t.Context(), c.tenant, c.id); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("Hold = %v, want ErrNotFound: %s", err, c.why)
		}
	}
	if who, err := keys.Authenticate(t.Context(), token); err != nil || who.KeyID != key.ID {
		t.Errorf("Authenticate of the held key = %+v, %v", who, err)
	}
	if _, err := keys.Revoke(t.Context(), "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Hold(t.Context(), "acme", key.ID); !errors.Is(err, identity.ErrConflict) {
		t.Errorf("Hold = %v, want ErrConflict: it is revoked", err)
	}
	if _, err := keys.Hold(t.Context(), "other", key.ID); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Hold = %v, want ErrNotFound: it belongs to another tenant", err)
	}
}
