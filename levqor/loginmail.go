package levqor

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// loginMail are the arguments of the job that mails a link and a code. There is one for
// each flow, whether or not mail is to go out.
type loginMail struct { //nolint:recvcheck // jobs reads the kind of values and writes secrets through pointers
	Flow   string `json:"flow"`
	Secret string `json:"secret"`
	Code   string `json:"code"`
	Proves bool   `json:"proves,omitempty"` // for somebody who is signed in; see App.BeginProof
}

// Kind implements [jobs.Args].
func (loginMail) Kind() string { return InternalKinds + "login_mail" }

// Secrets implements [jobs.SecretHolder].
func (m *loginMail) Secrets() []*string { return []*string{&m.Secret, &m.Code} }

// handleLoginMail lets this node send mails for logins.
func (a *App) handleLoginMail() error {
	send := func(ctx context.Context, job *jobs.Job[loginMail]) (struct{}, error) {
		return struct{}{}, a.sendLoginMail(ctx, job)
	}
	return jobs.Handle(a.Registry, send, &jobs.KindOptions{Priority: 1, MaxAttempts: 5, Timeout: time.Minute})
}

// sendLoginMail mails a link and a code, unless there is no reason to.
func (a *App) sendLoginMail(ctx context.Context, job *jobs.Job[loginMail]) error {
	if job.Tenant != "" {
		return errForTenant()
	}
	due, err := a.Links.Due(ctx, job.Args.Flow)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	to, err := a.recipient(ctx, due.Email)
	if err != nil {
		return err
	}
	err = a.letsIn(ctx, due.Email)
	elsewhere := errors.Is(err, ErrProviderRequired) && !job.Args.Proves
	if err != nil && !errors.Is(err, ErrProviderRequired) {
		return err
	}
	// Nobody gets no mail, nor does who signs in elsewhere, and costs as much up to it: the
	// worker may share a processor and the database with the answer to whoever asks.
	nobody := elsewhere || to == (identity.Email{})
	if nobody {
		to = due.Email
	}
	if err := a.takeMailQuota(ctx, "login "+job.ID.String(), loginCharges(to, due.Device)); err != nil {
		return err
	}
	mail, err := loginLetter.to(to, letterData{
		Site: a.publicURL.Host, Link: a.publicURL.String() + "/login/l/" + job.Args.Flow + "#" + job.Args.Secret, Code: job.Args.Code,
		Minutes: int(login.LinkTTL.Minutes()),
	})
	if err != nil {
		return jobs.Permanent(err)
	}
	if nobody {
		return nil
	}
	mail.ID = job.ID.String()
	return a.opts.Mailer.SendMail(ctx, mail)
}

// recipient returns where the mail for an address goes: to that of the user who has it,
// however somebody has spelt it, and for a new address there if people may sign up. It
// returns none for nobody, for a user who is disabled, and for an address that a user has
// left and may have back.
func (a *App) recipient(ctx context.Context, email identity.Email) (identity.Email, error) {
	user, err := a.Directory.FindUserByEmail(ctx, email)
	switch {
	case errors.Is(err, ErrNotFound) && a.opts.SignUp:
		return a.unlessHeld(ctx, email)
	case errors.Is(err, ErrNotFound):
		return identity.Email{}, nil
	case err != nil:
		return identity.Email{}, err
	case !user.DisabledAt.IsZero():
		return identity.Email{}, nil
	default:
		return user.Email, nil
	}
}

// unlessHeld returns an address, or none if a user may have it back.
func (a *App) unlessHeld(ctx context.Context, email identity.Email) (identity.Email, error) {
	_, err := a.Addresses.HeldFor(ctx, email)
	if errors.Is(err, ErrNotFound) {
		return email, nil
	}
	return identity.Email{}, err
}

// The quotas of mails to one address that one network has asked for, and of all: a
// stranger takes nothing from somebody on another network. What they have no room for
// waits, and is not sent if the flow is over by then.
var (
	loginMailPolicies = []guard.Policy{
		{Name: "login-mail-minute", Limit: 1, Window: time.Minute},
		{Name: "login-mail-hour", Limit: 3, Window: time.Hour},
	}
	loginMailInAll = guard.Policy{Name: "login-mail-in-all", Limit: 20, Window: time.Hour}
)

// loginCharges returns what a mail that a device has asked for takes of the quotas of its
// address.
func loginCharges(to identity.Email, from login.Device) []guard.Charge {
	alike := to.Canonical() + " " + from.Network() // an address has no space
	return append(chargesOf(loginMailPolicies, alike), guard.Charge{Policy: loginMailInAll, Key: to.Canonical()})
}

// The quota of invitations to one address, whoever invites. What it has no room for waits.
var invitationMailPolicy = guard.Policy{Name: "invitation-mail", Limit: 3, Window: time.Hour}

// mailOnce is refused to an attempt whose mail has taken its quotas in one before.
var mailOnce = guard.Policy{Name: "mail-once", Limit: 1, Window: time.Hour}

// takeInvitationQuota takes what an invitation takes of the quota of its address.
func (a *App) takeInvitationQuota(ctx context.Context, to identity.Invitation) error {
	return a.takeMailQuota(ctx, "invitation "+to.ID.String(), []guard.Charge{{Policy: invitationMailPolicy, Key: to.Email.Canonical()}})
}

// maxNameInSubject bounds the name of a tenant in the subject of an invitation, in bytes:
// who names a tenant should not write mails to strangers.
const maxNameInSubject = 60

// shorten returns a text of at most so many bytes, which ends at a character.
func shorten(text string, most int) string {
	if len(text) <= most {
		return text
	}
	const more = "…"
	end := most - len(more)
	for !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + more
}

// takeMailQuota takes the quotas of a mail unless an attempt before has. It returns a
// [jobs.Snooze] if they have no room.
func (a *App) takeMailQuota(ctx context.Context, mail string, charges []guard.Charge) error {
	_, err := a.Limiter.Take(ctx, append(charges, guard.Charge{Policy: mailOnce, Key: mail})...)
	refused, ok := errors.AsType[*guard.LimitError](err)
	switch {
	case !ok:
		return err
	case slices.Contains(refused.Violated, mailOnce.Name):
		return nil
	default:
		return jobs.Snooze(refused.RetryAfter)
	}
}

// loginLetter can be sent to anybody by a stranger.
var loginLetter = newLetter("Sign in to ",
	`Sign in to {{.Site}}

Open this link and press the button there:
{{.Link}}

Or type this code in the browser in which you asked:
{{.Code}}

Both work once, for {{.Minutes}} minutes. Another browser that opens the link asks for the two digits that are shown where you asked.

If you did not ask to sign in, ignore this mail: nobody gets in without it. Give the link and the code to nobody.
`,
	`<h1>Sign in to {{.Site}}</h1>
<p>Open this link and press the button there:<br>
<a href="{{.Link}}">{{.Link}}</a></p>
<p>Or type this code in the browser in which you asked:<br>
<strong>{{.Code}}</strong></p>
<p>Both work once, for {{.Minutes}} minutes. Another browser that opens the link asks for the two digits that are shown where you asked.</p>
<p>If you did not ask to sign in, ignore this mail: nobody gets in without it. Give the link and the code to nobody.</p>`)

// parsePublicURL reads where people find the service.
func parsePublicURL(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Opaque != "" ||
		strings.ContainsAny(text, "?#") {
		return nil, fault.Invalid("/public_url", "invalid_format", "must be an absolute http or https URL without user, query and fragment")
	}
	return u, nil
}
