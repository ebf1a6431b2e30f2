package client

import (
	"context"
	"crypto/rand"
	"iter"
	"net/http"
)

// CreateAPIKey makes a key of the caller's tenant; its Token is in this answer and
// nowhere else. Requests with the same idempotency key make one, whose Token is missing
// from all answers but the first; for an empty one a random key is made. It returns
// ErrInvalid with the wrong fields, and ErrForbidden for a scope that the caller does
// not hold.
func (s *Service) CreateAPIKey(ctx context.Context, key NewAPIKey, idempotencyKey string) (*APIKey, error) {
	if idempotencyKey == "" {
		idempotencyKey = rand.Text()
	}
	resp, err := s.api.CreateAPIKeyWithResponse(ctx, &CreateAPIKeyParams{IdempotencyKey: idempotencyKey}, key)
	if err != nil {
		return nil, unreachable("create API key", err)
	}
	return one("create API key", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// GetAPIKey returns a key and its version, for [Service.UpdateAPIKey]; or ErrNotFound.
func (s *Service) GetAPIKey(ctx context.Context, id string) (*APIKey, string, error) {
	resp, err := s.api.GetAPIKeyWithResponse(ctx, id)
	if err != nil {
		return nil, "", unreachable("get API key", err)
	}
	key, err := one("get API key", resp.JSON200, resp.HTTPResponse, resp.Body)
	return key, resp.HTTPResponse.Header.Get("ETag"), err
}

// UpdateAPIKey changes the name of a key or where it may be used from; only if the key is
// still of a version, unless that is empty. It returns ErrNotFound, ErrForbidden for a key
// that has a scope which the caller does not hold, and ErrConflict for another version and
// for a key that is revoked.
func (s *Service) UpdateAPIKey(ctx context.Context, id, version string, change APIKeyChange) (*APIKey, error) {
	resp, err := s.api.UpdateAPIKeyWithResponse(ctx, id, &UpdateAPIKeyParams{IfMatch: given(version)}, change)
	if err != nil {
		return nil, unreachable("update API key", err)
	}
	return one("update API key", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// RotateAPIKey gives a key another token; it is in this answer and nowhere else. The
// one from before works on for as long as the rotation says, 24 hours by default. It
// returns ErrNotFound, ErrForbidden for a key that has a scope which the caller does not
// hold, and ErrConflict for one that is revoked or expired or whose token from before
// still works.
func (s *Service) RotateAPIKey(ctx context.Context, id string, rotation APIKeyRotation) (*APIKey, error) {
	resp, err := s.api.RotateAPIKeyWithResponse(ctx, id, rotation)
	if err != nil {
		return nil, unreachable("rotate API key", err)
	}
	return one("rotate API key", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// RevokeAPIKey ends the access of a key within 30 seconds. It returns ErrNotFound, and
// ErrForbidden for a key that has a scope which the caller does not hold.
func (s *Service) RevokeAPIKey(ctx context.Context, id string) error {
	resp, err := s.api.RevokeAPIKeyWithResponse(ctx, id)
	if err != nil {
		return unreachable("revoke API key", err)
	}
	if resp.StatusCode() == http.StatusNoContent {
		return nil
	}
	_, err = one[APIKey]("revoke API key", nil, resp.HTTPResponse, resp.Body)
	return err
}

// APIKeys goes through the keys of the caller's tenant, the newest first, page by page.
// The cursor of the filter is where it begins; nil goes through all that are not
// revoked. It ends after the first error.
func (s *Service) APIKeys(ctx context.Context, filter *ListAPIKeysParams) iter.Seq2[APIKey, error] {
	var params ListAPIKeysParams
	if filter != nil {
		params = *filter
	}
	return pages(func(cursor *string) ([]APIKey, *string, error) {
		params := params
		if cursor != nil {
			params.Cursor = cursor
		}
		resp, err := s.api.ListAPIKeysWithResponse(ctx, &params)
		if err != nil {
			return nil, nil, unreachable("list API keys", err)
		}
		page, err := one("list API keys", resp.JSON200, resp.HTTPResponse, resp.Body)
		if err != nil {
			return nil, nil, err
		}
		return page.Data, page.NextCursor, nil
	})
}
