package identity_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/levqor/identity"
)

// clocked returns keys with a clock that stands still until it is moved.
func clocked(t *testing.T) (keys, other *identity.Keys, store *counter, pass func(time.Duration)) {
	t.Helper()
	_, store = newKeys(t)
	now := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	opts := &identity.KeysOptions{Now: func() time.Time { return now }}
	return identity.NewKeys(store, store, opts), identity.NewKeys(store, store, opts), store, func(d time.Duration) { now = now.Add(d) }
}

func (c *counter) wantFinds(t *testing.T, want int) {
	t.Helper()
	if c.finds != want {
		t.Errorf("the store was asked %d times, want %d", c.finds, want)
	}
}

func authenticate(t *testing.T, keys *identity.Keys, token string, want error) {
	t.Helper()
	if _, err := keys.Authenticate(t.Context(), token); !errors.Is(err, want) {
		t.Errorf("Authenticate = %v, want %v", err, want)
	}
}

func TestAKeyIsBelievedForThirtySeconds(t *testing.T) {
	keys, elsewhere, store, pass := clocked(t)
	key, token := create(t, keys, reader)
	for range 5 {
		authenticate(t, keys, token, nil)
	}
	store.wantFinds(t, 1)
	if _, err := elsewhere.Revoke(t.Context(), "acme", key.ID); err != nil { // as another process does
		t.Fatal(err)
	}
	store.finds = 0
	pass(30*time.Second - 1)
	authenticate(t, keys, token, nil)
	store.wantFinds(t, 0)
	pass(1)
	authenticate(t, keys, token, identity.ErrUnauthenticated)
	store.wantFinds(t, 1)
}

func TestARevocationIsSeenAtOnceInItsProcess(t *testing.T) {
	keys, _, _, _ := clocked(t)
	key, token := create(t, keys, reader)
	authenticate(t, keys, token, nil)
	if _, err := keys.ForCaller(identity.Principal{Tenant: "acme", Scopes: []string{"*"}}).Revoke(t.Context(), "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	authenticate(t, keys, token, identity.ErrUnauthenticated)
}

// slowStore answers after what happens meanwhile.
type slowStore struct {
	identity.KeyStore
	meanwhile func()
}

func (s *slowStore) FindKey(ctx context.Context, id string, now time.Time) (identity.Key, time.Time, error) {
	key, at, err := s.KeyStore.FindKey(ctx, id, now)
	if do := s.meanwhile; do != nil {
		s.meanwhile = nil
		do()
	}
	return key, at, err
}

func TestWhatWasFoundBeforeARevocationIsNotRemembered(t *testing.T) {
	_, c := newKeys(t)
	store := &slowStore{KeyStore: c.KeyStore}
	keys := identity.NewKeys(store, c, nil)
	key, token := create(t, keys, reader)
	store.meanwhile = func() {
		if _, err := keys.Revoke(t.Context(), "acme", key.ID); err != nil {
			t.Error(err)
		}
	}
	authenticate(t, keys, token, nil) // it was asked for before
	authenticate(t, keys, token, identity.ErrUnauthenticated)
}

func TestAKeyEndsOnTimeAlthoughItIsRemembered(t *testing.T) {
	keys, _, store, pass := clocked(t)
	n := reader
	n.ExpiresAt = time.Date(2031, 5, 6, 7, 8, 19, 0, time.UTC)
	_, token := create(t, keys, n)
	authenticate(t, keys, token, nil)
	pass(10*time.Second - 1)
	authenticate(t, keys, token, nil)
	pass(1)
	authenticate(t, keys, token, identity.ErrUnauthenticated)
	store.wantFinds(t, 1)
}

// The end of a key is an instant of the store's clock, which that of the process need
// not agree with.
func TestAKeyEndsByTheClockOfTheStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, c := newKeys(t)
		store := aheadStore{c.KeyStore}
		keys := identity.NewKeys(store, c, nil)
		n := reader
		n.ExpiresAt = time.Now().Add(time.Hour + 10*time.Second)
		_, token := create(t, keys, n)
		authenticate(t, keys, token, nil)
		time.Sleep(10*time.Second - time.Microsecond)
		authenticate(t, keys, token, nil)
		time.Sleep(time.Microsecond)
		authenticate(t, keys, token, identity.ErrUnauthenticated)
	})
}

