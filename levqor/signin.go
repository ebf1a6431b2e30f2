package levqor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

// PublicURL is where people find the service, without a slash at its end; see
// [Options.PublicURL].
func (a *App) PublicURL() string { return a.publicURL.String() }

// BeginLogin makes a flow for an address and has a link and a code mailed to it, both in one
// transaction. Nobody is looked up: for an address that is known, unknown or disabled the
// work and the answer are the same, and the job decides whether mail goes out. So Secret,
// Code and Mailed are empty in the flow that it returns. It returns an ErrInvalid that
// names each wrong field, ErrNoMailer where [Options.Mailer] is not set, and
// ErrProviderRequired for a domain whose people sign in elsewhere.
func (a *App) BeginLogin(ctx context.Context, email string, from login.Device) (login.Flow, error) {
	if a.opts.Mailer == nil {
		return login.Flow{}, fmt.Errorf("levqor: begin login: %w", ErrNoMailer)
	}
	address, err := identity.ParseEmail(email)
	if err != nil {
		return login.Flow{}, fmt.Errorf("levqor: begin login: %w", err)
	}
	connection, err := a.requiredFor(ctx, address)
	if err == nil && connection != nil {
		err = ErrProviderRequired
	}
	if err != nil {
		return login.Flow{}, fmt.Errorf("levqor: begin login: %w", err)
	}
	return a.mailLogin(ctx, address, from, false)
}

// BeginOwnerLogin is [App.BeginLogin] for addresses of a domain whose people sign in
// elsewhere too: the way back in where that provider is out of order. The job mails those
// who own the tenant that demands it or the service, or are members of other tenants alone, and
// nobody else of the domain; for all of them the
// work and the answer are the same.
func (a *App) BeginOwnerLogin(ctx context.Context, email string, from login.Device) (login.Flow, error) {
	if a.opts.Mailer == nil {
		return login.Flow{}, fmt.Errorf("levqor: begin login: %w", ErrNoMailer)
	}
	address, err := identity.ParseEmail(email)
	if err != nil {
		return login.Flow{}, fmt.Errorf("levqor: begin login: %w", err)
	}
	return a.mailLogin(ctx, address, from, false)
}

// BeginProof is [App.BeginLogin] for somebody who has signed in by a tenant's identity
// provider alone, and has to show their mailbox for what counts in other tenants too: it mails
// their address whether or not a provider is required for it. The proof lets nobody in who
// would not get in otherwise; it is for [login.Sessions.Reprove]. It returns an ErrForbidden
// for a session that is not such, where BeginLogin is for.
func (a *App) BeginProof(ctx context.Context, by login.Found, from login.Device) (login.Flow, error) {
	if a.opts.Mailer == nil {
		return login.Flow{}, fmt.Errorf("levqor: begin proof: %w", ErrNoMailer)
	}
	if by.Session.Provider == 0 || by.Session.Level == login.LevelHalf {
		return login.Flow{}, fmt.Errorf("levqor: begin proof: %w", fault.ErrForbidden)
	}
	return a.mailLogin(ctx, by.User.Email, from, true)
}

// mailLogin makes a flow and the job that mails it; one that proves mails whoever has to sign
// in at a provider too.
func (a *App) mailLogin(ctx context.Context, address identity.Email, from login.Device, proves bool) (login.Flow, error) {
	var flow login.Flow
	err := a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		var err error
		if flow, err = a.Links.With(tx.Links).Begin(ctx, address, from); err != nil {
			return err
		}
		_, err = a.Jobs.With(tx.Jobs).Enqueue(ctx, loginMail{Flow: flow.ID, Secret: flow.Secret, Code: flow.Code, Proves: proves}, nil)
		return err
	})
	if err != nil {
		return login.Flow{}, fmt.Errorf("levqor: begin login: %w", err)
	}
	flow.Secret, flow.Code, flow.Mailed = "", "", false
	return flow, nil
}

