package oidclogin

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// How long and how many providers are remembered. A failure is, since each try may take as
// long as [Options.Timeout] says and anybody can cause one.
const (
	providerTTL  = time.Hour
	failureTTL   = 10 * time.Second
	maxStale     = 24 * time.Hour // while the provider does not answer
	maxProviders = 1000
)

// discovery is what is known of an issuer. The lock of the relying party guards it.
type discovery struct {
	found *provider     // the last one; nil if there was none
	since time.Time     // of found
	err   error         // of the last try
	next  time.Time     // when to ask again
	asked chan struct{} // closed when the answer is there; nil while nobody asks
}

// answer returns the last answer, or the one before as long as that counts.
func (d *discovery) answer(now time.Time) (*provider, error) {
	if d.found != nil && (d.err == nil || now.Before(d.since.Add(maxStale))) {
		return d.found, nil
	}
	return nil, d.err
}

func (d *discovery) keep(found *provider, err error, now time.Time) {
	d.err, d.next = err, now.Add(failureTTL)
	if err == nil {
		d.found, d.since, d.next = found, now, now.Add(providerTTL)
	}
}

// provider returns what discovery tells of an issuer. Of callers at once one asks, whose
// leaving does not keep the answer from the others.
func (p *RelyingParty) provider(ctx context.Context, issuer string) (*provider, error) {
	for {
		now := p.opts.Now()
		p.mu.Lock()
		d := p.known[issuer]
		if d == nil {
			d = p.remember(issuer)
		}
		if now.Before(d.next) {
			defer p.mu.Unlock()
			return d.answer(now)
		}
		asked := d.asked
		if asked == nil {
			d.asked = make(chan struct{})
			p.mu.Unlock()
			return p.ask(context.WithoutCancel(ctx), issuer, d)
		}
		p.mu.Unlock()
		select {
		case <-asked:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// ask asks a provider and tells those who wait.
func (p *RelyingParty) ask(ctx context.Context, issuer string, d *discovery) (*provider, error) {
	found, err := p.discover(ctx, issuer)
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.opts.Now()
	d.keep(found, err, now)
	close(d.asked)
	d.asked = nil
	found, failed := d.answer(now)
	if err != nil && failed == nil {
		p.opts.Logger.WarnContext(ctx, "oidclogin: a provider does not answer, and what it said before is used",
			slog.String("issuer", issuer), slog.String("reason", reason("discovery", err)))
	}
	return found, failed
}

// remember makes room for an issuer: where there is none, that goes which would be asked
// again soonest, and never one that somebody asks.
func (p *RelyingParty) remember(issuer string) *discovery {
	for len(p.known) >= maxProviders {
		soonest, found := "", false
		for name, d := range p.known {
			if d.asked == nil && (!found || d.next.Before(p.known[soonest].next)) {
				soonest, found = name, true
			}
		}
		if !found {
			break
		}
		delete(p.known, soonest)
	}
	d := &discovery{}
	p.known[issuer] = d
	return d
}

func (p *RelyingParty) discover(ctx context.Context, issuer string) (*provider, error) {
	found := &provider{}
	var err error
	if found.Provider, err = oidc.NewProvider(oidc.ClientContext(ctx, p.client), issuer); err != nil {
		return nil, err
	}
	if err := found.Claims(&found.metadata); err != nil {
		return nil, cause("the metadata cannot be read")
	}
	for _, endpoint := range []string{found.AuthURL, found.TokenURL, found.KeysURL} {
		if u, err := url.Parse(endpoint); err != nil || !p.opts.secure(u) {
			return nil, errScheme
		}
	}
	found.keys = oidc.NewRemoteKeySet(oidc.ClientContext(ctx, p.client), found.KeysURL)
	return found, nil
}
