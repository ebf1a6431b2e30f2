package login

import (
	"context"
	"fmt"

	"github.com/levqor/sdk/levqor/identity"
)

// Attempt is what somebody shows to sign in.
type Attempt struct {
	// Flow is the ID of the flow.
	Flow string
	// Cookie is that of the browser; empty if it has none.
	Cookie string
	// Secret is that of the link.
	Secret string
	// Match is what a browser that did not ask was told to repeat.
	Match string
	// Code is what was typed.
	Code string
}

// Proof says whose address was proven.
type Proof struct {
	// Email is the address, as it was typed by whoever asked.
	Email identity.Email
	// Device is what asked.
	Device Device
}

// Redeem uses the secret of a mailed link, once. In the browser that asked, which has the
// cookie, the secret suffices; any other must repeat the match that the asking browser
// shows, which counts as a try, so nobody signs a stranger in by opening a mail that the
// stranger has asked for. It returns an ErrUnauthenticated that does not tell what was wrong.
func (l *Links) Redeem(ctx context.Context, a Attempt) (Proof, error) {
	proof, err := l.redeem(ctx, a)
	if err != nil {
		return Proof{}, fmt.Errorf("login: redeem: %w", err)
	}
	return proof, nil
}

func (l *Links) redeem(ctx context.Context, a Attempt) (Proof, error) {
	if err := l.checkSecret(ctx, a); err != nil {
		return Proof{}, err
	}
	return l.use(ctx, a.Flow)
}

func (l *Links) checkSecret(ctx context.Context, a Attempt) error {
	cookie, wellFormed := l.cookieOf(a)
	if !isSecret(a.Secret) || len(a.Cookie) > 0 && !wellFormed || len(a.Match) > 0 && !consists(a.Match, decimal, matchLength) {
		return errInvalidLogin()
	}
	link, err := l.known(ctx, a.Flow)
	if err != nil {
		return err
	}
	// Nobody guesses the secret, so without it no try is counted: whoever knows the ID
	// alone cannot make the flow die.
	right := l.verify(link.SecretHash, "secret", a.Flow, a.Secret)
	same := l.verify(link.CookieHash, "cookie", a.Flow, cookie)
	switch {
	case !right, !same && a.Match == "":
		return errInvalidLogin()
	case same:
		return nil
	default:
		return l.try(ctx, a.Flow, func(link Link) bool { return l.verify(link.MatchHash, "match", a.Flow, a.Match) })
	}
}

// RedeemCode uses the code of a mail, once, in the browser that asked. The code may be typed
// in any case, with dashes and spaces anywhere, with O for 0 and with I or L for 1. A wrong
// one counts as a try if it has the form of a code. It returns an ErrUnauthenticated that
// does not tell what was wrong.
func (l *Links) RedeemCode(ctx context.Context, a Attempt) (Proof, error) {
	proof, err := l.redeemCode(ctx, a)
	if err != nil {
		return Proof{}, fmt.Errorf("login: redeem code: %w", err)
	}
	return proof, nil
}

func (l *Links) redeemCode(ctx context.Context, a Attempt) (Proof, error) {
	if err := l.checkCode(ctx, a); err != nil {
		return Proof{}, err
	}
	return l.use(ctx, a.Flow)
}

func (l *Links) checkCode(ctx context.Context, a Attempt) error {
	digits, ok := readCode(a.Code)
	cookie, wellFormed := l.cookieOf(a)
	if !ok || !wellFormed {
		return errInvalidLogin()
	}
	link, err := l.known(ctx, a.Flow)
	if err != nil {
		return err
	}
	if !l.verify(link.CookieHash, "cookie", a.Flow, cookie) { // counts as no try, as a wrong secret
		return errInvalidLogin()
	}
	return l.try(ctx, a.Flow, func(link Link) bool { return l.verify(link.CodeHash, "code", a.Flow, digits) })
}

// try counts a try before it looks whether it is right, so that of guesses at the same time
// no more are looked at than there are tries.
func (l *Links) try(ctx context.Context, id string, right func(Link) bool) error {
	link, err := l.store.TryLink(ctx, id, l.now())
	if err != nil {
		return refused(err)
	}
	if !right(link) {
		return errInvalidLogin()
	}
	return nil
}

func (l *Links) use(ctx context.Context, id string) (Proof, error) {
	link, err := l.store.UseLink(ctx, id, l.user, l.now())
	if err != nil {
		return Proof{}, refused(err)
	}
	return Proof{Email: link.Email, Device: link.Device}, nil
}
