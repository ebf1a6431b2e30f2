package httpapi

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/levqor/sdk"
	"github.com/levqor/sdk/client"
	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/httpapi/internal/oas"
	"github.com/levqor/sdk/levqor/identity"
)

// ListAPIKeys implements the operation.
func (s *server) ListAPIKeys(ctx context.Context, req oas.ListAPIKeysRequestObject) (oas.ListAPIKeysResponseObject, error) {
	tenant, limit := caller(ctx).Tenant, limitOf(req.Params.Limit)
	query, err := s.keyQuery(tenant, req.Params)
	if err != nil {
		return nil, err
	}
	query.Limit = limit + 1 // one more tells whether there is a next page
	keys, err := s.keys(ctx).List(ctx, tenant, query)
	if err != nil {
		return nil, err
	}
	var page client.APIKeyPage
	page.Data, page.HasMore = wirePage(keys, limit, wireKey)
	if page.HasMore {
		page.NextCursor = new(s.cursor("keys", tenant, query.WithRevoked, keyMark(keys[limit-1])))
	}
	return oas.ListAPIKeys200JSONResponse{Body: page}, nil
}

// CreateAPIKey implements the operation. The answer to a repetition commits with the
// key and lacks the token, which is kept nowhere.
func (s *server) CreateAPIKey(ctx context.Context, req oas.CreateAPIKeyRequestObject) (oas.CreateAPIKeyResponseObject, error) {
	n, err := newKey(caller(ctx).Tenant, req.Body)
	if err != nil {
		return nil, err
	}
	var whole client.APIKey
	scope := scopeOf(ctx, "POST /api/v1/api-keys", req.Params.IdempotencyKey)
	answer, replayed, err := s.app.Idempotency.Do(ctx, scope, fingerprint(body(ctx)), func(ctx context.Context, tx levqor.Stores) (levqor.Answer, error) {
		keys, err := s.keysIn(ctx, tx)
		if err != nil {
			return levqor.Answer{}, err
		}
		key, token, err := keys.Create(ctx, n)
		if err != nil {
			return levqor.Answer{}, err
		}
		whole = withToken(key, token)
		if err := s.record(ctx, tx, guard.ActionKeyCreated, key.ID); err != nil {
			return levqor.Answer{}, err
		}
		return keyCreated(wireKey(key))
	})
	if err == nil && !replayed {
		answer, err = keyCreated(whole)
	}
	return created{answer, replayed}, err
}

// keysIn returns the API keys of a transaction as the caller may make and change them as of
// now: a request is admitted before it has its turn, and meanwhile they may have lost their
// role. Their tenant is not deleted and no member of it removed before the transaction
// ends, which would leave a new key behind. A tenant that is gone gives nobody access.
func (s *server) keysIn(ctx context.Context, tx levqor.Stores) (*identity.Keys, error) {
	by, err := s.app.CallerNow(ctx, tx, caller(ctx), "keys:write")
	if errors.Is(err, identity.ErrNotFound) {
		err = fmt.Errorf("httpapi: the caller's tenant is deleted: %w", identity.ErrUnauthenticated)
	}
	return s.keysOf(by).With(tx.Keys), err
}

// GetAPIKey implements the operation.
func (s *server) GetAPIKey(ctx context.Context, req oas.GetAPIKeyRequestObject) (oas.GetAPIKeyResponseObject, error) {
	key, err := s.keys(ctx).Get(ctx, caller(ctx).Tenant, req.ID)
	wire := wireKey(key)
	return oas.GetAPIKey200JSONResponse{Body: wire, Headers: oas.GetAPIKey200ResponseHeaders{ETag: keyTag(wire)}}, err
}

// UpdateAPIKey implements the operation. Whoever else changes the key waits, so it is still
// as If-Match says when it changes.
func (s *server) UpdateAPIKey(ctx context.Context, req oas.UpdateAPIKeyRequestObject) (oas.UpdateAPIKeyResponseObject, error) {
	change := identity.KeyChange{Name: req.Body.Name}
	if req.Body.AllowedNetworks != nil {
		networks, err := parseNetworks(*req.Body.AllowedNetworks)
		if err != nil {
			return nil, err
		}
		change.AllowedNetworks = &networks
	}
	key, err := s.changeKey(ctx, guard.ActionKeyChanged, func(ctx context.Context, keys *identity.Keys) (identity.Key, error) {
		if err := unchangedKey(ctx, req.Params.IfMatch, keys, req.ID); err != nil {
			return identity.Key{}, err
		}
		return keys.Update(ctx, caller(ctx).Tenant, req.ID, change)
	})
	wire := wireKey(key)
	return oas.UpdateAPIKey200JSONResponse{Body: wire, Headers: oas.UpdateAPIKey200ResponseHeaders{ETag: keyTag(wire)}}, err
}

// unchangedKey is unchanged for a key, which it holds if there is something to check.
func unchangedKey(ctx context.Context, ifMatch *string, keys *identity.Keys, id string) error {
	if ifMatch == nil {
		return nil
	}
	key, err := keys.Hold(ctx, caller(ctx).Tenant, id)
	if err != nil {
		return err
	}
	return unchanged(ifMatch, keySettings(wireKey(key)))
}

// RevokeAPIKey implements the operation.
func (s *server) RevokeAPIKey(ctx context.Context, req oas.RevokeAPIKeyRequestObject) (oas.RevokeAPIKeyResponseObject, error) {
	_, err := s.changeKey(ctx, guard.ActionKeyRevoked, func(ctx context.Context, keys *identity.Keys) (identity.Key, error) {
		return keys.Revoke(ctx, caller(ctx).Tenant, req.ID)
	})
	return oas.RevokeAPIKey204Response{}, err
}

