package levqor

import (
	"context"
	"errors"
	"fmt"
	"html"
	"io"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/identity"
)

// InternalKinds is how the kinds of jobs begin that the service makes for itself. Callers
// of the API cannot make any.
const InternalKinds = "levqor."

// invitationMail is the job that mails an invitation. It belongs to no tenant, so nobody
// sees it whose key opens one.
type invitationMail struct { //nolint:recvcheck // as loginMail
	Token string `json:"token"`
}

// Kind implements [jobs.Args].
func (invitationMail) Kind() string { return InternalKinds + "invitation_mail" }

// Secrets implements [jobs.SecretHolder].
func (m *invitationMail) Secrets() []*string { return []*string{&m.Token} }

// Invite invites an address to the caller's tenant, with stores of one transaction, and
// has the link mailed to that address and shown to nobody else. Besides what
// [identity.Invitations.Invite] returns, it returns ErrNoMailer for an app without one.
func (a *App) Invite(ctx context.Context, tx Stores, by identity.Principal, email identity.Email, grant identity.Grant) (identity.Invitation, error) {
	if a.opts.Mailer == nil {
		return identity.Invitation{}, fmt.Errorf("levqor: invite: %w", ErrNoMailer)
	}
	tenant, err := identity.ParseTenantID(by.Tenant)
	if err != nil {
		return identity.Invitation{}, err
	}
	made, token, err := a.Invitations.With(tx.Invitations, tx.Directory).ForCaller(by).Invite(ctx, tenant, email, grant)
	if err != nil {
		return identity.Invitation{}, err
	}
	_, err = a.Jobs.With(tx.Jobs).Enqueue(ctx, invitationMail{token}, nil)
	return made, err
}

// AcceptInvitation makes whoever has the token of an invitation the member that it
// offers, in one transaction; see [identity.Invitations.Accept].
func (a *App) AcceptInvitation(ctx context.Context, token string, by identity.Joiner) (member identity.Member, created bool, err error) {
	err = a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		member, created, err = a.Invitations.With(tx.Invitations, tx.Directory).Accept(ctx, token, by)
		return err
	})
	if err != nil {
		return identity.Member{}, false, err
	}
	return member, created, nil
}

// OwnerLink makes the link by which the first owner of the service joins, unless there is
// an owner or one was made before. Of any number of processes that start on an empty
// database, exactly one gets created = true and the link. It is good for
// [identity.InvitationTTL] and until there is an owner.
func (a *App) OwnerLink(ctx context.Context) (link string, created bool, err error) {
	token, created, err := a.Invitations.EnsureOwner(ctx)
	if err != nil || !created {
		return "", false, err
	}
	return a.joinLink(token), true, nil
}

// NewOwnerLink makes another such link for a caller, which takes the place of the one from
// before. It returns identity.ErrHasOwner once there is an owner, and
// identity.ErrScopeNotHeld if the caller may less than an owner.
func (a *App) NewOwnerLink(ctx context.Context, tx Stores, by identity.Principal) (identity.Invitation, string, error) {
	made, token, err := a.Invitations.With(tx.Invitations, tx.Directory).ForCaller(by).InviteOwner(ctx)
	if err != nil {
		return identity.Invitation{}, "", err
	}
	return made, a.joinLink(token), nil
}

// Announce writes the owner's first API key and the link by which the first owner joins,
// once in the life of a database, for whoever starts the service to read:
//
//	owner key: lvq_live_…
//	owner link: https://app.example.com/join#lvi_…
func (a *App) Announce(ctx context.Context, w io.Writer) error {
	token, created, err := a.Keys.EnsureOwner(ctx)
	if err != nil {
		return err
	}
	if created {
		fmt.Fprintln(w, "owner key:", token)
	}
	link, created, err := a.OwnerLink(ctx)
	if created {
		fmt.Fprintln(w, "owner link:", link)
	}
	return err
}

// joinLink has the token in its fragment, which no server and no log ever sees.
func (a *App) joinLink(token string) string { return a.publicURL.String() + "/join#" + token }

// handleInvitationMail lets this node send invitations.
func (a *App) handleInvitationMail() error {
	return jobs.Handle(a.Registry, func(ctx context.Context, job *jobs.Job[invitationMail]) (any, error) {
		if job.Tenant != "" {
			return nil, errForTenant()
		}
		return nil, a.mailInvitation(ctx, job.Args.Token)
	}, nil)
}

// mailInvitation sends an invitation to its address or, if a user has that in another
// spelling, to theirs: two spellings can be two mailboxes. One that is over meanwhile needs
// no mail.
func (a *App) mailInvitation(ctx context.Context, token string) error {
	invitation, err := a.Invitations.Find(ctx, token)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	tenant, err := a.Directory.FindTenant(ctx, invitation.Tenant)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := a.takeInvitationQuota(ctx, invitation); err != nil {
		return err
	}
	to := invitation.Email
	switch user, err := a.Directory.FindUserByEmail(ctx, to); {
	case err == nil:
		to = user.Email
	case !errors.Is(err, ErrNotFound):
		return err
	}
	link := a.joinLink(token)
	said := fmt.Sprintf("You are invited to join %s as %s.", tenant.Name, invitation.Role)
	const ends = "The link works once, for 7 days. If you expected no invitation, there is nothing to do."
	return a.opts.Mailer.SendMail(ctx, Mail{
		To: to, ID: invitation.ID.String(), Subject: "Invitation to " + shorten(tenant.Name, maxNameInSubject),
		Text: said + "\n\n" + link + "\n\n" + ends + "\n",
		HTML: "<p>" + html.EscapeString(said) + `</p><p><a href="` + html.EscapeString(link) + `">Accept the invitation</a></p><p>` + ends + "</p>",
	})
}
