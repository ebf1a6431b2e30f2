package levqortest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// move gives a user an address, with an undo of an ID.
func (e *env) move(user identity.UserID, undo identity.UndoID, address string, now time.Time) (identity.User, identity.Undo, error) {
	e.Helper()
	return e.Directory.ChangeAddress(e.ctx, identity.Undo{ID: undo, User: user, Hash: []byte{0, 1, 0xff}}, e.email(address), now)
}

func (e *env) mustMove(user identity.UserID, undo identity.UndoID, address string, now time.Time) {
	e.Helper()
	if _, _, err := e.move(user, undo, address, now); err != nil {
		e.Fatalf("ChangeAddress = %v", err)
	}
}

// wantAddress looks whether a user has an address, and whether they are found by it.
func (e *env) wantAddress(id identity.UserID, address string) {
	e.Helper()
	user, err := e.Directory.FindUser(e.ctx, id)
	if err != nil || user.Email.String() != address {
		e.Errorf("the address is %v, %v; want %s", user.Email, err, address)
	}
	if byEmail, err := e.Directory.FindUserByEmail(e.ctx, e.email(address).Canonical()); err != nil || byEmail.ID != id {
		e.Errorf("FindUserByEmail(%s) = %v, %v; want %v", address, byEmail.ID, err, id)
	}
}

// newcomer asks for a user with an address.
func (e *env) newcomer(id identity.UserID, address string, now time.Time) error {
	e.Helper()
	_, _, err := e.Directory.EnsureUser(e.ctx, identity.User{ID: id, Email: e.email(address)}, now)
	return err
}

var addressCases = map[string]func(*env){
	"a changed address is the user's, and everything about the undo is kept": func(e *env) {
		e.user(7)
		user, undo, err := e.move(7, 1, "O'Neil?@Bücher.example", t0)
		want := identity.Undo{
			ID: 1, User: 7, Email: e.email("u7@example.com"), Hash: []byte{0, 1, 0xff}, Step: 1, CreatedAt: t0, ExpiresAt: t0.Add(identity.UndoTTL),
		}
		if err != nil || user.Email.String() != "O'Neil?@Bücher.example" || user.Name != "u7" || fmt.Sprint(undo) != fmt.Sprint(want) {
			e.Fatalf("ChangeAddress = %+v, %v, %v; want %v", user, undo, err, want)
		}
		if got, err := e.Directory.FindUndo(e.ctx, 1, t0); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindUndo = %v, %v; want %v", got, err, want)
		}
		e.wantAddress(7, "O'Neil?@Bücher.example")
		_, err = e.Directory.FindUserByEmail(e.ctx, "u7@example.com")
		e.wantErr(err, identity.ErrNotFound, "nobody has the address of before")
	},
	"unknown, disabled and deleted users do not move": func(e *env) {
		e.user(7)
		e.user(8)
		e.disable(7)
		if _, _, err := e.Directory.DeleteUser(e.ctx, 8, t0); err != nil {
			e.Fatal(err)
		}
		for user := identity.UserID(7); user < 10; user++ {
			_, _, err := e.move(user, identity.UndoID(user), "new@example.com", t0)
			e.wantErr(err, identity.ErrNotFound, "the user cannot act")
			e.wantUndo(identity.UndoID(user), t0, false)
		}
		e.wantErr(e.Directory.HoldUser(e.ctx, 8), identity.ErrNotFound, "the deletion has begun")
		e.wantErr(e.Directory.HoldUser(e.ctx, 9), identity.ErrNotFound, "there is none")
	},
	"another user's address is in use, in any spelling and while they are deleted": func(e *env) {
		e.user(7)
		e.user(8)
		_, _, err := e.move(7, 1, "U8@EXAMPLE.com", t0)
		e.wantErr(err, identity.ErrAddressInUse, "user 8 has it")
		if _, _, err := e.Directory.DeleteUser(e.ctx, 8, t0); err != nil {
			e.Fatal(err)
		}
		_, _, err = e.move(7, 1, "u8@example.com", t0)
		e.wantErr(err, identity.ErrAddressInUse, "user 8 is not forgotten")
		e.wantAddress(7, "u7@example.com")
		e.wantUndo(1, t0, false)
		if err := e.Directory.ForgetUser(e.ctx, 8); err != nil {
			e.Fatal(err)
		}
		e.mustMove(7, 1, "u8@example.com", t0)
	},
	"a user moves to another spelling of the same address, and back": func(e *env) {
		e.user(7)
		e.mustMove(7, 1, "U7@example.com", t0)
		e.wantAddress(7, "U7@example.com")
		if user, err := e.Directory.UndoAddress(e.ctx, 1, t0); err != nil || user.Email.String() != "u7@example.com" {
			e.Errorf("UndoAddress = %+v, %v", user, err)
		}
	},
	"an address is nobody else's while an undo leads back to it": func(e *env) {
		e.user(7)
		e.user(8)
		e.mustMove(7, 1, "new@example.com", t0)
		last := t0.Add(identity.UndoTTL - time.Microsecond)
		e.wantErr(e.newcomer(9, "U7@Example.com", last), identity.ErrAddressHeld, "an undo is open")
		_, err := e.Directory.FindUser(e.ctx, 9)
		e.wantErr(err, identity.ErrNotFound, "the user was refused")
		_, _, err = e.move(8, 2, "U7@example.com", last)
		e.wantErr(err, identity.ErrAddressInUse, "an undo is open")
		if got, err := e.Directory.FindUndoByAddress(e.ctx, "u7@example.com", last); err != nil || got.ID != 1 || got.User != 7 {
			e.Errorf("FindUndoByAddress = %+v, %v; want undo 1", got, err)
		}
		_, err = e.Directory.FindUndoByAddress(e.ctx, "u8@example.com", last)
		e.wantErr(err, identity.ErrNotFound, "nobody has left it")
		e.wantUndo(1, last, true)
		e.wantUndo(1, t0.Add(identity.UndoTTL), false)
		_, err = e.Directory.UndoAddress(e.ctx, 1, t0.Add(identity.UndoTTL))
		e.wantErr(err, identity.ErrNotFound, "the undo has expired")
		if err := e.newcomer(9, "u7@example.com", t0.Add(identity.UndoTTL)); err != nil {
			e.Errorf("EnsureUser = %v", err)
		}
	},
	"users may have an address again that they have left": func(e *env) {
		e.user(7)
		e.mustMove(7, 1, "new@example.com", t0)
		e.mustMove(7, 2, "u7@example.com", t0)
		e.mustMove(7, 3, "new@example.com", t0)
		if got, err := e.Directory.FindUndoByAddress(e.ctx, "u7@example.com", t0); err != nil || got.ID != 3 || got.Step != 3 {
			e.Errorf("FindUndoByAddress = %+v, %v; want the last undo", got, err)
		}
	},
	"of callers at once for one address one gets it":    func(e *env) { e.moveOne(e.Stores) },
	"an address that is left is nobody's in any moment": func(e *env) { e.leaveAndCome(e.Stores) },
	"what a transaction did to addresses is undone": func(e *env) {
		e.user(7)
		e.user(8)
		e.mustMove(8, 1, "b@example.com", t0)
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, _, moved := tx.Directory.ChangeAddress(ctx, identity.Undo{ID: 2, User: 7, Hash: []byte{1}}, e.email("c@example.com"), t0)
			_, undone := tx.Directory.UndoAddress(ctx, 1, t0)
			return errors.Join(moved, undone, errBoom)
		})
		if fmt.Sprint(err) != errBoom.Error() {
			e.Errorf("InTx = %v, want %v alone", err, errBoom)
		}
		e.wantAddress(7, "u7@example.com")
		e.wantAddress(8, "b@example.com")
		e.wantUndo(1, t0, true)
		e.wantUndo(2, t0, false)
	},
}