// FinishLogin begins a session for an address that was just proven, by [login.Links] or
// otherwise but by an identity provider (see [App.FinishProviderLogin]): that of the user
// who has it, or of a new one where [Options.SignUp] is set. The session is in the first of
// the user's tenants, if they have one; User and Tenant of start do not count, and a Level
// of 0 means [login.LevelMail]. Whoever has a second factor gets [login.LevelHalf] for that,
// until they show it. It returns ErrProviderRequired for a domain whose people sign in
// elsewhere, but for the owners of the tenant that demands it and of the service and for
// members of other tenants alone, and an ErrUnauthenticated with the code "invalid_login" if
// nobody has the address, or who has it is disabled or being deleted. With SignUp it does so
// too for the user of another spelling who is so new that the mail may have gone to the
// mailbox of this one.
func (a *App) FinishLogin(ctx context.Context, email identity.Email, start login.Start) (token string, session login.Session, err error) {
	if start.Level == 0 {
		start.Level = login.LevelMail
	}
	if err := a.letsIn(ctx, email); err != nil {
		return "", login.Session{}, fmt.Errorf("levqor: finish login: %w", err)
	}
	err = a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		directory := a.Directory.With(tx.Directory)
		user, err := a.whoSignsIn(ctx, directory, email)
		if err != nil {
			return err
		}
		tenants, err := directory.TenantsOf(ctx, user.ID, 0, 1)
		if err != nil {
			return err
		}
		start.User, start.Tenant, start.Vouched, start.ByProvider = user.ID, 0, false, false
		if len(tenants) > 0 {
			start.Tenant = tenants[0].ID
		}
		token, session, err = a.startSession(ctx, tx, start)
		if err == nil && a.opts.SignUp && user.Email.String() != email.String() && session.CreatedAt.Sub(user.CreatedAt) < mailedFor {
			return ErrNotFound
		}
		return err
	})
	switch {
	case err == nil:
		return token, session, nil
	case errors.Is(err, ErrNotFound), errors.Is(err, identity.ErrDeletionPending), errors.Is(err, identity.ErrAddressHeld):
		err = &fault.Error{Kind: fault.ErrUnauthenticated, Code: "invalid_login"}
	}
	return "", login.Session{}, fmt.Errorf("levqor: finish login: %w", err)
}

// whoSignsIn returns who has an address, and holds them: it looks again then, as a change of
// the address, or its undo, may have ended all sessions in between.
func (a *App) whoSignsIn(ctx context.Context, directory *identity.Directory, email identity.Email) (identity.User, error) {
	find := directory.FindUserByEmail
	if a.opts.SignUp {
		find = func(ctx context.Context, email identity.Email) (identity.User, error) {
			user, _, err := directory.EnsureUser(ctx, email, "")
			return user, err
		}
	}
	found, err := find(ctx, email)
	if err != nil {
		return identity.User{}, err
	}
	if err := directory.HoldUser(ctx, found.ID); err != nil {
		return identity.User{}, err
	}
	user, err := directory.FindUserByEmail(ctx, email)
	if err == nil && user.ID != found.ID {
		err = ErrNotFound
	}
	return user, err
}

// startSession begins a session, at [login.LevelHalf] for whoever has a second factor and
// has not shown it. The session holds the user's row before their factors are looked at:
// a factor that is added at the same time is seen here, or whoever adds it finds the session
// and ends it with all others.
func (a *App) startSession(ctx context.Context, tx Stores, start login.Start) (token string, session login.Session, err error) {
	sessions := a.Sessions.With(tx.Sessions)
	token, session, err = sessions.Start(ctx, start)
	if err != nil || start.Level != login.LevelMail {
		return token, session, err
	}
	held, err := a.Factors.With(tx.Factors).Has(ctx, start.User)
	if err != nil || !held.Any() {
		return token, session, err
	}
	start.Level, start.Vouched, start.Old = login.LevelHalf, false, token // which nobody knows, and ends
	return sessions.Start(ctx, start)
}

// mailedFor bounds the age of a mail by which somebody signs in. A user who is older had
// their address when it was sent, so it went to that, however the address was typed.
const mailedFor = login.LinkTTL + time.Minute

