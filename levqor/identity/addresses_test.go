package identity_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// moved is a directory with ada, who has moved.
type moved struct {
	store     *identity.MemDirectory
	people    *identity.Directory
	addresses *identity.Addresses
	ada       identity.User
	undo      identity.Undo
	token     string
	now       time.Time
}

func newMoved(t *testing.T) *moved {
	t.Helper()
	m := &moved{store: identity.NewMemDirectory(identity.NewMemKeyStore()), now: time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)}
	m.people = identity.NewDirectory(m.store, &identity.DirectoryOptions{Now: func() time.Time { return m.now }})
	ring, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
	if err != nil {
		t.Fatal(err)
	}
	m.addresses = identity.NewAddresses(m.people, ring)
	m.ada = ensure(t, m.people, "ada@example.com")
	if m.ada, m.undo, m.token, err = m.addresses.Change(t.Context(), m.ada.ID, parse(t, "new@example.com")); err != nil {
		t.Fatalf("Change = %v", err)
	}
	return m
}

func TestATokenOfAnUndoIsKeptNowhere(t *testing.T) {
	m := newMoved(t)
	if !strings.HasPrefix(m.token, "lvu_") || len(m.token) != 64 || !strings.HasPrefix(m.token[4:], strings.TrimPrefix(m.undo.ID.String(), "und_")) {
		t.Errorf("the token of %v is %q", m.undo.ID, m.token)
	}
	stored, err := m.store.FindUndo(t.Context(), m.undo.ID, m.now)
	if err != nil || strings.Contains(fmt.Sprintf("%+v %s", stored, stored.Hash), m.token[15:58]) || len(stored.Hash) < 32 {
		t.Errorf("stored is %+v, %v", stored, err)
	}
}

func TestTokensOfUndosThatAreOverLookAlike(t *testing.T) {
	m := newMoved(t)
	foreign := newMoved(t).token
	swapped := m.token[:15] + strings.Map(func(c rune) rune {
		if c == 'A' {
			return 'B'
		}
		return 'A'
	}, m.token[15:58]) + m.token[58:]
	texts := map[string]bool{}
	for what, token := range map[string]string{"empty": "", "cut": m.token[:63], "swapped": swapped, "foreign": foreign, "an invitation": "lvi" + m.token[3:]} {
		_, err := m.addresses.Undo(t.Context(), token)
		if !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("Undo by one that is %s = %v, want ErrNotFound", what, err)
		}
		texts[fmt.Sprint(err)] = true
	}
	if len(texts) != 1 {
		t.Errorf("the errors are %v, want one", texts)
	}
	for range 3 { // looking changes nothing
		if got, err := m.addresses.FindUndo(t.Context(), m.token); err != nil || got.Email.String() != "ada@example.com" || got.User != m.ada.ID {
			t.Errorf("FindUndo = %+v, %v", got, err)
		}
	}
	if held, err := m.addresses.HeldFor(t.Context(), parse(t, "ADA@example.com")); err != nil || held.ID != m.undo.ID {
		t.Errorf("HeldFor = %+v, %v", held, err)
	}
	if user, err := m.addresses.Undo(t.Context(), m.token); err != nil || user.Email.String() != "ada@example.com" {
		t.Errorf("Undo = %+v, %v", user, err)
	}
	if _, err := m.addresses.Undo(t.Context(), m.token); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("Undo again = %v, want ErrNotFound", err)
	}
}

func TestAChangeNeedsAnAddress(t *testing.T) {
	m := newMoved(t)
	_, _, _, err := m.addresses.Change(t.Context(), m.ada.ID, identity.Email{})
	if all := fault.All(err); !errors.Is(err, identity.ErrInvalid) || len(all) != 1 || all[0].Field != "/email" {
		t.Errorf("Change = %v, want ErrInvalid", err)
	}
}

func TestUndoIDsAreReadAsTheyAreWritten(t *testing.T) {
	if id, err := identity.ParseUndoID(identity.UndoID(7).String()); err != nil || id != 7 {
		t.Errorf("ParseUndoID = %v, %v", id, err)
	}
	if _, err := identity.ParseUndoID("usr_00000000002"); !errors.Is(err, identity.ErrNotFound) {
		t.Errorf("ParseUndoID = %v, want ErrNotFound", err)
	}
}

func ExampleNewAddresses() {
	ctx := context.Background()
	ring, err := levqor.NewKeyRing([]byte("32 bytes from a random source ..."))
	if err != nil {
		fmt.Println(err)
		return
	}
	people := identity.NewDirectory(identity.NewMemDirectory(identity.NewMemKeyStore()), nil)
	addresses := identity.NewAddresses(people, ring)
	before, _ := identity.ParseEmail("ada@example.com")
	after, _ := identity.ParseEmail("thief@example.com")
	ada, _, err := people.EnsureUser(ctx, before, "Ada")
	if err != nil {
		fmt.Println(err)
		return
	}
	_, undo, token, err := addresses.Change(ctx, ada.ID, after)
	fmt.Println("mail to", undo.Email, err)
	ada, err = addresses.Undo(ctx, token)
	fmt.Println(ada.Email, err)
	// Output:
	// mail to ada@example.com <nil>
	// ada@example.com <nil>
}
