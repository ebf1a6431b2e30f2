package bunlevqor_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/identity"
)

// onKeys runs a test of API keys on each database.
func onKeys(t *testing.T, run func(t *testing.T, db *bun.DB, stores levqor.Stores, keys *identity.Keys)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db := dbtest.Open(t, fresh(t))
		if err := bunlevqor.Migrate(t.Context(), db); err != nil {
			t.Fatal(err)
		}
		ring, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
		if err != nil {
			t.Fatal(err)
		}
		stores := bunlevqor.Stores(db)
		run(t, db, stores, identity.NewKeys(stores.Keys, ring, nil))
	})
}

var reader = identity.NewKey{Tenant: "acme", Name: "ci", Scopes: []string{"jobs:read"}}

func createKey(t *testing.T, keys *identity.Keys) (identity.Key, string) {
	t.Helper()
	key, token, err := keys.Create(t.Context(), reader)
	if err != nil {
		t.Fatalf("Create = %v", err)
	}
	return key, token
}

// A key that is revoked in a transaction is forgotten when that commits: before, another
// caller may have found it as it was.
func TestKeysAreForgottenAfterTheCommit(t *testing.T) {
	onKeys(t, func(t *testing.T, _ *bun.DB, stores levqor.Stores, keys *identity.Keys) {
		key, token := createKey(t, keys)
		boom := errors.New("boom")
		for _, want := range []error{boom, nil} {
			if _, err := keys.Authenticate(t.Context(), token); err != nil { // remembers it
				t.Fatalf("Authenticate = %v", err)
			}
			err := stores.InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
				err := tx.InTx(ctx, func(ctx context.Context, inner levqor.Stores) error {
					_, err := keys.With(inner.Keys).Revoke(ctx, "acme", key.ID)
					return err
				})
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(ctx, time.Second) // SQLite has one connection
				defer cancel()
				if _, err := keys.Authenticate(ctx, token); err != nil {
					t.Errorf("Authenticate before the commit = %v", err)
				}
				return want
			})
			if !errors.Is(err, want) {
				t.Fatalf("InTx = %v, want %v", err, want)
			}
		}
		if _, err := keys.Authenticate(t.Context(), token); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("Authenticate = %v, want ErrUnauthenticated", err)
		}
	})
}

func TestANetworkThatWasSpoiltByHandLetsNobodyIn(t *testing.T) {
	onKeys(t, func(t *testing.T, db *bun.DB, _ levqor.Stores, keys *identity.Keys) {
		_, token := createKey(t, keys)
		if _, err := db.NewRaw("UPDATE levqor_identity_key SET networks = 'anywhere'").Exec(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, addr := range []string{"192.0.2.1", "0.0.0.0", "::", ""} {
			from, _ := netip.ParseAddr(addr)
			if _, err := keys.AuthenticateFrom(t.Context(), token, from); !errors.Is(err, identity.ErrOtherNetwork) {
				t.Errorf("AuthenticateFrom(%q) = %v, want ErrOtherNetwork", addr, err)
			}
		}
	})
}

// A program of the first schema stores, finds and revokes keys on this one.
func TestAnElderProgramSharesItsKeys(t *testing.T) {
	onKeys(t, func(t *testing.T, db *bun.DB, stores levqor.Stores, keys *identity.Keys) {
		made, token := createKey(t, keys)
		const columns = "id, tenant, name, hash, scopes, created_at, expires_at, revoked_at"
		_, err := db.NewRaw("INSERT INTO levqor_identity_key (id, tenant, name, hash, scopes, slot, created_at, expires_at) " +
			"SELECT 'key_elder', tenant, 'elder', hash, scopes, NULL, created_at, NULL FROM levqor_identity_key").Exec(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		elder, _, err := stores.Keys.FindKey(t.Context(), "key_elder", time.Time{})
		if err != nil || elder.Environment != identity.Live || elder.LastFour != "" || len(elder.AllowedNetworks) > 0 || !elder.LastUsedAt.IsZero() {
			t.Errorf("FindKey = %+v, %v", elder, err)
		}
		var found []map[string]any
		err = db.NewRaw("UPDATE levqor_identity_key SET revoked_at = created_at WHERE id = ? RETURNING "+columns, made.ID).Scan(t.Context(), &found)
		if err != nil || len(found) != 1 {
			t.Fatalf("the elder program revoked %v, %v", found, err)
		}
		if _, err := keys.Authenticate(t.Context(), token); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("Authenticate = %v, want ErrUnauthenticated", err)
		}
	})
}
