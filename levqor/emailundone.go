package levqor

import (
	"context"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
)

// undoneMail are the arguments of the job that tells an address that an undo has taken it
// from its user.
type undoneMail struct { //nolint:recvcheck // as loginMail
	Address string `json:"address"`
}

// Kind implements [jobs.Args].
func (undoneMail) Kind() string { return InternalKinds + "email_undone_mail" }

// Secrets implements [jobs.SecretHolder]: an address is no secret, but nobody's to read who
// looks through jobs.
func (m *undoneMail) Secrets() []*string { return []*string{&m.Address} }

// handleUndoneMail lets this node send mails about undos.
func (a *App) handleUndoneMail() error {
	send := func(ctx context.Context, job *jobs.Job[undoneMail]) (struct{}, error) {
		return struct{}{}, a.sendUndoneMail(ctx, job)
	}
	return jobs.Handle(a.Registry, send, &jobs.KindOptions{Priority: 1, MaxAttempts: 25, Timeout: time.Minute})
}

// sendUndoneMail tells an address that it was taken away. No quota holds it back, as none
// holds back what undoes a change: each needs a token that one such mail has brought.
func (a *App) sendUndoneMail(ctx context.Context, job *jobs.Job[undoneMail]) error {
	if job.Tenant != "" {
		return errForTenant()
	}
	to, err := identity.ParseEmail(job.Args.Address)
	if err != nil {
		return jobs.Permanent(err)
	}
	mail, err := undoneLetter.to(to, letterData{Site: a.publicURL.Host})
	if err != nil {
		return jobs.Permanent(err)
	}
	mail.ID = job.ID.String()
	return a.opts.Mailer.SendMail(ctx, mail)
}

// tellOfUndo has it mailed to the address that a user had before an undo: whoever reads the
// old mailbox may be its next owner and not the user, who would notice nothing before they
// sign in again.
func (a *App) tellOfUndo(ctx context.Context, tx Stores, before, after identity.Email) error {
	if a.opts.Mailer == nil || before.String() == after.String() {
		return nil
	}
	_, err := a.Jobs.With(tx.Jobs).Enqueue(ctx, undoneMail{before.String()}, nil)
	return err
}

// tenantBatch is how many tenants of a user are read at a time.
const tenantBatch = 100

// recordOfUser records actions about a user, whose doing they are taken for, in the log of each
// of their tenants, else in the owner's: each may have let in whoever was the user meanwhile.
func (a *App) recordOfUser(ctx context.Context, tx Stores, user identity.UserID, e guard.Event, actions ...guard.Action) error {
	log, people := a.SecurityLog.With(tx.SecurityLog), a.Directory.With(tx.Directory)
	e.Actor, e.Target = user.String(), user.String()
	of := func(tenant string) []guard.Event {
		events := make([]guard.Event, len(actions))
		for i, action := range actions {
			events[i] = e
			events[i].Tenant, events[i].Action = tenant, action
		}
		return events
	}
	var last identity.TenantID
	for {
		tenants, err := people.TenantsOf(ctx, user, last, tenantBatch)
		if err != nil {
			return err
		}
		if len(tenants) == 0 && last == 0 {
			return log.Record(ctx, of(identity.OwnerTenant)...)
		}
		var events []guard.Event
		for _, tenant := range tenants {
			events, last = append(events, of(tenant.ID.String())...), tenant.ID
		}
		if err := log.Record(ctx, events...); err != nil || len(tenants) < tenantBatch {
			return err
		}
	}
}

var undoneLetter = newLetter("Your address was changed back at ",
	`Your address was changed back at {{.Site}}

Your account at {{.Site}} has an address from before again. Somebody who reads the mailbox of that one has undone the change to this address, by the link that was mailed there. This address does not sign in any more, and everybody is signed out.

If it was you, there is nothing to do. If it was not, somebody else reads that mailbox: get it back, and tell those who run {{.Site}} and the owners of your teams there at once.
`,
	`<h1>Your address was changed back at {{.Site}}</h1>
<p>Your account at {{.Site}} has an address from before again. Somebody who reads the mailbox of that one has undone the change to this address, by the link that was mailed there. This address does not sign in any more, and everybody is signed out.</p>
<p>If it was you, there is nothing to do. If it was not, somebody else reads that mailbox: get it back, and tell those who run {{.Site}} and the owners of your teams there at once.</p>`)
