package sso

import (
	"fmt"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// What a tenant can have.
const (
	// MaxConnections is how many connections a tenant has at most.
	MaxConnections = 5
	// MaxDomains is how many domains a connection has at most.
	MaxDomains = 20
)

// ConnectionID identifies a connection: a positive integer that grows with time. Outside
// the process it is written as "sso_" and 11 base62 digits.
type ConnectionID int64

const connectionPrefix = "sso_"

// String returns the form used outside the process.
func (id ConnectionID) String() string { return timeid.Format(connectionPrefix, int64(id)) }

// ParseConnectionID reads the form that String writes. Anything else is an ErrNotFound,
// since no connection has such an ID.
func ParseConnectionID(s string) (ConnectionID, error) {
	id, ok := timeid.Parse(connectionPrefix, s)
	if !ok {
		return 0, fmt.Errorf("sso: connection ID: %w", ErrNotFound)
	}
	return ConnectionID(id), nil
}

// Connection is a tenant's identity provider. Connections are tenant-owned.
type Connection struct {
	// ID identifies the connection.
	ID ConnectionID
	// Tenant is whose members sign in through it.
	Tenant identity.TenantID
	// Issuer is the provider's issuer identifier, a URL (OpenID Connect Discovery 1.0,
	// section 2). It never changes: subjects mean nothing without it.
	Issuer string
	// ClientID is what the provider calls the service.
	ClientID string
	// ClientSecret is the service's secret there, sealed; see [Connections.Secret].
	ClientSecret string
	// Domains are those that the tenant has claimed, in the order of their names.
	Domains []Domain
	// Role is what newcomers get: [identity.RoleViewer] or [identity.RoleMember].
	Role identity.Role
	// Required says that people with an address in a verified domain sign in here and in no
	// other way: an App begins and finishes no login by mail for them. Owners of the tenant
	// are let in by mail all the same, in case the provider is out of order; see
	// App.BeginOwnerLogin of package levqor.
	Required bool
	// TrustMFA says that a second factor which the provider has checked counts, within
	// this tenant.
	TrustMFA bool
	// TrustEmail says that an address in a verified domain counts as the person's also if
	// the provider says nothing of whether it is, as Microsoft Entra ID does; never if it says
	// that it is not.
	TrustEmail bool
	// CreatedAt is when the connection was stored.
	CreatedAt time.Time
}

// Speaks reports whether the provider may speak for addresses in a canonical domain: one
// that is verified.
func (c Connection) Speaks(domain string) bool {
	return slices.ContainsFunc(c.Domains, func(d Domain) bool { return d.Name == domain && !d.VerifiedAt.IsZero() })
}

// domain returns a domain that the connection has claimed, or ErrNotFound.
func (c Connection) domain(name string) (Domain, error) {
	i := slices.IndexFunc(c.Domains, func(d Domain) bool { return d.Name == name })
	if i < 0 {
		return Domain{}, ErrNotFound
	}
	return c.Domains[i], nil
}

// Domain is an e-mail domain that a connection has claimed. Any number may claim one, so
// that nobody can keep it from its owner; the first that proves it has it alone, until
// another one proves it whose record is there while that of the first is gone: domains are
// sold.
type Domain struct {
	// Name is the domain in its canonical form, in ASCII.
	Name string
	// Token is what the DNS record holds: it tells for whom the domain's owner speaks, and
	// is no secret.
	Token string
	// VerifiedAt is when the domain was proved; zero if it was not.
	VerifiedAt time.Time
}

// recordName is what a domain's name follows in that of its record, and maxDomain how long it
// may be there: the DNS has names of up to 253 bytes.
const (
	recordName = "_levqor."
	maxDomain  = 253 - len(recordName)
)

// RecordName returns the name of the DNS record of type TXT that proves the domain.
func (d Domain) RecordName() string { return recordName + d.Name }

// RecordValue returns what that record holds.
func (d Domain) RecordValue() string { return "levqor-domain-verification=" + d.Token }

// Proof is a domain of a connection whose record was in the DNS.
type Proof struct {
	Domain
	// From is the connection that had verified the domain, whose own record was gone by
	// then; 0 if there was none.
	From ConnectionID
}

// Link says which user a provider's subject is to a tenant. Links are subject-owned: they end with
// their user, or with the tenant through which they were made.
type Link struct {
	// Issuer is the provider.
	Issuer string
	// Subject is who somebody is there, at most 255 bytes (OpenID Connect Core 1.0,
	// section 2). A provider never gives it to another person.
	Subject string
	// User is who it is here.
	User identity.UserID
	// Tenant is through whose connection the link was made, and for whom it counts.
	Tenant identity.TenantID
	// CreatedAt is when the link was stored.
	CreatedAt time.Time
}

// Flow is a sign-in that has begun. It ends when it is taken up, or after [FlowTTL].
type Flow struct {
	// Hash is that of the secret in the browser's cookie.
	Hash []byte
	// Connection is where it leads.
	Connection ConnectionID
	// ReturnPath is where the person wants to be afterwards.
	ReturnPath string
	// MaxAge is how long ago they may have proved to the provider who they are; 0 for as
	// long as it likes.
	MaxAge time.Duration
}

// FlowTTL is how long somebody has to sign in at the provider.
const FlowTTL = 10 * time.Minute
