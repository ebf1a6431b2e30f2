package sso

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/internal/timeid"
	"github.com/levqor/sdk/levqor/identity"
)

// Sealer encrypts secrets at rest. That of a key ring of package levqor is one.
type Sealer interface {
	// Seal encrypts; what is sealed opens with the same additional data alone.
	Seal(plaintext, aad []byte) (string, error)
	// Open decrypts what Seal has made, or returns an error.
	Open(sealed string, aad []byte) ([]byte, error)
}

// TXTLookup looks up DNS records of type TXT. A [net.Resolver] is one.
type TXTLookup interface {
	// LookupTXT returns the texts of a name, each in one piece.
	LookupTXT(ctx context.Context, name string) ([]string, error)
}

// Options configure [Connections]. The zero value of each field means its default.
type Options struct {
	// TXT looks up what proves a domain. Default: [net.DefaultResolver].
	TXT TXTLookup
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Connections are the identity providers of all tenants. They are safe for concurrent use.
type Connections struct {
	store  Store
	sealer Sealer
	opts   Options
	ids    *timeid.Source
}

// New returns connections on a store. Options may be nil.
func New(store Store, sealer Sealer, opts *Options) *Connections {
	c := &Connections{store: store, sealer: sealer, ids: &timeid.Source{}}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.TXT == nil {
		c.opts.TXT = net.DefaultResolver
	}
	return c
}

// With returns the same connections on another store, such as one bound to the caller's
// transaction.
func (c *Connections) With(store Store) *Connections {
	bound := *c
	bound.store = store
	return &bound
}

// NewConnection says what a connection is to be.
type NewConnection struct {
	// Issuer is the provider's issuer identifier: an https URL without query and fragment,
	// at most 500 bytes. An http URL of this machine is for tests.
	Issuer string
	// ClientID is what the provider calls the service, 1 to 500 bytes.
	ClientID string
	// ClientSecret is the service's secret there, 1 to 1,000 bytes.
	ClientSecret string
	// Domains are the e-mail domains that the tenant claims, in whatever spelling, at most
	// [MaxDomains]. None counts before [Connections.Verify].
	Domains []string
	// Role is what newcomers get: [identity.RoleViewer] or [identity.RoleMember]. A
	// provider makes nobody an admin.
	Role identity.Role
	// Required says that people of the verified domains sign in here and in no other way.
	Required bool
	// TrustMFA says that a second factor which the provider has checked counts.
	TrustMFA bool
	// TrustEmail says that addresses in verified domains count also if the provider does not
	// tell whether they are the person's. It is for providers at which nobody but the
	// tenant's own administrators gives people their addresses.
	TrustEmail bool
}

// Create makes a connection of a tenant. It returns an ErrInvalid that names each wrong
// field, ErrNotFound if there is no such tenant, and ErrTooManyConnections.
func (c *Connections) Create(ctx context.Context, tenant identity.TenantID, n NewConnection) (Connection, error) {
	domains, err := n.check()
	if err != nil {
		return Connection{}, wrap("create connection", err)
	}
	for range 5 { // until an ID is not taken
		made := Connection{
			ID: ConnectionID(c.ids.Next(c.instant())), Tenant: tenant, Issuer: n.Issuer, ClientID: n.ClientID,
			Domains: domains, Role: n.Role, Required: n.Required, TrustMFA: n.TrustMFA, TrustEmail: n.TrustEmail,
		}
		if made.ClientSecret, err = c.sealer.Seal([]byte(n.ClientSecret), aad(made.ID)); err != nil {
			return Connection{}, wrap("create connection", err)
		}
		made, err = c.store.CreateConnection(ctx, made, c.now())
		if err == nil || !errors.Is(err, ErrConflict) || len(fault.All(err)) > 0 {
			return made, wrap("create connection", err)
		}
	}
	return Connection{}, wrap("create connection", err)
}

// Get returns a tenant's connection, or ErrNotFound if the tenant has none with that ID.
func (c *Connections) Get(ctx context.Context, tenant identity.TenantID, id ConnectionID) (Connection, error) {
	found, err := c.get(ctx, tenant, id)
	return found, wrap("get connection", err)
}

// Find returns a connection, whose ever it is, or ErrNotFound: for the sign-in, before
// anybody is known.
func (c *Connections) Find(ctx context.Context, id ConnectionID) (Connection, error) {
	found, err := c.store.FindConnection(ctx, id)
	return found, wrap("find connection", err)
}

// FindByDomain returns the connection through which people with an address sign in: the
// one that has verified its domain. It returns ErrNotFound if there is none.
func (c *Connections) FindByDomain(ctx context.Context, email identity.Email) (Connection, error) {
	found, err := c.store.FindByDomain(ctx, email.Domain())
	return found, wrap("find connection by domain", err)
}

// List returns a tenant's connections, the oldest first.
func (c *Connections) List(ctx context.Context, tenant identity.TenantID) ([]Connection, error) {
	all, err := c.store.ListConnections(ctx, tenant)
	return all, wrap("list connections", err)
}

// ConnectionChange is a change of a connection; nil fields leave it as it is.
type ConnectionChange struct {
	// ClientID is the new one, as in [NewConnection]. Another one ends the tenant's links
	// at the issuer, since subjects may be those of one client (OpenID Connect Core 1.0,
	// section 8.1): people are linked anew, by their addresses, when they come next.
	ClientID *string
	// ClientSecret is the new one, as in [NewConnection].
	ClientSecret *string
	// Domains take the place of those that the connection has, as in [NewConnection].
	// Those that it has already stay verified.
	Domains *[]string
	// Role is what newcomers get from now on.
	Role *identity.Role
	// Required is the new setting.
	Required *bool
	// TrustMFA is the new setting.
	TrustMFA *bool
	// TrustEmail is the new setting.
	TrustEmail *bool
}

// Update changes a tenant's connection. It returns an ErrInvalid that names each wrong
// field, also for a TrustEmail where the issuer is that of many organisations, or ErrNotFound
// if the tenant has none with that ID.
func (c *Connections) Update(ctx context.Context, tenant identity.TenantID, id ConnectionID, change ConnectionChange) (Connection, error) {
	stored := Change{ClientID: change.ClientID, Role: change.Role, Required: change.Required, TrustMFA: change.TrustMFA, TrustEmail: change.TrustEmail}
	domains, err := change.check()
	if err != nil {
		return Connection{}, wrap("update connection", err)
	}
	if change.TrustEmail != nil && *change.TrustEmail {
		found, err := c.get(ctx, tenant, id)
		if err == nil {
			err = checkTrust(found.Issuer)
		}
		if err != nil {
			return Connection{}, wrap("update connection", err)
		}
	}
	if change.Domains != nil {
		stored.Domains = &domains
	}
	if change.ClientSecret != nil {
		sealed, err := c.sealer.Seal([]byte(*change.ClientSecret), aad(id))
		if err != nil {
			return Connection{}, wrap("update connection", err)
		}
		stored.ClientSecret = &sealed
	}
	updated, err := c.store.UpdateConnection(ctx, tenant, id, stored)
	return updated, wrap("update connection", err)
}

// Delete removes a tenant's connection: from then on nobody signs in through it. It
// returns ErrNotFound if the tenant has none with that ID.
func (c *Connections) Delete(ctx context.Context, tenant identity.TenantID, id ConnectionID) error {
	return wrap("delete connection", c.store.DeleteConnection(ctx, tenant, id))
}

// lookupTimeout bounds the look at the DNS, which a caller waits for.
const lookupTimeout = 10 * time.Second

// Verify looks for the DNS record that proves a domain of a tenant's connection, and
// keeps that it was there: without it a tenant could claim a domain of others and have
// their people sign in at its own provider. It returns ErrDomainUnverified if the record
// is not there, ErrDomainTaken if another connection has verified the domain and its
// record is there too, ErrUnavailable if the DNS does not answer, and ErrNotFound if there
// is no such connection or domain. Another one whose record is gone loses the domain.
func (c *Connections) Verify(ctx context.Context, tenant identity.TenantID, id ConnectionID, domain string) (Connection, error) {
	proven, err := c.Prove(ctx, tenant, id, domain)
	if err != nil {
		return Connection{}, err
	}
	return c.Keep(ctx, tenant, id, proven)
}

// Prove is the first half of [Connections.Verify], which waits for the DNS and keeps
// nothing: it returns what [Connections.Keep] is to keep. A domain that is verified already
// is not looked for.
func (c *Connections) Prove(ctx context.Context, tenant identity.TenantID, id ConnectionID, domain string) (Proof, error) {
	proven, err := c.prove(ctx, tenant, id, domain)
	return proven, wrap("prove domain", err)
}

// Keep is the second half of [Connections.Verify], for a transaction: it keeps that a
// domain was proved, unless it has another token by now.
func (c *Connections) Keep(ctx context.Context, tenant identity.TenantID, id ConnectionID, proven Proof) (Connection, error) {
	verified, err := c.store.VerifyDomain(ctx, tenant, id, proven, c.now())
	return verified, wrap("verify domain", err)
}

func (c *Connections) prove(ctx context.Context, tenant identity.TenantID, id ConnectionID, name string) (Proof, error) {
	canonical, err := identity.CanonicalDomain(name)
	if err != nil {
		return Proof{}, ErrNotFound // no connection has such a domain
	}
	found, err := c.get(ctx, tenant, id)
	if err != nil {
		return Proof{}, err
	}
	domain, err := found.domain(canonical)
	if err != nil || !domain.VerifiedAt.IsZero() {
		return Proof{Domain: domain}, err
	}
	records, err := c.lookUp(ctx, domain)
	if err != nil {
		return Proof{}, err
	}
	if !slices.Contains(records, domain.RecordValue()) {
		return Proof{}, ErrDomainUnverified
	}
	from, err := c.outdated(ctx, canonical, records)
	return Proof{domain, from}, err
}

// outdated returns the connection that has verified a domain and is not in its records any
// more, 0 if nobody has verified it, and ErrDomainTaken if the connection still is: both
// lie under one name, so whoever answers for the domain has decided between them.
func (c *Connections) outdated(ctx context.Context, domain string, records []string) (ConnectionID, error) {
	holder, err := c.store.FindByDomain(ctx, domain)
	if errors.Is(err, ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	held, err := holder.domain(domain)
	if err == nil && slices.Contains(records, held.RecordValue()) {
		err = ErrDomainTaken
	}
	return holder.ID, err
}

// lookUp returns the texts that the DNS has for the record of a domain.
func (c *Connections) lookUp(ctx context.Context, domain Domain) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	texts, err := c.opts.TXT.LookupTXT(ctx, domain.RecordName()+".") // with the dot, no search domain is tried
	var dns *net.DNSError
	if errors.As(err, &dns) && dns.IsNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fault.Opaque(ErrUnavailable, err)
	}
	return texts, nil
}

