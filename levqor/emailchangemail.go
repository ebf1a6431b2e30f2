package levqor

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// emailChangeMail are the arguments of the job that mails a link and a code to an address
// that a user wants to move to, or tells whoever has it. There is one for each flow, whether
// or not mail is to go out.
type emailChangeMail struct { //nolint:recvcheck // as loginMail
	User   identity.UserID `json:"user"`
	Flow   string          `json:"flow"`
	Secret string          `json:"secret"`
	Code   string          `json:"code"`
}

// Kind implements [jobs.Args].
func (emailChangeMail) Kind() string { return InternalKinds + "email_change_mail" }

// Secrets implements [jobs.SecretHolder].
func (m *emailChangeMail) Secrets() []*string { return []*string{&m.Secret, &m.Code} }

// undoMail are the arguments of the job that mails what undoes a change.
type undoMail struct { //nolint:recvcheck // as loginMail
	Token string `json:"token"`
}

// Kind implements [jobs.Args].
func (undoMail) Kind() string { return InternalKinds + "email_undo_mail" }

// Secrets implements [jobs.SecretHolder].
func (m *undoMail) Secrets() []*string { return []*string{&m.Token} }

// handleEmailChangeMails lets this node send mails for changes of addresses. What undoes one
// is tried for as long as it is good.
func (a *App) handleEmailChangeMails() error {
	change := func(ctx context.Context, job *jobs.Job[emailChangeMail]) (struct{}, error) {
		return struct{}{}, a.sendEmailChangeMail(ctx, job)
	}
	undo := func(ctx context.Context, job *jobs.Job[undoMail]) (struct{}, error) {
		return struct{}{}, a.sendUndoMail(ctx, job)
	}
	return errors.Join(
		jobs.Handle(a.Registry, change, &jobs.KindOptions{Priority: 1, MaxAttempts: 5, Timeout: time.Minute}),
		jobs.Handle(a.Registry, undo, &jobs.KindOptions{Priority: 1, MaxAttempts: 25, Timeout: time.Minute}),
	)
}

// errForTenant refuses a job of the service that a tenant has made: whoever may enqueue jobs
// could mail what they like.
func errForTenant() error {
	return jobs.Permanent(fmt.Errorf("levqor: mail for a tenant: %w", fault.ErrForbidden))
}

// The quotas of mails that one user has sent to addresses that they want: who has signed in
// names as many strangers as they like. What they have no room for waits, and is not sent if
// the flow is over by then, so the answer to whoever asks tells nothing.
var emailChangePolicies = []guard.Policy{
	{Name: "email-change-hour", Limit: 10, Window: time.Hour},
	{Name: "email-change-day", Limit: 20, Window: 24 * time.Hour},
}

func (a *App) sendEmailChangeMail(ctx context.Context, job *jobs.Job[emailChangeMail]) error {
	if job.Tenant != "" {
		return errForTenant()
	}
	due, err := a.Links.ForChange(job.Args.User, "").Due(ctx, job.Args.Flow)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	to, free, err := a.whoHas(ctx, due.Email, job.Args.User)
	if err != nil {
		return err
	}
	charges := append(loginCharges(to, due.Device), chargesOf(emailChangePolicies, job.Args.User.String())...)
	if err := a.takeMailQuota(ctx, "email change "+job.ID.String(), charges); err != nil {
		return err
	}
	letter := takenLetter
	if free {
		letter = changeLetter
	}
	mail, err := letter.to(to, letterData{
		Site: a.publicURL.Host, Link: a.publicURL.String() + "/account/email/l/" + job.Args.Flow + "#" + job.Args.Secret, Code: job.Args.Code,
		Minutes: int(login.LinkTTL.Minutes()),
	})
	if err != nil {
		return jobs.Permanent(err)
	}
	mail.ID = job.ID.String()
	return a.opts.Mailer.SendMail(ctx, mail)
}

