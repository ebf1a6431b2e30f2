package oidclogin

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/levqor/sdk/levqor/sso"
)

// provider is what discovery tells of an issuer.
type provider struct {
	*oidc.Provider
	metadata
	keys oidc.KeySet
}

// metadata is of OpenID Connect Discovery 1.0, section 3, and of RFC 9207, section 3.
type metadata struct {
	Issuer      string   `json:"issuer"`
	AuthURL     string   `json:"authorization_endpoint"`
	TokenURL    string   `json:"token_endpoint"`
	KeysURL     string   `json:"jwks_uri"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	SigningAlgs []string `json:"id_token_signing_alg_values_supported"`
	NamesItself bool     `json:"authorization_response_iss_parameter_supported"`
}

// config returns the service as a client of the provider.
func (p *provider) config(c sso.Connection, secret, callback string) *oauth2.Config {
	endpoint := p.Endpoint()
	endpoint.AuthStyle = oauth2.AuthStyleInHeader // what a provider supports that does not tell
	if len(p.AuthMethods) > 0 && !slices.Contains(p.AuthMethods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	return &oauth2.Config{
		ClientID: c.ClientID, ClientSecret: secret, Endpoint: endpoint, RedirectURL: callback,
		Scopes: []string{oidc.ScopeOpenID, "email", "profile"},
	}
}

// checkCallback refuses the answer of another provider, which might have the browser bring
// it a code of this one (RFC 9207), and answers without a code.
func (p *provider) checkCallback(c Callback) error {
	switch {
	case c.Issuer == "" && p.NamesItself:
		return cause("the provider did not name itself in the callback")
	case c.Issuer != "" && c.Issuer != p.Issuer:
		return cause("the callback is of another provider")
	case c.Error != "":
		return cause("the provider answered with " + errorCode(c.Error))
	case c.Code == "":
		return cause("the callback has no code")
	default:
		return nil
	}
}

// redeem returns what the provider says for a code and when somebody proved who they are, nil
// if it does not say, or at which step it failed.
func (p *RelyingParty) redeem(ctx context.Context, provider *provider, config *oauth2.Config, f flow, code string) (sso.Claims, *float64, string, error) {
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := config.Exchange(ctx, code, oauth2.VerifierOption(f.verifier()))
	if err != nil {
		return sso.Claims{}, nil, "token", err
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return sso.Claims{}, nil, "token", cause("the provider gave no ID token")
	}
	verified, err := provider.verify(ctx, raw, &oidc.Config{ClientID: config.ClientID, Now: p.opts.Now, SupportedSigningAlgs: provider.algorithms()})
	if err != nil {
		return sso.Claims{}, nil, "ID token", err
	}
	if !equal(verified.Nonce, f.nonce()) {
		return sso.Claims{}, nil, "ID token", cause("the ID token has another nonce")
	}
	var said claims
	if err := verified.Claims(&said); err != nil {
		return sso.Claims{}, nil, "ID token", cause("the claims cannot be read")
	}
	if err := p.checkClaims(said, verified.Audience, config.ClientID); err != nil {
		return sso.Claims{}, nil, "ID token", err
	}
	result := said.of(sso.Claims{Subject: verified.Subject, Hosted: said.Hosted, Name: said.Name, MFA: said.mfa()})
	if result.Email == "" && provider.UserInfoEndpoint() != "" {
		result, step, err := provider.askFor(ctx, token, result)
		return result, said.AuthTime, step, err
	}
	return result, said.AuthTime, "", nil
}

// untold is the age of a proof of which a provider says nothing that was told to ask anew.
const untold = 365 * 24 * time.Hour

// age is how long ago somebody proved who they are, in a flow of a maximal age, 0 for none. A
// provider that need not tell and does not is taken to have asked just now: its people come
// from there, and most providers never tell.
func (p *RelyingParty) age(authTime *float64, maxAge time.Duration) time.Duration {
	switch {
	case authTime != nil:
		return max(0, p.opts.Now().Sub(time.Unix(int64(*authTime), 0)))
	case maxAge > 0:
		return untold
	default:
		return 0
	}
}

// algorithms returns those that the provider signs with and that have a public key: neither
// none nor HMAC, whose key would be the client secret. Without any it is RS256, which all
// providers have (OpenID Connect Core 1.0, section 15.1).
func (p *provider) algorithms() []string {
	return slices.DeleteFunc(slices.Clone(p.SigningAlgs), func(alg string) bool { return !slices.Contains(publicAlgs, alg) })
}

var publicAlgs = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA}

// verify checks an ID token. It returns why keys could not be had where that is the reason,
// which package oidc keeps to itself.
func (p *provider) verify(ctx context.Context, raw string, config *oidc.Config) (*oidc.IDToken, error) {
	keys := &watchedKeys{KeySet: p.keys}
	verified, err := oidc.NewVerifier(p.Issuer, keys, config).Verify(ctx, raw)
	if err != nil && keys.err != nil {
		return nil, keys.err
	}
	return verified, err
}

// watchedKeys keep the last error of a key set.
type watchedKeys struct {
	oidc.KeySet
	err error
}

// VerifySignature implements [oidc.KeySet].
func (k *watchedKeys) VerifySignature(ctx context.Context, jwt string) ([]byte, error) {
	payload, err := k.KeySet.VerifySignature(ctx, jwt)
	k.err = err
	return payload, err
}

// askFor asks the provider for the address of somebody, which it need not put into the ID
// token (OpenID Connect Core 1.0, section 5.4).
func (p *provider) askFor(ctx context.Context, token *oauth2.Token, about sso.Claims) (sso.Claims, string, error) {
	info, err := p.UserInfo(ctx, oauth2.StaticTokenSource(token))
	if err != nil {
		return sso.Claims{}, "userinfo", err
	}
	if info.Subject != about.Subject {
		return sso.Claims{}, "userinfo", cause("the user info is about another subject")
	}
	var said address
	if err := info.Claims(&said); err != nil {
		return sso.Claims{}, "userinfo", cause("the user info cannot be read")
	}
	return said.of(about), "", nil
}

// address is what a provider says of somebody's e-mail address.
type address struct {
	Email    string `json:"email"`
	Verified truth  `json:"email_verified"`
}

// of puts it into claims.
func (a address) of(about sso.Claims) sso.Claims {
	about.Email, about.EmailVerified, about.EmailUntold = a.Email, a.Verified.yes, !a.Verified.told
	return about
}

// claims are those of an ID token that package oidc does not read.
type claims struct {
	address
	Name     string   `json:"name"`
	Hosted   string   `json:"hd"` // Google's
	Party    string   `json:"azp"`
	AuthTime *float64 `json:"auth_time"`
	Context  string   `json:"acr"`
	Methods  words    `json:"amr"`
}

// maxSkew is how far the clock of a provider may be off.
const maxSkew = time.Minute

// checkClaims checks what package oidc does not: for whom the token was made (OpenID Connect
// Core 1.0, section 3.1.3.7), and when somebody has entered their password.
func (p *RelyingParty) checkClaims(c claims, audience []string, clientID string) error {
	if c.Party != "" && c.Party != clientID || c.Party == "" && len(audience) > 1 {
		return cause("the ID token was made for another party")
	}
	if p.opts.MaxAge <= 0 {
		return nil
	}
	if c.AuthTime == nil || p.opts.Now().Sub(time.Unix(int64(*c.AuthTime), 0)) > p.opts.MaxAge+maxSkew {
		return cause("the sign-in at the provider is too old")
	}
	return nil
}

// What providers call a sign-in with a second factor: contexts in use, and the method "mfa"
// of RFC 8176, section 2. Otherwise something that somebody has must come with something
// that they know or are: each alone is one factor.
var (
	mfaContexts = []string{"https://refeds.org/profile/mfa", "http://schemas.openid.net/pape/policies/2007/06/multi-factor", mfaMethod}
	possession  = []string{"otp", "hwk"}
	personal    = []string{"pwd", "pin", "fpt", "face"}
)

const mfaMethod = "mfa"

// mfa reports whether the provider has checked a second factor.
func (c claims) mfa() bool {
	has := func(of []string) bool {
		return slices.ContainsFunc(c.Methods, func(m string) bool { return slices.Contains(of, m) })
	}
	return slices.Contains(mfaContexts, c.Context) || slices.Contains(c.Methods, mfaMethod) || has(possession) && has(personal)
}

// truth is a boolean, which some providers write as a text and others leave out.
type truth struct{ told, yes bool }

// UnmarshalJSON implements [json.Unmarshaler]. Null says nothing; what is neither true nor
// nothing is false.
func (t *truth) UnmarshalJSON(raw []byte) error {
	text := string(raw)
	*t = truth{told: text != "null", yes: text == "true" || text == `"true"`}
	return nil
}

// words are texts, of which some providers write a single one without a list.
type words []string

// UnmarshalJSON implements [json.Unmarshaler].
func (w *words) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(w))
}