// Holder returns the connection that has verified a canonical domain, or ErrNotFound if
// there is none.
func (c *Connections) Holder(ctx context.Context, domain string) (Connection, error) {
	found, err := c.store.FindByDomain(ctx, domain)
	return found, wrap("find holder", err)
}

// Drop takes a canonical domain from a tenant's connection that has verified it, and its
// claim with it: who claims it again has to prove it by another token. It returns the
// connection as it was, or ErrNotFound if it has not verified the domain. Call it with
// a store of a transaction that holds the tenant, or it may undo what others change.
func (c *Connections) Drop(ctx context.Context, tenant identity.TenantID, id ConnectionID, domain string) (Connection, error) {
	before, err := c.drop(ctx, tenant, id, domain)
	return before, wrap("drop domain", err)
}

func (c *Connections) drop(ctx context.Context, tenant identity.TenantID, id ConnectionID, domain string) (Connection, error) {
	before, err := c.get(ctx, tenant, id)
	if err != nil {
		return Connection{}, err
	}
	if !before.Speaks(domain) {
		return Connection{}, ErrNotFound
	}
	rest := slices.DeleteFunc(slices.Clone(before.Domains), func(d Domain) bool { return d.Name == domain })
	_, err = c.store.UpdateConnection(ctx, tenant, id, Change{Domains: &rest})
	return before, err
}