// RotateAPIKey implements the operation.
func (s *server) RotateAPIKey(ctx context.Context, req oas.RotateAPIKeyRequestObject) (oas.RotateAPIKeyResponseObject, error) {
	overlap := identity.DefaultOverlap
	if req.Body.OverlapSeconds != nil {
		overlap = time.Duration(*req.Body.OverlapSeconds) * time.Second
	}
	var token string
	key, err := s.changeKey(ctx, guard.ActionKeyRotated, func(ctx context.Context, keys *identity.Keys) (key identity.Key, err error) {
		key, token, err = keys.Rotate(ctx, caller(ctx).Tenant, req.ID, overlap)
		return key, err
	})
	return oas.RotateAPIKey201JSONResponse(withToken(key, token)), err
}

// changeKey changes a key and records that, both or neither.
func (s *server) changeKey(ctx context.Context, action guard.Action, change func(context.Context, *identity.Keys) (identity.Key, error)) (key identity.Key, err error) {
	err = s.app.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
		keys, err := s.keysIn(ctx, tx)
		if err != nil {
			return err
		}
		if key, err = change(ctx, keys); err != nil {
			return err
		}
		return s.record(ctx, tx, action, key.ID)
	})
	return key, err
}

// keys returns the API keys as the caller may read them.
func (s *server) keys(ctx context.Context) *identity.Keys { return s.keysOf(caller(ctx)) }

func (s *server) keysOf(by identity.Principal) *identity.Keys {
	return s.app.Keys.WithScopes(s.scopes).ForCaller(by)
}

// Scopes returns the scopes that the operations of the contract ask for. A host that
// has others for its own routes puts both into the Scopes of [levqor.Options].
func Scopes() ([]string, error) {
	doc, err := openapi3.NewLoader().LoadFromData(sdk.OpenAPI)
	if err != nil {
		return nil, fmt.Errorf("httpapi: read the contract: %w", err)
	}
	return scopesOf(doc), nil
}

func scopesOf(doc *openapi3.T) []string {
	var all []string
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			if scope, ok := op.Extensions["x-scope"].(string); ok {
				all = append(all, scope)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *server) keyQuery(tenant string, p client.ListAPIKeysParams) (identity.KeyQuery, error) {
	q := identity.KeyQuery{WithRevoked: value(p.IncludeRevoked)}
	if p.Cursor == nil {
		return q, nil
	}
	last, err := s.parseCursor("keys", tenant, q.WithRevoked, *p.Cursor)
	if err != nil || len(last) < 8 {
		return q, errCursor
	}
	q.Before = identity.Key{CreatedAt: time.UnixMicro(int64(binary.BigEndian.Uint64(last))), ID: string(last[8:])}
	return q, nil
}

// keyMark says where a page of keys ended, in the precision of the databases.
func keyMark(key identity.Key) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(key.CreatedAt.UnixMicro())), key.ID...)
}

func newKey(tenant string, b *client.NewAPIKey) (identity.NewKey, error) {
	if b.ExpiresAt != nil && b.ExpiresAt.IsZero() { // which would be never
		return identity.NewKey{}, fault.Invalid("/expires_at", "out_of_range", "must be between the years 1970 and 9999 in UTC")
	}
	networks, err := parseNetworks(b.AllowedNetworks)
	return identity.NewKey{Tenant: tenant, Name: b.Name, Scopes: b.Scopes, AllowedNetworks: networks, ExpiresAt: value(b.ExpiresAt)}, err
}

// parseNetworks takes networks in CIDR form, and addresses as networks of one.
func parseNetworks(texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for i, text := range texts {
		network, err := netip.ParsePrefix(text)
		if addr, wrong := netip.ParseAddr(text); err != nil && wrong == nil && addr.Zone() == "" {
			network, err = addr.Prefix(addr.BitLen())
		}
		if err != nil {
			return nil, fault.Invalid(fmt.Sprintf("/allowed_networks/%d", i), "invalid_format", "must be an address or a network, such as 192.0.2.0/24")
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func keyCreated(wire client.APIKey) (levqor.Answer, error) {
	body, err := json.Marshal(wire)
	return levqor.Answer{
		Status: http.StatusCreated,
		Header: map[string]string{"Location": "/api/v1/api-keys/" + wire.ID},
		Body:   body,
	}, err
}

// VisitCreateAPIKeyResponse implements the generated interface.
func (c created) VisitCreateAPIKeyResponse(w http.ResponseWriter) error { return c.write(w) }

func withToken(key identity.Key, token string) client.APIKey {
	wire := wireKey(key)
	wire.Token = &token
	return wire
}

func keyTag(wire client.APIKey) string { return etagOf(keySettings(wire), wire) }

// keySettings leaves out what changes when a key is used.
func keySettings(wire client.APIKey) client.APIKey {
	wire.LastUsedAt = nil
	return wire
}

func wireKey(k identity.Key) client.APIKey {
	wire := client.APIKey{
		ID: k.ID, Name: k.Name, Prefix: k.Prefix(), LastFour: k.LastFour, Scopes: k.Scopes, AllowedNetworks: []string{},
		CreatedBy: optional(k.Creator), CreatedAt: k.CreatedAt, ExpiresAt: optional(k.ExpiresAt), RevokedAt: optional(k.RevokedAt),
		LastUsedAt: optional(k.LastUsedAt), RotatedAt: optional(k.RotatedAt), RetiringUntil: optional(k.RetiringUntil),
	}
	for _, network := range k.AllowedNetworks {
		wire.AllowedNetworks = append(wire.AllowedNetworks, network.String())
	}
	return wire
}
