package webauthnfactor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/identity"
)

// maxResponse bounds what a browser answers, in bytes; keys and signatures are far smaller.
const maxResponse = 64 << 10

// defaultName is that of a passkey whose user gives none.
const defaultName = "Passkey"

// BeginRegistration begins to make a passkey for a user, on an authenticator that has
// none of theirs. It returns a token for [RelyingParty.FinishRegistration], which the
// browser keeps within [factor.CeremonyTTL], and the options for the browser
// (PublicKeyCredentialCreationOptionsJSON). It returns ErrTooManyPasskeys, and ErrNotFound
// if there is no such user.
func (r *RelyingParty) BeginRegistration(ctx context.Context, user Account) (token string, options []byte, err error) {
	passkeys, err := r.factors.Passkeys(ctx, user.User)
	if err == nil && len(passkeys) >= factor.MaxPasskeys {
		err = factor.ErrTooManyPasskeys
	}
	if err != nil {
		return "", nil, wrap("begin registration", err)
	}
	who := account{user, passkeys}
	var taken []protocol.CredentialDescriptor
	for _, c := range who.WebAuthnCredentials() {
		taken = append(taken, c.Descriptor())
	}
	creation, session, err := r.webauthn.BeginRegistration(who, webauthn.WithExclusions(taken))
	if err != nil {
		return "", nil, wrap("begin registration", err)
	}
	token, err = r.begin(ctx, factor.Registration, user.User, session)
	return token, encode(creation.Response), wrap("begin registration", err)
}

// FinishRegistration checks what a browser answered (RegistrationResponseJSON) and keeps
// the passkey under a name, or "Passkey" for an empty one. The token is used up by the
// call, whatever comes of it. It returns ErrCeremonyOver, also if another user began,
// ErrPasskeyRefused, ErrPasskeyTaken, ErrTooManyPasskeys and an ErrInvalid about "/name".
func (r *RelyingParty) FinishRegistration(ctx context.Context, user identity.UserID, token, name string, response []byte) (factor.Passkey, error) {
	ceremony, session, err := r.end(ctx, token, factor.Registration)
	if err == nil && ceremony.User != user {
		err = factor.ErrCeremonyOver
	}
	if err != nil {
		return factor.Passkey{}, wrap("finish registration", err)
	}
	credential, err := r.create(user, session, response)
	if err != nil {
		return factor.Passkey{}, wrap("finish registration", refused(err))
	}
	added, err := r.factors.AddPasskey(ctx, passkey(user, cmp.Or(name, defaultName), credential))
	return added, wrap("finish registration", err)
}

// BeginLogin begins to sign in whoever has a passkey of the service. It returns a token
// for [RelyingParty.FinishLogin] and the options for the browser
// (PublicKeyCredentialRequestOptionsJSON).
func (r *RelyingParty) BeginLogin(ctx context.Context) (token string, options []byte, err error) {
	assertion, session, err := r.webauthn.BeginDiscoverableLogin()
	if err != nil {
		return "", nil, wrap("begin login", err)
	}
	token, err = r.begin(ctx, factor.Login, 0, session)
	return token, encode(assertion.Response), wrap("begin login", err)
}

// BeginVerification does the same for one user, who is known by another factor already.
// It returns ErrNotFound if the user has no passkey.
func (r *RelyingParty) BeginVerification(ctx context.Context, user identity.UserID) (token string, options []byte, err error) {
	passkeys, err := r.factors.Passkeys(ctx, user)
	if err == nil && len(passkeys) == 0 {
		err = factor.ErrNotFound
	}
	if err != nil {
		return "", nil, wrap("begin verification", err)
	}
	assertion, session, err := r.webauthn.BeginLogin(account{Account{User: user}, passkeys})
	if err != nil {
		return "", nil, wrap("begin verification", err)
	}
	token, err = r.begin(ctx, factor.Login, user, session)
	return token, encode(assertion.Response), wrap("begin verification", err)
}

