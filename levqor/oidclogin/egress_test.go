package oidclogin_test

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/oidclogin"
	"github.com/levqor/sdk/levqor/sso"
)

// strict returns a relying party that is allowed no private networks and no http.
func (w *world) strict() *oidclogin.RelyingParty {
	w.Helper()
	party, err := oidclogin.New(w.app, callbackURL, &oidclogin.Options{Logger: slog.New(slog.NewTextHandler(&w.log, nil))})
	if err != nil {
		w.Fatal(err)
	}
	return party
}

// issued stores a connection of an issuer.
func (w *world) issued(issuer string, domains ...string) sso.Connection {
	w.Helper()
	made, err := w.app.SSO.Create(w.Context(), w.tenant.ID, sso.NewConnection{Issuer: issuer, ClientID: clientID, ClientSecret: clientSecret, Domains: domains, Role: identity.RoleMember})
	if err != nil {
		w.Fatal(err)
	}
	return made
}

func TestPrivateNetworksAreOutOfReach(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	var connections atomic.Int32
	server := httptest.NewUnstartedServer(w.fake)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	_, _, err := w.strict().Begin(t.Context(), w.issued(server.URL).ID, "/")
	if !errors.Is(err, oidclogin.ErrProviderUnavailable) || !strings.Contains(w.log.String(), "the host's address is not public") || connections.Load() > 0 {
		t.Errorf("Begin = %v after %d connections and the log has %s; want the address refused before", err, connections.Load(), w.log.String())
	}
}

func TestWithoutTLSNothingIsReached(t *testing.T) {
	w := newWorld(t, oidclogin.Options{})
	_, _, err := w.strict().Begin(t.Context(), w.conn.ID, "/")
	if !errors.Is(err, oidclogin.ErrProviderUnavailable) || !strings.Contains(w.log.String(), "not an https URL") || len(w.fake.asked) > 0 {
		t.Errorf("Begin = %v, the provider was asked %v and the log has %s", err, w.fake.asked, w.log.String())
	}
}

// within answers for all hosts by a handler, without a network.
type within struct{ http.Handler }

// RoundTrip implements [http.RoundTripper].
func (h within) RoundTrip(r *http.Request) (*http.Response, error) {
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

func TestMetadataLeadToNothingWithoutTLS(t *testing.T) {
	for _, endpoint := range []string{"", "authorization_endpoint", "token_endpoint", "jwks_uri"} {
		t.Run("plain "+endpoint, func(t *testing.T) {
			w := newWorld(t, oidclogin.Options{})
			const issuer = "https://login.acme.example"
			w.fake.metadata = map[string]any{
				"issuer": issuer, "authorization_endpoint": issuer + "/authorize", "token_endpoint": issuer + "/token", "jwks_uri": issuer + "/keys",
			}
			if endpoint != "" {
				w.fake.metadata[endpoint] = "http://login.acme.example/plain"
			}
			party := w.strict()
			oidclogin.Reach(party, within{w.fake})
			_, _, err := party.Begin(t.Context(), w.issued(issuer).ID, "/")
			if endpoint == "" {
				if err != nil {
					t.Errorf("Begin = %v; the log has %s", err, w.log.String())
				}
				return
			}
			if !errors.Is(err, oidclogin.ErrProviderUnavailable) || !strings.Contains(w.log.String(), "not an https URL") {
				t.Errorf("Begin = %v and the log has %s; want the endpoint refused", err, w.log.String())
			}
		})
	}
}
