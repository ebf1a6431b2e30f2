package identity

import (
	"context"
	"errors"
)

const undoPurpose = "address-undo"

// Addresses moves users to other addresses, and back. That somebody has the new one is for
// the caller to know. It is safe for concurrent use.
//
// A change is undone by whoever has the token that was mailed to the address from before,
// for [UndoTTL]. Of a chain of changes each can be undone: that leads back to the address
// from before it, and all changes after it cannot be undone any more. So the oldest wins:
// whoever takes an account over and moves it from address to address is always behind who
// had it first. While a change can be undone, nobody else gets the address from before.
type Addresses struct {
	people  *Directory
	hasher  Hasher
	unknown []byte // is compared with where no undo was found, so that it takes as long
}

// NewAddresses returns the addresses of a directory's users.
func NewAddresses(people *Directory, hasher Hasher) *Addresses {
	return &Addresses{people, hasher, hasher.MAC(undoPurpose, []byte("no undo"))}
}

// With returns the same addresses on another store, such as one bound to the caller's
// transaction.
func (a *Addresses) With(store DirectoryStore) *Addresses {
	c := *a
	c.people = a.people.With(store)
	return &c
}

// Change gives a user another address, or another spelling of the same, and returns what
// undoes that with its token, which cannot be had again. It returns an ErrInvalid about
// "/email" for none, ErrNotFound if there is no such user or they are disabled,
// ErrAddressInUse if somebody else has the address or may have it back, and ErrTooManyUndos
// beyond [MaxUndos]. Of callers at once for one address, one gets it.
func (a *Addresses) Change(ctx context.Context, user UserID, to Email) (changed User, undo Undo, token string, err error) {
	if to == (Email{}) {
		return User{}, Undo{}, "", wrap("change address", invalidEmail("required", "must be an address"))
	}
	err = a.people.withID(func(id int64) error {
		undo = Undo{ID: UndoID(id), User: user}
		var secret string
		token, secret = newUndoToken(undo.ID)
		undo.Hash = a.hash(undo.ID, secret)
		changed, undo, err = a.people.store.ChangeAddress(ctx, undo, to, a.people.now())
		return err
	})
	if err != nil {
		return User{}, Undo{}, "", wrap("change address", err)
	}
	return changed, undo, token, nil
}

// FindUndo returns the undo of a token, and changes nothing. Tokens that are malformed,
// unknown, used, expired and of changes that another undo has reached past are an
// ErrNotFound, and look alike.
func (a *Addresses) FindUndo(ctx context.Context, token string) (Undo, error) {
	id, secret, ok := parseUndoToken(token)
	if !ok {
		return Undo{}, wrap("find undo", ErrNotFound)
	}
	found, err := a.people.store.FindUndo(ctx, id, a.people.now())
	if err != nil && !errors.Is(err, ErrNotFound) {
		return Undo{}, wrap("find undo", err)
	}
	hash := found.Hash
	if err != nil {
		hash = a.unknown
	}
	if !a.hasher.Verify(undoPurpose, hash, []byte(id.String()), []byte(secret)) {
		return Undo{}, wrap("find undo", ErrNotFound)
	}
	return found, nil
}

// Undo leads the user of a token's change back to the address from before it, once, whether
// or not they are disabled. It returns ErrNotFound as [Addresses.FindUndo] does.
func (a *Addresses) Undo(ctx context.Context, token string) (User, error) {
	found, err := a.FindUndo(ctx, token)
	if err != nil {
		return User{}, err
	}
	user, err := a.people.store.UndoAddress(ctx, found.ID, a.people.now())
	return user, wrap("undo", err)
}

// HeldFor returns the last undo that leads back to an address, in whatever spelling, or
// ErrNotFound.
func (a *Addresses) HeldFor(ctx context.Context, email Email) (Undo, error) {
	undo, err := a.people.store.FindUndoByAddress(ctx, email.Canonical(), a.people.now())
	return undo, wrap("find undo", err)
}

func (a *Addresses) hash(id UndoID, secret string) []byte {
	return a.hasher.MAC(undoPurpose, []byte(id.String()), []byte(secret))
}
