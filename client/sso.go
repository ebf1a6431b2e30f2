package client

import "context"

// SSOConnections returns the identity providers of the caller's tenant, the oldest first.
func (s *Service) SSOConnections(ctx context.Context) ([]SSOConnection, error) {
	resp, err := s.api.ListSSOConnectionsWithResponse(ctx)
	if err != nil {
		return nil, unreachable("list SSO connections", err)
	}
	list, err := one("list SSO connections", resp.JSON200, resp.HTTPResponse, resp.Body)
	if err != nil {
		return nil, err
	}
	return list.Data, nil
}

// CreateSSOConnection adds an identity provider to the caller's tenant. Requests with the
// same idempotency key make one; for an empty one a random key is made. It returns
// ErrInvalid with the wrong fields, ErrForbidden for a role that allows more than the
// caller may, and ErrConflict where the tenant has five.
func (s *Service) CreateSSOConnection(ctx context.Context, connection NewSSOConnection, idempotencyKey string) (*SSOConnection, error) {
	resp, err := s.api.CreateSSOConnectionWithResponse(ctx, &CreateSSOConnectionParams{IdempotencyKey: keyOr(idempotencyKey)}, connection)
	if err != nil {
		return nil, unreachable("create SSO connection", err)
	}
	return one("create SSO connection", resp.JSON201, resp.HTTPResponse, resp.Body)
}

// GetSSOConnection returns an identity provider of the caller's tenant and the version of
// what it says, for [Service.UpdateSSOConnection]; or ErrNotFound.
func (s *Service) GetSSOConnection(ctx context.Context, id string) (*SSOConnection, string, error) {
	resp, err := s.api.GetSSOConnectionWithResponse(ctx, id)
	if err != nil {
		return nil, "", unreachable("get SSO connection", err)
	}
	connection, err := one("get SSO connection", resp.JSON200, resp.HTTPResponse, resp.Body)
	return connection, resp.HTTPResponse.Header.Get("ETag"), err
}

// UpdateSSOConnection changes an identity provider, at once; only if it is still of a
// version, unless that is empty. It returns ErrNotFound, ErrInvalid with the wrong fields,
// ErrForbidden for one that gives newcomers more than the caller may, and ErrConflict for
// another version.
func (s *Service) UpdateSSOConnection(ctx context.Context, id, version string, change SSOConnectionChange) (*SSOConnection, error) {
	resp, err := s.api.UpdateSSOConnectionWithResponse(ctx, id, &UpdateSSOConnectionParams{IfMatch: given(version)}, change)
	if err != nil {
		return nil, unreachable("update SSO connection", err)
	}
	return one("update SSO connection", resp.JSON200, resp.HTTPResponse, resp.Body)
}

// DeleteSSOConnection removes an identity provider: nobody signs in there from then on. It
// returns ErrNotFound, and ErrForbidden for one that gives newcomers more than the caller
// may.
func (s *Service) DeleteSSOConnection(ctx context.Context, id string) error {
	resp, err := s.api.DeleteSSOConnectionWithResponse(ctx, id)
	if err != nil {
		return unreachable("delete SSO connection", err)
	}
	return nothing("delete SSO connection", resp.HTTPResponse, resp.Body)
}

// UnlinkMember forgets who a member is at the identity providers, so that their next sign-in
// with the member's address counts anew. It returns ErrNotFound for a member who has not come
// by one.
func (s *Service) UnlinkMember(ctx context.Context, user string) error {
	resp, err := s.api.UnlinkMemberWithResponse(ctx, user)
	if err != nil {
		return unreachable("unlink member", err)
	}
	return nothing("unlink member", resp.HTTPResponse, resp.Body)
}

// DropSSODomain takes a domain from the identity provider of whatever tenant that has verified
// it, for an operator. It returns ErrNotFound if none has.
func (s *Service) DropSSODomain(ctx context.Context, domain string) error {
	resp, err := s.api.DropSSODomainWithResponse(ctx, domain)
	if err != nil {
		return unreachable("drop SSO domain", err)
	}
	return nothing("drop SSO domain", resp.HTTPResponse, resp.Body)
}

// VerifySSODomain looks for the DNS record that proves a domain of an identity provider,
// and lets that speak for it from then on. It returns ErrNotFound for a domain that the
// connection has not claimed, ErrConflict if the record is not there or another connection
// was first, and ErrUnavailable if the DNS does not answer.
func (s *Service) VerifySSODomain(ctx context.Context, id, domain string) (*SSOConnection, error) {
	resp, err := s.api.VerifySSODomainWithResponse(ctx, id, SSOVerification{Domain: domain})
	if err != nil {
		return nil, unreachable("verify SSO domain", err)
	}
	return one("verify SSO domain", resp.JSON200, resp.HTTPResponse, resp.Body)
}