// moveOne lets 40 users at once move to one address, in eight spellings, through stores on
// one database.
func (e *env) moveOne(processes ...levqor.Stores) {
	e.Helper()
	const users = 40
	for i := range users {
		e.user(identity.UserID(100 + i))
	}
	var moved atomic.Int32
	e.atOnce(users, func(i int) {
		undo := identity.Undo{ID: identity.UndoID(i + 1), User: identity.UserID(100 + i), Hash: []byte{1}}
		_, _, err := processes[i%len(processes)].Directory.ChangeAddress(e.ctx, undo, e.email(spellings[i%len(spellings)]), time.Time{})
		if err == nil {
			moved.Add(1)
		} else if !errors.Is(err, identity.ErrAddressInUse) {
			e.Errorf("ChangeAddress = %v", err)
		}
	})
	if n := moved.Load(); n != 1 {
		e.Errorf("%d users have the address, want 1", n)
	}
}

// leaveAndCome lets users leave addresses while others want to have them, through stores on
// one database.
func (e *env) leaveAndCome(processes ...levqor.Stores) {
	e.Helper()
	const rounds, comers = 10, 6
	for round := range rounds {
		user := identity.UserID(1000 + round)
		e.user(user)
		e.user(user + 500)
		address := fmt.Sprintf("u%d@example.com", int64(user))
		e.atOnce(comers, func(i int) {
			store := processes[i%len(processes)].Directory
			var err error
			switch i {
			case 0:
				_, _, err = store.ChangeAddress(e.ctx, identity.Undo{ID: identity.UndoID(10 * (round + 1)), User: user, Hash: []byte{1}},
					e.email(fmt.Sprintf("left%d@example.com", round)), time.Time{})
			case 1:
				_, _, err = store.ChangeAddress(e.ctx, identity.Undo{ID: identity.UndoID(10*(round+1) + 1), User: user + 500, Hash: []byte{1}}, e.email(address), time.Time{})
				if !errors.Is(err, identity.ErrAddressInUse) {
					e.Errorf("ChangeAddress = %v, want ErrAddressInUse", err)
				}
				return
			default:
				var there identity.User
				there, _, err = store.EnsureUser(e.ctx, identity.User{ID: identity.UserID(5000 + 10*round + i), Email: e.email(address)}, time.Time{})
				if err == nil && there.ID != user {
					e.Errorf("a newcomer has the address: %+v", there)
				}
				if errors.Is(err, identity.ErrAddressHeld) {
					err = nil
				}
			}
			if err != nil {
				e.Errorf("the error is %v", err)
			}
		})
	}
}
