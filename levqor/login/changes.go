package login

import (
	"context"
	"fmt"

	"github.com/levqor/sdk/levqor/identity"
)

// ForChange returns links by which a user who has signed in moves to another address. They
// are bound to the user and, in the place of a cookie, to the browser: what tells the one
// that the user asks in from others, such as the ID of its session, and never what a request
// says; "" if nothing does. Their flows have no Cookie, and that of an [Attempt] does not
// count. Nothing of them signs anybody in, and no login's secret or code changes an address.
//
// Use a flow by [Links.Check] and [Links.Use], so that it is used in the transaction of
// what comes of it.
func (l *Links) ForChange(user identity.UserID, browser string) *Links {
	c := *l
	c.purpose, c.user, c.browser = changePurpose, user, browser
	return &c
}

// Check returns nil if an attempt, by the secret of a link or the code of a mail, is right,
// and leaves the flow as it is but for a try that counts. It takes what [Links.Redeem] and
// [Links.RedeemCode] take and returns the same errors.
func (l *Links) Check(ctx context.Context, a Attempt) error {
	check := l.checkCode
	if a.Secret != "" {
		check = l.checkSecret
	}
	if err := check(ctx, a); err != nil {
		return fmt.Errorf("login: check: %w", err)
	}
	return nil
}

// Use uses a flow that [Links.Check] has found right, once. It returns an ErrUnauthenticated,
// and leaves the flow as it is, if it is over meanwhile or another user's.
func (l *Links) Use(ctx context.Context, flow string) (Proof, error) {
	proof, err := l.use(ctx, flow)
	if err != nil {
		return Proof{}, fmt.Errorf("login: use: %w", err)
	}
	return proof, nil
}

// EndChanges ends all flows of [Links.ForChange] of a user, and all flows of addresses in
// whatever spelling, also those by which somebody would sign in.
func (l *Links) EndChanges(ctx context.Context, user identity.UserID, addresses ...identity.Email) error {
	return wrap("end changes", l.store.EndLinks(ctx, user, addresses, l.now()))
}

// newCookie returns what binds a new flow to a browser.
func (l *Links) newCookie() string {
	if l.user != 0 {
		return l.browser
	}
	return newSecret()
}

// cookieOf returns what binds an attempt to a browser, and whether it can.
func (l *Links) cookieOf(a Attempt) (cookie string, wellFormed bool) {
	if l.user != 0 {
		return l.browser, true
	}
	return a.Cookie, isSecret(a.Cookie)
}
