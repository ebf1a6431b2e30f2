// Package sso lets the members of a tenant sign in at the tenant's own identity provider
// (OpenID Connect): which provider that is, for which e-mail domains it may speak, and
// who of Levqor's users its subjects are. It talks to no provider; package oidclogin does.
//
//	connections := sso.New(store, ring.Sealer(), nil)
//	c, err := connections.Create(ctx, tenant, sso.NewConnection{
//		Issuer: "https://login.acme.example", ClientID: id, ClientSecret: secret,
//		Domains: []string{"acme.example"}, Role: identity.RoleMember,
//	})
//	for _, d := range c.Domains {
//		fmt.Println(d.RecordName(), "TXT", d.RecordValue()) // for the tenant's DNS
//	}
//	c, err = connections.Verify(ctx, tenant, c.ID, "acme.example")
package sso

import (
	"fmt"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// The kinds of errors that this package returns; test with errors.Is.
var (
	// ErrInvalid reports a wrong value and names the field.
	ErrInvalid = fault.ErrInvalid
	// ErrForbidden reports that somebody may not sign in.
	ErrForbidden = fault.ErrForbidden
	// ErrNotFound reports that the tenant has no such connection or domain, or that there
	// is no such link or flow.
	ErrNotFound = fault.ErrNotFound
	// ErrConflict reports that the state does not allow the call.
	ErrConflict = fault.ErrConflict
	// ErrUnavailable reports that the store or the DNS could not be reached.
	ErrUnavailable = fault.ErrUnavailable

	// ErrTooManyConnections reports that a tenant has [MaxConnections]. It is an
	// [ErrConflict].
	ErrTooManyConnections error = &fault.Error{Kind: ErrConflict, Code: "too_many_connections", Detail: fmt.Sprintf("a tenant has at most %d connections", MaxConnections)}
	// ErrDomainTaken reports that another connection has proved a domain to be its own. It
	// is an [ErrConflict].
	ErrDomainTaken error = &fault.Error{Kind: ErrConflict, Code: "domain_taken", Detail: "another connection has verified this domain"}
	// ErrDomainUnverified reports that the DNS record which proves a domain is not there.
	// It is an [ErrConflict].
	ErrDomainUnverified error = &fault.Error{Kind: ErrConflict, Code: "domain_unverified", Detail: "the DNS record that proves the domain was not found"}

	// ErrEmailUnverified reports that the provider does not vouch for the e-mail address.
	// It is an [ErrForbidden], as those below are.
	ErrEmailUnverified error = &fault.Error{Kind: ErrForbidden, Code: "email_unverified", Detail: "the provider has not verified the e-mail address"}
	// ErrForeignDomain reports somebody whose address, or whose account at a provider that
	// has accounts of many organisations, is in no verified domain of the connection.
	ErrForeignDomain error = &fault.Error{Kind: ErrForbidden, Code: "foreign_domain", Detail: "the account is in no domain of this connection"}
	// ErrOtherSubject reports that the user with that address is linked to another subject
	// of the same provider: the address may have changed hands there.
	ErrOtherSubject error = &fault.Error{Kind: ErrForbidden, Code: "other_subject", Detail: "the account belongs to another identity of the provider"}
	// ErrRemoved reports a user who has been removed from the tenant or has left it. An
	// invitation that they accept lets them in again.
	ErrRemoved = identity.ErrRemoved
	// ErrNoAccess reports a user who is disabled or is being deleted.
	ErrNoAccess error = &fault.Error{Kind: ErrForbidden, Code: "no_access", Detail: "the account may not sign in here"}
)

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("sso: %s: %w", op, err)
}