// Secret returns the client secret of a connection.
func (c *Connections) Secret(connection Connection) (string, error) {
	secret, err := c.sealer.Open(connection.ClientSecret, aad(connection.ID))
	return string(secret), wrap("open client secret", err)
}

// aad ties a sealed secret to its place, so that it opens nowhere else.
func aad(id ConnectionID) []byte {
	return []byte("levqor_sso_connection|client_secret|" + id.String())
}

// get returns a tenant's connection.
func (c *Connections) get(ctx context.Context, tenant identity.TenantID, id ConnectionID) (Connection, error) {
	found, err := c.store.FindConnection(ctx, id)
	if err == nil && found.Tenant != tenant {
		err = ErrNotFound
	}
	if err != nil {
		return Connection{}, err
	}
	return found, nil
}

// newDomain returns a domain with a token of 128 random bits.
func newDomain(name string) Domain { return Domain{Name: name, Token: rand.Text()} }

func (c *Connections) now() time.Time {
	if c.opts.Now == nil {
		return time.Time{}
	}
	return c.opts.Now()
}

// instant is now where it decides nothing but where a row lies.
func (c *Connections) instant() time.Time {
	if now := c.now(); !now.IsZero() {
		return now
	}
	return time.Now() //nolint:forbidigo // see above
}
