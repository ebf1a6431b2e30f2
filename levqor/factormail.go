package levqor

import (
	"context"
	"fmt"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/identity"
)

// factorMail are the arguments of the job that tells a user what has become of their second
// factors.
type factorMail struct { //nolint:recvcheck // as loginMail
	Address string       `json:"address"`
	Change  factorChange `json:"change"`
}

// Kind implements [jobs.Args].
func (factorMail) Kind() string { return InternalKinds + "factor_mail" }

// Secrets implements [jobs.SecretHolder], as [undoneMail] does.
func (m *factorMail) Secrets() []*string { return []*string{&m.Address} }

// factorChange is what has become of somebody's second factors.
type factorChange string

const (
	appAdded       factorChange = "app_added"
	appReplaced    factorChange = "app_replaced"
	appRemoved     factorChange = "app_removed"
	passkeyAdded   factorChange = "passkey_added"
	passkeyRemoved factorChange = "passkey_removed"
	codesReplaced  factorChange = "codes_replaced"
	codeUsed       factorChange = "code_used"
	laterRemoved   factorChange = "later_removed" // by an undo of a change of the address
	allRemoved     factorChange = "all_removed"
)

// factorNews say what has happened. The name of a passkey is not among it: whoever has added
// it wrote that.
var factorNews = map[factorChange]string{ //nolint:gosec // sentences about passkeys, no credentials
	appAdded:       "An authenticator app was added to your account.",
	appReplaced:    "Another authenticator app took the place of the one that your account had.",
	appRemoved:     "The authenticator app was removed from your account.",
	passkeyAdded:   "A passkey was added to your account.",
	passkeyRemoved: "A passkey was removed from your account.",
	codesReplaced:  "New recovery codes were made for your account. Those from before, if there were any, do not work any more.",
	codeUsed:       "A recovery code of your account was used, in the place of a second factor.",
	laterRemoved:   "A change of your address was undone, and second factors or recovery codes that your account was given since were removed from it.",
	allRemoved:     "All second factors and recovery codes were removed from your account, as is done for somebody who has lost them.",
}

// handleFactorMail lets this node send mails about second factors.
func (a *App) handleFactorMail() error {
	send := func(ctx context.Context, job *jobs.Job[factorMail]) (struct{}, error) {
		return struct{}{}, a.sendFactorMail(ctx, job)
	}
	return jobs.Handle(a.Registry, send, &jobs.KindOptions{Priority: 1, MaxAttempts: 25, Timeout: time.Minute})
}

// sendFactorMail tells somebody of a change. No quota holds it back: whoever makes changes
// has signed in as the user, who may not be kept from hearing of them.
func (a *App) sendFactorMail(ctx context.Context, job *jobs.Job[factorMail]) error {
	if job.Tenant != "" {
		return errForTenant()
	}
	to, err := identity.ParseEmail(job.Args.Address)
	if err != nil {
		return jobs.Permanent(err)
	}
	news, ok := factorNews[job.Args.Change]
	if !ok { // a later program has enqueued it, and may send it when it is tried again
		return fmt.Errorf("levqor: mail: no news of %q", job.Args.Change)
	}
	mail, err := factorLetter.to(to, letterData{Site: a.publicURL.Host, Link: a.publicURL.String() + "/account", News: news, At: written(job.CreatedAt)})
	if err != nil {
		return jobs.Permanent(err)
	}
	mail.ID = job.ID.String()
	return a.opts.Mailer.SendMail(ctx, mail)
}

var factorLetter = newLetter("Your second factors at ",
	`Your second factors at {{.Site}}

{{.News}} That was on {{.At}}.

If it was you, or was done because you asked, there is nothing to do.

If not, somebody else may be in your account. Sign in, remove what is not yours, replace the recovery codes, and sign out all other devices:
{{.Link}}

If you cannot sign in any more, tell those who run {{.Site}} and the owners of your teams there at once. See too that nobody else reads this mailbox.
`,
	`<h1>Your second factors at {{.Site}}</h1>
<p>{{.News}} That was on {{.At}}.</p>
<p>If it was you, or was done because you asked, there is nothing to do.</p>
<p>If not, somebody else may be in your account. Sign in, remove what is not yours, replace the recovery codes, and sign out all other devices:<br>
<a href="{{.Link}}">{{.Link}}</a></p>
<p>If you cannot sign in any more, tell those who run {{.Site}} and the owners of your teams there at once. See too that nobody else reads this mailbox.</p>`)
