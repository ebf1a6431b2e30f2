package login

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

const (
	// LinkTTL is how long a link and its code can be used.
	LinkTTL = 10 * time.Minute
	// MaxTries is how often a code or a match can be guessed at before a flow is dead.
	MaxTries = 5
	// MaxMailed is how many flows of one address that one network has asked for can have
	// mail at the same time; see [Device.Network].
	MaxMailed = 3
	// MaxMailedInAll is how many flows of one address can have mail at the same time,
	// whoever has asked.
	MaxMailedInAll = 20
)

const (
	flowIDLength = 22
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	decimal      = "0123456789"
	matchLength  = 2
	hashPurpose  = "login-link"
)

// changePurpose sets what changes an address apart from what signs in: neither secret is
// any good for the other.
const changePurpose = "email-change-link"

// LinksOptions configure [Links]. The zero value of each field means its default.
type LinksOptions struct {
	// Now replaces the store's clock, for tests. Default: the store's clock.
	Now func() time.Time
}

// Links lets people prove that an e-mail address is theirs: to sign in, or to move to it,
// see [Links.ForChange]. It is safe for concurrent use.
type Links struct {
	store   LinkStore
	hasher  identity.Hasher
	opts    LinksOptions
	purpose string          // of the hashes
	user    identity.UserID // who moves; 0 to sign in
	browser string          // from which they do
	// unknown is compared with where no flow was found, so that it takes as long.
	unknown []byte
}

// NewLinks returns links on a store. Options may be nil.
func NewLinks(store LinkStore, hasher identity.Hasher, opts *LinksOptions) *Links {
	l := &Links{store: store, hasher: hasher, purpose: hashPurpose, unknown: hasher.MAC(hashPurpose, []byte("no link"))}
	if opts != nil {
		l.opts = *opts
	}
	return l
}

// With returns the same links on another store, such as one bound to the caller's
// transaction.
func (l *Links) With(store LinkStore) *Links {
	c := *l
	c.store = store
	return &c
}

// Flow is somebody who has asked to sign in and is to show that the address is theirs.
type Flow struct {
	// ID names the flow and is no secret: 22 base62 digits.
	ID string
	// Cookie binds the flow to the browser that asked, which alone gets to know it.
	Cookie string
	// Secret is for the fragment of the link, and Code, such as "BC2D-7XYZ", to be typed:
	// both are for the mail and nobody else.
	Secret, Code string
	// Match is two digits that the asking browser shows; another one that opens the link
	// has to repeat them.
	Match string
	// Mailed tells whether mail is to go out. Nobody outside may be told.
	Mailed bool
	// ExpiresAt is the last instant at which the flow can be used.
	ExpiresAt time.Time
}

// Begin makes a flow for an address, whether or not anybody here has it: the work is the
// same. No flow ends another, so a stranger who asks for somebody's address takes nothing
// out of their hands; beyond [MaxMailed] of one network and [MaxMailedInAll] of all at a
// time a flow looks like others, has no mail and opens nothing. It returns an ErrInvalid
// that names each wrong field.
func (l *Links) Begin(ctx context.Context, email identity.Email, from Device) (Flow, error) {
	err := from.validate()
	if email == (identity.Email{}) {
		err = errors.Join(fault.Invalid("/email", "required", "must be an address"), err)
	}
	if err != nil {
		return Flow{}, fmt.Errorf("login: begin: %w", err)
	}
	for range 5 { // a taken ID is next to impossible
		flow := Flow{ID: randomText(base62, flowIDLength), Cookie: l.newCookie(), Secret: newSecret(), Code: newCode(), Match: randomText(decimal, matchLength)}
		digits, _ := readCode(flow.Code)
		var stored Link
		stored, err = l.store.InsertLink(ctx, Link{
			ID: flow.ID, Email: email, User: l.user, Device: from,
			SecretHash: l.hash("secret", flow.ID, flow.Secret), CodeHash: l.hash("code", flow.ID, digits),
			CookieHash: l.hash("cookie", flow.ID, flow.Cookie), MatchHash: l.hash("match", flow.ID, flow.Match),
		}, l.now())
		if err == nil {
			flow.Mailed, flow.ExpiresAt = stored.Mailed, stored.ExpiresAt
			if l.user != 0 {
				flow.Cookie = ""
			}
			return flow, nil
		}
		if !errors.Is(err, ErrConflict) {
			break
		}
	}
	return Flow{}, fmt.Errorf("login: begin: %w", err)
}

