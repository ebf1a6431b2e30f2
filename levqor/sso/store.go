package sso

import (
	"context"
	"time"

	"github.com/levqor/sdk/levqor/identity"
)

// Store keeps connections, links and flows. What holds for every method: it is safe for
// concurrent use; now is the instant that the call works with, and the zero time means
// the store's own clock; what it does is done as a whole or not at all; errors wrap the
// kinds of this package and print nothing of the store's inner workings.
type Store interface {
	ConnectionStore
	LinkStore
	FlowStore
	SealedStore
}

// ConnectionStore keeps connections with their domains.
type ConnectionStore interface {
	// CreateConnection stores a connection and returns it with CreatedAt set; its domains
	// are not verified. It returns ErrNotFound if there is no such tenant or its deletion
	// has begun, ErrTooManyConnections if the tenant has [MaxConnections], also for callers
	// at once, and another ErrConflict if the ID is taken.
	CreateConnection(ctx context.Context, c Connection, now time.Time) (Connection, error)

	// FindConnection returns the connection with an ID, whose ever it is, or ErrNotFound.
	FindConnection(ctx context.Context, id ConnectionID) (Connection, error)

	// FindByDomain returns the connection that has verified a domain, or ErrNotFound.
	FindByDomain(ctx context.Context, domain string) (Connection, error)

	// ListConnections returns a tenant's connections in the order of their IDs.
	ListConnections(ctx context.Context, tenant identity.TenantID) ([]Connection, error)

	// UpdateConnection changes a tenant's connection and returns it. Domains that it has
	// stay as they are, with their tokens. Another client ID ends the tenant's links at the
	// connection's issuer, and no others. It returns ErrNotFound if there is none with
	// that ID or it belongs to another tenant.
	UpdateConnection(ctx context.Context, tenant identity.TenantID, id ConnectionID, c Change) (Connection, error)

	// DeleteConnection removes a tenant's connection with its domains; the links stay. It
	// returns ErrNotFound if there is none with that ID or it belongs to another tenant.
	DeleteConnection(ctx context.Context, tenant identity.TenantID, id ConnectionID) error

	// VerifyDomain sets VerifiedAt of a domain of a tenant's connection, unless it is set,
	// if the domain still has that token. In the connection From, whose ever it is, the
	// domain is not verified any more. It returns ErrDomainTaken if yet another connection
	// has verified the domain, also for callers at once, and ErrNotFound if there is no
	// such domain, token or connection or it belongs to another tenant.
	VerifyDomain(ctx context.Context, tenant identity.TenantID, id ConnectionID, proof Proof, now time.Time) (Connection, error)

	// EraseTenant removes a tenant's connections and the links that were made through them.
	EraseTenant(ctx context.Context, tenant identity.TenantID) error
}

// Change is a change of a connection; nil fields leave it as it is.
type Change struct {
	// ClientID is the new one.
	ClientID *string
	// ClientSecret is the new one, sealed.
	ClientSecret *string
	// Domains take the place of those that the connection has.
	Domains *[]Domain
	// Role is the new one.
	Role *identity.Role
	// Required is the new setting.
	Required *bool
	// TrustMFA is the new setting.
	TrustMFA *bool
	// TrustEmail is the new setting.
	TrustEmail *bool
}

// LinkStore keeps who a provider's subjects are to a tenant. No two links of a tenant have
// the same issuer and subject, or the same issuer and user; those of other tenants are
// none of its own.
type LinkStore interface {
	// FindLink returns a tenant's link of a subject, or ErrNotFound.
	FindLink(ctx context.Context, tenant identity.TenantID, issuer, subject string) (Link, error)

	// InsertLink stores a link and returns it with CreatedAt set. It returns ErrConflict if,
	// in its tenant, the subject or, at that issuer, the user has one.
	InsertLink(ctx context.Context, link Link, now time.Time) (Link, error)

	// Unlink removes the links of a user that were made through a tenant's connections, or
	// returns ErrNotFound if there is none.
	Unlink(ctx context.Context, tenant identity.TenantID, user identity.UserID) error

	// UnlinkSince removes the links of a user, made through whatever tenant's connections,
	// that were stored at an instant or later.
	UnlinkSince(ctx context.Context, user identity.UserID, since time.Time) error

	// EraseUser removes all links of a user.
	EraseUser(ctx context.Context, user identity.UserID) error
}

// FlowStore keeps flows.
type FlowStore interface {
	// BeginFlow stores a flow that lives for ttl. It returns ErrConflict if the hash is
	// taken.
	BeginFlow(ctx context.Context, flow Flow, ttl time.Duration, now time.Time) error

	// TakeFlow removes the flow with a hash and returns it. Of any number of callers at
	// once one gets it. It returns ErrNotFound if there is none or its time is over.
	TakeFlow(ctx context.Context, hash []byte, now time.Time) (Flow, error)

	// DeleteExpiredFlows removes up to limit flows whose time is over, and returns how many.
	DeleteExpiredFlows(ctx context.Context, limit int, now time.Time) (int, error)
}

// SealedStore shows the sealed client secrets and replaces them, for all tenants.
type SealedStore interface {
	// ListSealed returns the sealed secrets of up to limit connections whose IDs come after
	// a given one, in the order of their IDs.
	ListSealed(ctx context.Context, after ConnectionID, limit int) ([]SealedSecret, error)

	// ReplaceSealed stores sealed as the secret of a connection that still has the one that
	// was seen. Nothing else changes, and nothing at all if it has another one by now.
	ReplaceSealed(ctx context.Context, seen SealedSecret, sealed string) error
}

// SealedSecret is the sealed client secret of a connection.
type SealedSecret struct {
	// ID is that of the connection.
	ID ConnectionID
	// Sealed is the secret as stored.
	Sealed string
}