// whoHas returns where the mail for an address that a user wants goes: to that, if nobody
// else has it or may have it back, else as whoever does has spelt it. Both are always asked,
// so that the work is the same: the worker may share the database with the answer.
func (a *App) whoHas(ctx context.Context, email identity.Email, user identity.UserID) (to identity.Email, free bool, err error) {
	other, otherErr := a.Directory.FindUserByEmail(ctx, email)
	undo, undoErr := a.Addresses.HeldFor(ctx, email)
	for _, err := range []error{otherErr, undoErr} {
		if err != nil && !errors.Is(err, ErrNotFound) {
			return identity.Email{}, false, err
		}
	}
	switch {
	case otherErr == nil && other.ID != user:
		return other.Email, false, nil
	case undoErr == nil && undo.User != user:
		return undo.Email, false, nil
	default:
		return email, true, nil
	}
}

// sendUndoMail tells the address from before a change how to undo it. No quota holds it
// back: of changes there are few, and nobody may be kept from hearing of one.
func (a *App) sendUndoMail(ctx context.Context, job *jobs.Job[undoMail]) error {
	if job.Tenant != "" {
		return errForTenant()
	}
	undo, err := a.Addresses.FindUndo(ctx, job.Args.Token)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	mail, err := undoLetter.to(undo.Email, letterData{
		Site: a.publicURL.Host, Link: a.publicURL.String() + "/undo#" + job.Args.Token, Until: written(undo.ExpiresAt),
	})
	if err != nil {
		return jobs.Permanent(err)
	}
	mail.ID = job.ID.String()
	return a.opts.Mailer.SendMail(ctx, mail)
}

var changeLetter = newLetter("Confirm your new address at ",
	`Confirm your new address at {{.Site}}

Open this link in the browser in which you asked, and press the button there:
{{.Link}}

Or type this code there:
{{.Code}}

Both work once, for {{.Minutes}} minutes, for whoever has signed in and asked. From then on you sign in at {{.Site}} with this address.

If you did not ask for it, ignore this mail: nothing changes. Give the link and the code to nobody.
`,
	`<h1>Confirm your new address at {{.Site}}</h1>
<p>Open this link in the browser in which you asked, and press the button there:<br>
<a href="{{.Link}}">{{.Link}}</a></p>
<p>Or type this code there:<br>
<strong>{{.Code}}</strong></p>
<p>Both work once, for {{.Minutes}} minutes, for whoever has signed in and asked. From then on you sign in at {{.Site}} with this address.</p>
<p>If you did not ask for it, ignore this mail: nothing changes. Give the link and the code to nobody.</p>`)

var takenLetter = newLetter("Your address at ",
	`Somebody wants to use your address at {{.Site}}

Somebody has asked to move their account at {{.Site}} to this address. It belongs to an account already, or did until lately, so they cannot.

If it was you, sign in with this address, or undo the change of it by the mail that you have got about it. Else there is nothing to do.
`,
	`<h1>Somebody wants to use your address at {{.Site}}</h1>
<p>Somebody has asked to move their account at {{.Site}} to this address. It belongs to an account already, or did until lately, so they cannot.</p>
<p>If it was you, sign in with this address, or undo the change of it by the mail that you have got about it. Else there is nothing to do.</p>`)

var undoLetter = newLetter("Your address was changed at ",
	`Your address was changed at {{.Site}}

Your account at {{.Site}} has another address from now on, which has been confirmed. This one does not sign in any more.

If it was not you, open this link, type this address there, and press the button. That leads the account back to this address, whatever has been changed since, and signs everybody out:
{{.Link}}

The link works once, until {{.Until}}. Until then nobody else gets this address. If it was you, there is nothing to do. Give the link to nobody.
`,
	`<h1>Your address was changed at {{.Site}}</h1>
<p>Your account at {{.Site}} has another address from now on, which has been confirmed. This one does not sign in any more.</p>
<p>If it was not you, open this link, type this address there, and press the button. That leads the account back to this address, whatever has been changed since, and signs everybody out:<br>
<a href="{{.Link}}">{{.Link}}</a></p>
<p>The link works once, until {{.Until}}. Until then nobody else gets this address. If it was you, there is nothing to do. Give the link to nobody.</p>`)