// FinishLogin checks what a browser answered (AuthenticationResponseJSON) to
// [RelyingParty.BeginLogin] or [RelyingParty.BeginVerification] and returns the passkey
// that was used, whose User it is. Whether that user may sign in is for the caller to
// ask. The token is used up by the call, whatever comes of it. It returns ErrCeremonyOver
// and ErrPasskeyRefused; if that is an ErrCloned, it returns the passkey too, for the
// security log.
func (r *RelyingParty) FinishLogin(ctx context.Context, token string, response []byte) (factor.Passkey, error) {
	ceremony, session, err := r.end(ctx, token, factor.Login)
	if err != nil {
		return factor.Passkey{}, wrap("finish login", err)
	}
	answer, err := parse(response, protocol.ParseCredentialRequestResponseBytes)
	if err != nil {
		return factor.Passkey{}, wrap("finish login", refused(err))
	}
	used, err := r.factors.FindPasskey(ctx, answer.RawID)
	if errors.Is(err, factor.ErrNotFound) || err == nil && ceremony.User != 0 && ceremony.User != used.User {
		err = refused(errors.New("not a passkey of this user"))
	}
	if err != nil {
		return factor.Passkey{}, wrap("finish login", err)
	}
	if err := r.verify(ctx, ceremony, used.User, session, answer); err != nil {
		return factor.Passkey{}, wrap("finish login", err)
	}
	data := answer.Response.AuthenticatorData
	now, err := r.factors.UsePasskey(ctx, used.User, used.ID, factor.PasskeyUse{SignCount: data.Counter, BackedUp: data.Flags.HasBackupState()})
	switch {
	case errors.Is(err, factor.ErrNotFound):
		return factor.Passkey{}, wrap("finish login", refused(errors.New("removed meanwhile")))
	case errors.Is(err, factor.ErrCloned):
		return used, wrap("finish login", err)
	default:
		return now, wrap("finish login", err)
	}
}

// verify checks an answer against the passkeys of the user whose it is.
func (r *RelyingParty) verify(
	ctx context.Context, ceremony factor.Ceremony, user identity.UserID, session webauthn.SessionData, answer *protocol.ParsedCredentialAssertionData,
) error {
	passkeys, err := r.factors.Passkeys(ctx, user)
	if err != nil {
		return err
	}
	who := account{Account{User: user}, passkeys}
	if ceremony.User != 0 {
		_, err = r.webauthn.ValidateLogin(who, session, answer)
	} else {
		_, _, err = r.webauthn.ValidatePasskeyLogin(func([]byte, []byte) (webauthn.User, error) { return who, nil }, session, answer)
	}
	return refused(err)
}

func (r *RelyingParty) create(user identity.UserID, session webauthn.SessionData, response []byte) (*webauthn.Credential, error) {
	answer, err := parse(response, protocol.ParseCredentialCreationResponseBytes)
	if err != nil {
		return nil, err
	}
	return r.webauthn.CreateCredential(account{Account: Account{User: user}}, session, answer)
}

// begin stores what must be known when the answer comes.
func (r *RelyingParty) begin(ctx context.Context, purpose factor.CeremonyPurpose, user identity.UserID, session *webauthn.SessionData) (token string, err error) {
	return r.factors.BeginCeremony(ctx, factor.Ceremony{User: user, Purpose: purpose, Data: encode(session)})
}

func (r *RelyingParty) end(ctx context.Context, token string, purpose factor.CeremonyPurpose) (factor.Ceremony, webauthn.SessionData, error) {
	var session webauthn.SessionData
	ceremony, err := r.factors.EndCeremony(ctx, token, purpose)
	if err == nil {
		err = json.Unmarshal(ceremony.Data, &session)
	}
	return ceremony, session, err
}

func parse[T any](response []byte, read func([]byte) (T, error)) (answer T, err error) {
	if len(response) > maxResponse {
		return answer, errors.New("the response is too long")
	}
	return read(response)
}

// refused says no more than ErrPasskeyRefused, and keeps the reason for the operator's log.
func refused(reason error) error {
	if reason == nil {
		return nil
	}
	return fault.Opaque(factor.ErrPasskeyRefused, reason)
}

func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("webauthnfactor: %s: %w", op, err)
}
