package levqor

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// EmailChanger is a user who has signed in and wants to have another address.
type EmailChanger struct {
	// User is who it is.
	User identity.UserID
	// Session is the ID of the session that they ask in, as text, which tells their browser
	// from others; "" for people of a host that has sessions of its own.
	Session string
	// Device is what they ask with.
	Device login.Device
}

// BeginEmailChange makes a flow by which a user moves to an address, has a link and a code
// mailed to that, and records events, all in one transaction. Demand a fresh proof of who
// they are first. Nobody is looked up: for an address that is free, somebody else's or held
// the work and the answer are the same, and the job decides what the mail says. So Secret,
// Code and Mailed are empty in the flow that it returns. It returns an ErrInvalid about
// "/email" for what is no address and for the user's own one as it is, ErrNotFound if there
// is no such user, ErrNoMailer where [Options.Mailer] is not set, and ErrProviderRequired if
// people of the domain of the new address sign in elsewhere, or the user has to by their own,
// and an ErrUnauthenticated with the code "invalid_session" if Session of by is over.
func (a *App) BeginEmailChange(ctx context.Context, by EmailChanger, email string, events ...guard.Event) (login.Flow, error) {
	if a.opts.Mailer == nil {
		return login.Flow{}, fmt.Errorf("levqor: begin e-mail change: %w", ErrNoMailer)
	}
	to, err := identity.ParseEmail(email)
	if err == nil {
		err = a.mayMove(ctx, by.User, to)
	}
	if err != nil {
		return login.Flow{}, fmt.Errorf("levqor: begin e-mail change: %w", err)
	}
	var flow login.Flow
	err = a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		if err := a.holdChanger(ctx, tx, by); err != nil {
			return err
		}
		if flow, err = a.Links.With(tx.Links).ForChange(by.User, by.Session).Begin(ctx, to, by.Device); err != nil {
			return err
		}
		mail := emailChangeMail{User: by.User, Flow: flow.ID, Secret: flow.Secret, Code: flow.Code}
		if _, err := a.Jobs.With(tx.Jobs).Enqueue(ctx, mail, nil); err != nil {
			return err
		}
		return a.SecurityLog.With(tx.SecurityLog).Record(ctx, events...)
	})
	if err != nil {
		return login.Flow{}, fmt.Errorf("levqor: begin e-mail change: %w", err)
	}
	flow.Secret, flow.Code, flow.Mailed = "", "", false
	return flow, nil
}

// mayMove returns nil if a user may move to an address, whoever has it.
func (a *App) mayMove(ctx context.Context, id identity.UserID, to identity.Email) error {
	user, err := a.Directory.FindUser(ctx, id)
	if err != nil {
		return err
	}
	if user.Email.String() == to.String() {
		return fault.Invalid("/email", "unchanged", "is the address that the account has")
	}
	// Who has to sign in at their tenant's own provider does not leave its domain, and nobody
	// comes into one by mail. Of the new address the domain alone is looked at.
	if err := a.letsIn(ctx, user.Email); err != nil {
		return err
	}
	connection, err := a.requiredFor(ctx, to)
	if err == nil && connection != nil {
		err = ErrProviderRequired
	}
	return err
}

// FinishEmailChange gives a user the address of a flow of [App.BeginEmailChange], by the
// secret or the code of its mail: in the session that asked, or with the match that is shown
// there in another one of the user. In one transaction the flow is used, the user has the
// address, all pending changes and all sessions but this one end, what undoes it is mailed to
// the address from before, and events are recorded. It returns an ErrUnauthenticated with the
// code "invalid_login" that does not tell what was wrong; to whoever has shown to read the
// mailbox, an identity.ErrAddressInUse or identity.ErrTooManyUndos; and what BeginEmailChange
// does.
func (a *App) FinishEmailChange(ctx context.Context, by EmailChanger, attempt login.Attempt, events ...guard.Event) (identity.User, error) {
	links := a.Links.ForChange(by.User, by.Session)
	due, err := a.checkedChange(ctx, links, attempt)
	if err == nil {
		err = a.mayMove(ctx, by.User, due.Email)
	}
	if err != nil {
		return identity.User{}, fmt.Errorf("levqor: finish e-mail change: %w", err)
	}
	keep, _ := login.ParseSessionID(by.Session) // 0 for none
	var user identity.User
	err = a.InTx(ctx, func(ctx context.Context, tx Stores) error {
		if err := a.holdChanger(ctx, tx, by); err != nil {
			return err
		}
		var token string
		if user, _, token, err = a.Addresses.With(tx.Directory).Change(ctx, by.User, due.Email); err != nil {
			return err
		}
		if _, err := links.With(tx.Links).Use(ctx, attempt.Flow); err != nil { // after the user's row is held, as an undo ends it
			return err
		}
		if err := a.endForNewAddress(ctx, tx, user.ID, keep); err != nil {
			return err
		}
		if _, err := a.Jobs.With(tx.Jobs).Enqueue(ctx, undoMail{Token: token}, nil); err != nil {
			return err
		}
		return a.SecurityLog.With(tx.SecurityLog).Record(ctx, events...)
	})
	if err != nil {
		return identity.User{}, fmt.Errorf("levqor: finish e-mail change: %w", err)
	}
	return user, nil
}

// holdChanger holds the row of a user who asks, as a change and an undo do, and returns an
// ErrUnauthenticated if the session that they ask in is over by then: a request that was under
// way while an undo ended it would move the account away again.
func (a *App) holdChanger(ctx context.Context, tx Stores, by EmailChanger) error {
	if err := a.Directory.With(tx.Directory).HoldUser(ctx, by.User); err != nil || by.Session == "" {
		return err
	}
	all, err := a.Sessions.With(tx.Sessions).List(ctx, by.User)
	if err != nil {
		return err
	}
	asksIn := func(s login.Session) bool { return s.ID.String() == by.Session }
	if !slices.ContainsFunc(all, asksIn) {
		return &fault.Error{Kind: fault.ErrUnauthenticated, Code: "invalid_session"}
	}
	return nil
}

// checkedChange returns what a flow is about if an attempt is right.
func (a *App) checkedChange(ctx context.Context, links *login.Links, attempt login.Attempt) (login.Due, error) {
	due, err := links.Due(ctx, attempt.Flow) // before its last try is counted, after which it is found no more
	if err := links.Check(ctx, attempt); err != nil {
		return login.Due{}, err
	}
	if errors.Is(err, ErrNotFound) {
		err = &fault.Error{Kind: fault.ErrUnauthenticated, Code: "invalid_login"}
	}
	return due, err
}

// endForNewAddress ends what a user began under another address: pending changes, all
// sessions but one, and all logins by addresses.
func (a *App) endForNewAddress(ctx context.Context, tx Stores, user identity.UserID, keep login.SessionID, addresses ...identity.Email) error {
	return errors.Join(a.Links.With(tx.Links).EndChanges(ctx, user, addresses...), a.Sessions.With(tx.Sessions).EndAll(ctx, user, keep))
}