// aheadStore has a clock that is an hour ahead.
type aheadStore struct{ identity.KeyStore }

func (s aheadStore) FindKey(ctx context.Context, id string, _ time.Time) (identity.Key, time.Time, error) {
	return s.KeyStore.FindKey(ctx, id, time.Now().Add(time.Hour))
}

func TestUnknownTokensAreNotRemembered(t *testing.T) {
	keys, other, store, _ := clocked(t)
	_, c := newKeys(t)
	_, unknown := create(t, identity.NewKeys(c.KeyStore, c, nil), reader)
	_, token := create(t, other, reader)
	forged := withSecretOf(unknown, token)
	for range 3 {
		authenticate(t, keys, unknown, identity.ErrUnauthenticated)
		authenticate(t, keys, forged, identity.ErrUnauthenticated)
	}
	store.wantFinds(t, 6)
}

func TestTheMemoryOfTokensIsBounded(t *testing.T) {
	keys, _, store, _ := clocked(t)
	var tokens []string
	for range 5000 {
		_, token := create(t, keys, reader)
		tokens = append(tokens, token)
		authenticate(t, keys, token, nil)
	}
	store.finds = 0
	for _, token := range tokens {
		authenticate(t, keys, token, nil)
	}
	if store.finds < 5000-4096 {
		t.Errorf("%d of 5000 tokens were remembered, want 4096 at most", 5000-store.finds)
	}
}

func TestWhatIsRememberedHoldsNoSecret(t *testing.T) {
	keys, _, _, _ := clocked(t)
	_, token := create(t, keys, reader)
	authenticate(t, keys, token, nil)
	cache := fmt.Sprintf("%+v", reflect.ValueOf(keys).Elem().FieldByName("cache").Elem())
	if !strings.Contains(cache, "acme") || strings.Contains(cache, token[31:63]) {
		t.Errorf("the cache is %s", cache)
	}
}

func TestKeysWithinATransactionAreNotRemembered(t *testing.T) {
	keys, _, store, _ := clocked(t)
	_, token := create(t, keys, reader)
	for range 2 {
		authenticate(t, keys.With(store), token, nil)
	}
	authenticate(t, keys, token, nil)
	store.wantFinds(t, 3)
}

func TestTheLastUseOfAKeyIsRecordedOnceAMinute(t *testing.T) {
	keys, _, store, pass := clocked(t)
	key, token := create(t, keys, reader)
	unused, _ := create(t, keys, reader)
	want := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	for range 4 { // 0, 31, 62 and 93 s
		authenticate(t, keys, token, nil)
		if err := keys.RecordUses(t.Context()); err != nil {
			t.Fatalf("RecordUses = %v", err)
		}
		pass(31 * time.Second)
	}
	got, err := keys.Get(t.Context(), "acme", key.ID)
	if want = want.Add(62 * time.Second); err != nil || !got.LastUsedAt.Equal(want) {
		t.Errorf("the key was last used at %v, %v; want %v", got.LastUsedAt, err, want)
	}
	if got, err := keys.Get(t.Context(), "acme", unused.ID); err != nil || !got.LastUsedAt.IsZero() {
		t.Errorf("the other key was last used at %v, %v", got.LastUsedAt, err)
	}
	if store.touches != 2 {
		t.Errorf("%d writes, want 2", store.touches)
	}
}

func TestAUseThatCannotBeRecordedKeepsNobodyOut(t *testing.T) {
	keys, _, store, _ := clocked(t)
	_, token := create(t, keys, reader)
	store.touchErr = identity.ErrUnavailable
	authenticate(t, keys, token, nil)
	if err := keys.RecordUses(t.Context()); !errors.Is(err, identity.ErrUnavailable) {
		t.Errorf("RecordUses = %v, want ErrUnavailable", err)
	}
	authenticate(t, keys, token, nil)
}
