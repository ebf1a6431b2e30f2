package identity_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/levqor/identity"
)

func rotate(t *testing.T, keys *identity.Keys, key identity.Key, overlap time.Duration) (identity.Key, string) {
	t.Helper()
	key, token, err := keys.Rotate(t.Context(), key.Tenant, key.ID, overlap)
	if err != nil {
		t.Fatalf("Rotate = %v", err)
	}
	return key, token
}

func TestBothTokensWorkDuringTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		keys, _ := newKeys(t)
		key, old := create(t, keys, reader)
		rotated, token := rotate(t, keys, key, identity.DefaultOverlap)
		if rotated.ID != key.ID || token == old || token[:31] != old[:31] || rotated.LastFour != token[65:] {
			t.Errorf("the key %s is now %s with the token %s", key.ID, rotated.ID, token)
		}
		end := time.Now().Add(identity.DefaultOverlap)
		for _, passed := range []time.Duration{0, identity.DefaultOverlap - time.Microsecond} {
			time.Sleep(passed)
			who, err := keys.Authenticate(t.Context(), token)
			if err != nil || !who.Retiring.IsZero() || who.KeyID != key.ID || !who.Allows("jobs:read") {
				t.Errorf("Authenticate = %+v, %v", who, err)
			}
			if who, err = keys.Authenticate(t.Context(), old); err != nil || !who.Retiring.Equal(end) || who.KeyID != key.ID {
				t.Errorf("Authenticate with the old token = %+v, %v; want it to say that it ends at %v", who, err, end)
			}
		}
		time.Sleep(time.Microsecond) // the finding is in the cache still
		if _, err := keys.Authenticate(t.Context(), old); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("Authenticate after the overlap = %v, want ErrUnauthenticated", err)
		}
		if _, err := keys.Authenticate(t.Context(), token); err != nil {
			t.Errorf("Authenticate = %v", err)
		}
	})
}

func TestAnOldTokenDoesNotOutliveItsKey(t *testing.T) {
	keys, _ := newKeys(t)
	n := reader
	n.ExpiresAt = time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
	key, old := create(t, keys, n)
	rotate(t, keys, key, identity.DefaultOverlap)
	if who, err := keys.Authenticate(t.Context(), old); err != nil || !who.Retiring.Equal(n.ExpiresAt) {
		t.Errorf("Authenticate = %+v, %v; want it to end at %v", who, err, n.ExpiresAt)
	}
}

func TestWithoutAnOverlapTheOldTokenEndsAtOnce(t *testing.T) {
	keys, _ := newKeys(t)
	key, old := create(t, keys, reader)
	if _, err := keys.Authenticate(t.Context(), old); err != nil { // remembers it
		t.Fatal(err)
	}
	_, token := rotate(t, keys, key, 0)
	if _, err := keys.Authenticate(t.Context(), old); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("Authenticate with the old token = %v, want ErrUnauthenticated", err)
	}
	if _, err := keys.Authenticate(t.Context(), token); err != nil {
		t.Errorf("Authenticate = %v", err)
	}
	rotate(t, keys, key, 0) // nothing is in the way
}

func TestAThirdTokenIsRefusedDuringTheOverlap(t *testing.T) {
	keys, _ := newKeys(t)
	key, _ := create(t, keys, reader)
	rotate(t, keys, key, time.Hour)
	if _, _, err := keys.Rotate(t.Context(), "acme", key.ID, 0); !errors.Is(err, identity.ErrRotating) || !errors.Is(err, identity.ErrConflict) {
		t.Errorf("Rotate = %v, want ErrRotating", err)
	}
	for _, overlap := range []time.Duration{-1, identity.MaxOverlap + 1} {
		if _, _, err := keys.Rotate(t.Context(), "acme", key.ID, overlap); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("Rotate with an overlap of %v = %v, want ErrInvalid", overlap, err)
		}
	}
	if _, err := keys.Revoke(t.Context(), "acme", key.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.Rotate(t.Context(), "acme", key.ID, 0); !errors.Is(err, identity.ErrConflict) || errors.Is(err, identity.ErrRotating) {
		t.Errorf("Rotate of a revoked key = %v, want ErrConflict", err)
	}
}

func TestOfManyRotationsAtOnceOneGivesAToken(t *testing.T) {
	_, c := newKeys(t)
	keys := identity.NewKeys(c.KeyStore, c.Hasher, nil)
	key, old := create(t, keys, reader)
	var given atomic.Pointer[string]
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			_, token, err := keys.Rotate(t.Context(), "acme", key.ID, time.Hour)
			if err == nil && !given.CompareAndSwap(nil, &token) {
				t.Error("two callers got a token")
			} else if err != nil && !errors.Is(err, identity.ErrRotating) {
				t.Errorf("Rotate = %v, want ErrRotating", err)
			}
		})
	}
	wg.Wait()
	for _, token := range []string{old, *given.Load()} {
		if _, err := keys.Authenticate(t.Context(), token); err != nil {
			t.Errorf("Authenticate = %v", err)
		}
	}
}

func TestCallersNoticeNoRotation(t *testing.T) {
	_, c := newKeys(t)
	keys := identity.NewKeys(c.KeyStore, c.Hasher, nil)
	for range 20 {
		key, old := create(t, keys, reader)
		var latest atomic.Pointer[string]
		latest.Store(&old)
		var before, after atomic.Int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for served := &before; ; {
					token := latest.Load()
					if token != &old {
						served = &after
					}
					if i%2 == 0 { // does not move
						token = &old
					}
					if _, err := keys.Authenticate(t.Context(), *token); err != nil {
						t.Errorf("Authenticate = %v", err)
						return
					}
					served.Add(1)
					select {
					case <-stop:
						return
					default:
					}
				}
			})
		}
		busy(t, &before)
		_, token := rotate(t, keys, key, time.Hour)
		latest.Store(&token)
		busy(t, &after)
		close(stop)
		wg.Wait()
	}
}

// busy returns after a thousand calls, or one that failed.
func busy(t *testing.T, calls *atomic.Int64) {
	for calls.Load() < 1000 && !t.Failed() {
		runtime.Gosched()
	}
}