// FinishProviderLogin begins a session for somebody who has signed in at the identity
// provider of a tenant, in that tenant, as one that the provider alone has begun (see
// [login.Session]). If the session of start.Old is that user's, and they have no second factor
// to show, it goes on where it is, as fresh as the provider's proof. Whoever has a second factor of their own gets
// [login.LevelHalf] until they show it, whatever the provider says: it guards them in other
// tenants too. For others, what the provider has checked counts within the tenant if that
// trusts it. Of start, Device, Age and Old count. It returns an ErrUnauthenticated with the
// code "invalid_login" for a user who is disabled or being deleted, or whose address was
// changed or who was removed from the tenant meanwhile, and for a connection that was removed meanwhile or does not speak for
// the address any more.
func (a *App) FinishProviderLogin(ctx context.Context, who sso.Login, start login.Start) (token string, session login.Session, err error) {
	err = a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		people := a.Directory.With(tx.Directory)
		if err := people.HoldUser(ctx, who.User.ID); err != nil { // users before tenants
			return err
		}
		if err := people.Hold(ctx, who.Tenant); err != nil { // whoever changes the connection waits
			return err
		}
		connection, err := a.SSO.With(tx.SSO).Get(ctx, who.Tenant, who.Connection)
		if err != nil {
			return err
		}
		user, err := people.FindUser(ctx, who.User.ID)
		if err != nil {
			return err
		}
		if _, err := people.FindMember(ctx, who.Tenant, user.ID); err != nil { // was removed meanwhile
			return err
		}
		if user.Email.String() != who.User.Email.String() || !connection.Speaks(user.Email.Domain()) { // has moved, or was moved back
			return ErrNotFound
		}
		start.User, start.Tenant, start.Level = who.User.ID, who.Tenant, login.LevelMail
		start.Vouched, start.ByProvider = who.MFA && connection.TrustMFA, true
		again, err := a.provesAgain(ctx, tx, start)
		switch {
		case err != nil:
			return err
		case again:
			proof := login.ProviderProof{Tenant: who.Tenant, Vouched: start.Vouched, Age: start.Age}
			token, session, err = a.Sessions.With(tx.Sessions).ReproveBy(ctx, start.Old, proof)
		default:
			token, session, err = a.startSession(ctx, tx, start)
		}
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = &fault.Error{Kind: fault.ErrUnauthenticated, Code: "invalid_login"}
	}
	if err != nil {
		return "", login.Session{}, fmt.Errorf("levqor: finish provider login: %w", err)
	}
	return token, session, nil
}

// provesAgain reports whether somebody who comes from a provider is signed in already, and
// has no second factor that they would have to show instead.
func (a *App) provesAgain(ctx context.Context, tx Stores, start login.Start) (bool, error) {
	found, err := a.Sessions.With(tx.Sessions).Authenticate(ctx, start.Old)
	if errors.Is(err, login.ErrUnauthenticated) {
		return false, nil
	}
	if err != nil || found.User.ID != start.User || found.Session.Level == login.LevelHalf {
		return false, err
	}
	held, err := a.Factors.With(tx.Factors).Has(ctx, start.User)
	return !held.Any(), err
}

// requiredFor returns the connection at which everybody with an address of a domain has to
// sign in, nil if there is none. It looks at the domain alone, so it tells nothing of the
// address.
func (a *App) requiredFor(ctx context.Context, email identity.Email) (*sso.Connection, error) {
	connection, err := a.SSO.FindByDomain(ctx, email)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil, nil //nolint:nilnil // see above
	case err != nil || !connection.Required:
		return nil, err
	default:
		return &connection, nil
	}
}

// letsIn returns ErrProviderRequired for an address of such a domain, unless it is that of
// somebody who [App.comesByMail]. It asks as much for an address that nobody has, so that its
// time tells nothing.
func (a *App) letsIn(ctx context.Context, email identity.Email) error {
	connection, err := a.requiredFor(ctx, email)
	if err != nil || connection == nil {
		return err
	}
	user, err := a.Directory.FindUserByEmail(ctx, email)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	may, err := a.comesByMail(ctx, connection.Tenant, user.ID) // of nobody: user 0 is no member
	if err != nil {
		return err
	}
	if !may {
		return ErrProviderRequired
	}
	return nil
}

// comesByMail reports whether a user signs in by mail though a tenant demands its provider for
// their domain: an owner of it, since whoever set the provider up must be able to mend it; an
// owner of the service, whom no tenant may shut out; and whoever is no member there and is one
// elsewhere, whom its provider would not let in and others have let in. It asks as much for
// each, so that its time does not tell who owns what.
func (a *App) comesByMail(ctx context.Context, demands identity.TenantID, user identity.UserID) (bool, error) {
	owner, isMember := false, false
	for _, tenant := range []identity.TenantID{demands, identity.OwnerTenantID} {
		member, err := a.Directory.FindMember(ctx, tenant, user)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return false, err
		}
		owner = owner || err == nil && member.Role == identity.RoleOwner
		isMember = isMember || err == nil && tenant == demands
	}
	elsewhere, err := a.Directory.TenantsOf(ctx, user, 0, 1)
	return owner || !isMember && len(elsewhere) > 0, err
}