// Pending is what a page may show of a flow before anybody has proven anything.
type Pending struct {
	// Address is masked, such as "a…@example.com".
	Address string
	// Device is what asked.
	Device Device
	// TriesLeft is how often a code or a match can still be wrong.
	TriesLeft int
	// ExpiresAt is the last instant at which the flow can be used.
	ExpiresAt time.Time
}

// Look returns what a page may show of a flow, and changes nothing, however often somebody
// looks. It returns ErrNotFound for one that is unknown, used, expired or dead.
func (l *Links) Look(ctx context.Context, id string) (Pending, error) {
	link, err := l.find(ctx, id)
	if err != nil {
		return Pending{}, fmt.Errorf("login: look: %w", err)
	}
	return Pending{Address: mask(link.Email), Device: link.Device, TriesLeft: MaxTries - link.Tries, ExpiresAt: link.ExpiresAt}, nil
}

// Due is what the mail for a flow needs to know.
type Due struct {
	// Email is the address that was typed. Mail goes to that of the user who has it.
	Email identity.Email
	// Device is what asked.
	Device Device
	// ExpiresAt is the last instant at which the flow can be used.
	ExpiresAt time.Time
}

// Due returns what the mail for a flow needs to know. It returns ErrNotFound if there is to
// be none: the flow is unknown, used, expired, dead, or one too many.
func (l *Links) Due(ctx context.Context, id string) (Due, error) {
	link, err := l.find(ctx, id)
	if err == nil && !link.Mailed {
		err = ErrNotFound
	}
	if err != nil {
		return Due{}, fmt.Errorf("login: due: %w", err)
	}
	return Due{Email: link.Email, Device: link.Device, ExpiresAt: link.ExpiresAt}, nil
}

// known returns a live link that is to be redeemed. An unknown one takes as long as one
// whose secret is wrong.
func (l *Links) known(ctx context.Context, id string) (Link, error) {
	link, err := l.find(ctx, id)
	if err != nil {
		l.verify(l.unknown, "secret", "", "")
		l.verify(l.unknown, "cookie", "", "")
		return Link{}, refused(err)
	}
	return link, nil
}

func (l *Links) find(ctx context.Context, id string) (Link, error) {
	if !consists(id, base62, flowIDLength) {
		return Link{}, ErrNotFound
	}
	link, err := l.store.FindLink(ctx, id, l.now())
	if err == nil && link.User != l.user {
		return Link{}, ErrNotFound
	}
	return link, err
}

// DeleteExpired removes up to limit flows whose time is over, and returns how many. An app
// calls it.
func (l *Links) DeleteExpired(ctx context.Context, limit int) (int, error) {
	n, err := l.store.DeleteExpiredLinks(ctx, limit, l.now())
	if err != nil {
		return n, fmt.Errorf("login: delete expired links: %w", err)
	}
	return n, nil
}

// refused turns what was not found into what a caller is told.
func refused(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errInvalidLogin()
	}
	return err
}

func (l *Links) hash(what, id, value string) []byte {
	return l.hasher.MAC(l.purpose, []byte(what), []byte(id), []byte(value))
}

func (l *Links) verify(hash []byte, what, id, value string) bool {
	return l.hasher.Verify(l.purpose, hash, []byte(what), []byte(id), []byte(value))
}

func (l *Links) now() time.Time {
	if l.opts.Now == nil {
		return time.Time{}
	}
	return l.opts.Now()
}

// mask returns an address of which somebody who does not know it learns little.
func mask(email identity.Email) string {
	typed := email.String()
	_, size := utf8.DecodeRuneInString(typed)
	return typed[:size] + "…" + typed[strings.LastIndexByte(typed, '@'):]
}
