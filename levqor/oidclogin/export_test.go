package oidclogin

import (
	"context"
	"net/http"
)

// MaxProviders is how many are remembered.
const MaxProviders = maxProviders

// Reach has a relying party reach providers by a transport, in the place of the one that
// connects. What the party checks before and after stays.
func Reach(p *RelyingParty, by http.RoundTripper) {
	p.client.Transport.(*bounded).next = by
}

// Discover asks an issuer as a sign-in does.
func Discover(ctx context.Context, p *RelyingParty, issuer string) { _, _ = p.provider(ctx, issuer) }

// Known is how many issuers are remembered.
func Known(p *RelyingParty) int { return len(p.known) }
