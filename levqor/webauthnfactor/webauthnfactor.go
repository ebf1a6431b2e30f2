// Package webauthnfactor holds the ceremonies of passkeys (WebAuthn level 3): the one
// that makes a passkey and the one that signs in with it. What they need to remember is
// in the store of package factor, with the passkeys.
//
//	rp, err := webauthnfactor.New(factors, &webauthnfactor.Options{
//		RPID: "example.com", Origins: []string{"https://app.example.com"}, DisplayName: "Engines",
//	})
//	token, options, err := rp.BeginRegistration(ctx, webauthnfactor.Account{User: ada, Name: "ada@example.com"})
//	// in the browser: navigator.credentials.create({publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options)})
//	passkey, err := rp.FinishRegistration(ctx, ada, token, "My phone", response)
//
//	token, options, err = rp.BeginLogin(ctx)
//	// navigator.credentials.get({publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options)})
//	passkey, err = rp.FinishLogin(ctx, token, response)
//	signIn(passkey.User)
//
// The authenticator must have verified its user, by a finger, a face or a PIN, so a
// passkey is two factors in one. Which models of authenticators people use is not asked.
package webauthnfactor

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// Options say for whom passkeys are made. All are required.
type Options struct {
	// RPID is the relying party ID: the domain of the service, or one above it. Passkeys
	// are bound to it for ever. Addresses of machines cannot be one; "localhost" can.
	RPID string
	// Origins are where the pages of the service are, such as "https://app.example.com":
	// on the domain of RPID or below it, by https, or by http on localhost.
	Origins []string
	// DisplayName is what authenticators call the service.
	DisplayName string
}

// RelyingParty holds ceremonies of passkeys. It is safe for concurrent use.
type RelyingParty struct {
	factors  *factor.Factors
	webauthn *webauthn.WebAuthn
}

// New returns a relying party that keeps passkeys in factors. It returns an ErrInvalid
// about "/rp_id", "/origins" or "/display_name".
func New(factors *factor.Factors, opts *Options) (*RelyingParty, error) {
	if err := opts.validate(); err != nil {
		return nil, fmt.Errorf("webauthnfactor: new: %w", err)
	}
	life := webauthn.TimeoutConfig{Timeout: factor.CeremonyTTL, TimeoutUVD: factor.CeremonyTTL}
	w, err := webauthn.New(&webauthn.Config{
		RPID: opts.RPID, RPDisplayName: opts.DisplayName, RPOrigins: slices.Clone(opts.Origins),
		AttestationPreference: protocol.PreferNoAttestation,
		AuthenticatorSelection: protocol.AuthenticatorSelection{
			ResidentKey: protocol.ResidentKeyRequirementRequired, RequireResidentKey: protocol.ResidentKeyRequired(),
			UserVerification: protocol.VerificationRequired,
		},
		Timeouts: webauthn.TimeoutsConfig{Login: life, Registration: life},
		// Some password managers answer with extensions that nobody asked for; none is used here.
		ExtensionsUnsolicitedOutputPolicy: protocol.UnsolicitedOutputPolicyIgnore,
	})
	if err != nil {
		return nil, fmt.Errorf("webauthnfactor: new: %w", fault.Opaque(fault.Invalid("/rp_id", "invalid_format", "must be a domain"), err))
	}
	return &RelyingParty{factors: factors, webauthn: w}, nil
}

func (o *Options) validate() error {
	if err := protocol.ValidateRPID(o.RPID); err != nil {
		return fault.Invalid("/rp_id", "invalid_format", "must be a domain")
	}
	if o.DisplayName == "" {
		return fault.Invalid("/display_name", "required", "must be given")
	}
	if len(o.Origins) == 0 {
		return fault.Invalid("/origins", "required", "must hold at least one")
	}
	for i, origin := range o.Origins {
		if !isOrigin(origin, o.RPID) {
			return fault.Invalid(fmt.Sprintf("/origins/%d", i), "invalid_format", "must be an origin on the domain of the relying party, by https or on localhost")
		}
	}
	return nil
}

// isOrigin reports whether a text is an origin that browsers allow passkeys of a domain
// on: its own, those below it, and by http on localhost alone.
func isOrigin(text, rpID string) bool {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || text != u.Scheme+"://"+u.Host {
		return false
	}
	host := u.Hostname()
	secure := u.Scheme == "https" || u.Scheme == "http" && (host == "localhost" || strings.HasSuffix(host, ".localhost"))
	return secure && (host == rpID || strings.HasSuffix(host, "."+rpID))
}

// Account is a user as the library and authenticators see one.
type Account struct {
	// User is whose passkey it will be.
	User identity.UserID
	// Name tells the user's accounts apart, such as an address. Required.
	Name string
	// DisplayName is what the user is called. Default: Name.
	DisplayName string
}

// account is a user with the passkeys that count in a ceremony.
type account struct {
	Account
	passkeys []factor.Passkey
}

var _ webauthn.User = account{}

// handle returns what authenticators keep of a user and tell at a login: nothing that says
// who it is (WebAuthn, section 14.6.1).
func handle(user identity.UserID) []byte { return []byte(user.String()) }

// WebAuthnID implements [webauthn.User].
func (a account) WebAuthnID() []byte { return handle(a.User) }

// WebAuthnName implements [webauthn.User].
func (a account) WebAuthnName() string { return a.Name }

// WebAuthnDisplayName implements [webauthn.User].
func (a account) WebAuthnDisplayName() string {
	if a.DisplayName == "" {
		return a.Name
	}
	return a.DisplayName
}

// WebAuthnCredentials implements [webauthn.User].
func (a account) WebAuthnCredentials() []webauthn.Credential {
	all := make([]webauthn.Credential, len(a.passkeys))
	for i, p := range a.passkeys {
		all[i] = webauthn.Credential{
			ID: p.ID, PublicKey: p.PublicKey, Transport: transports(p.Transports),
			Flags:         webauthn.CredentialFlags{UserPresent: true, UserVerified: true, BackupEligible: p.BackupEligible, BackupState: p.BackedUp},
			Authenticator: webauthn.Authenticator{AAGUID: p.AAGUID[:], SignCount: p.SignCount},
		}
	}
	return all
}

func transports(names []string) []protocol.AuthenticatorTransport {
	var all []protocol.AuthenticatorTransport
	for _, name := range names {
		all = append(all, protocol.AuthenticatorTransport(name))
	}
	return all
}

// known are the transports that browsers know; others, which a client could make up, are
// not kept.
var known = []protocol.AuthenticatorTransport{
	protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal,
}

// passkey returns what is kept of a new credential.
func passkey(user identity.UserID, name string, c *webauthn.Credential) factor.Passkey {
	p := factor.Passkey{
		ID: c.ID, User: user, Name: name, PublicKey: c.PublicKey, SignCount: c.Authenticator.SignCount,
		BackupEligible: c.Flags.BackupEligible, BackedUp: c.Flags.BackupState,
	}
	copy(p.AAGUID[:], c.Authenticator.AAGUID)
	for _, t := range known {
		if slices.Contains(c.Transport, t) {
			p.Transports = append(p.Transports, string(t))
		}
	}
	return p
}

// encode writes what is a value of the library's own, which always can be written.
func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return text
}
