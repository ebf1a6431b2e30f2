package levqortest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
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

// wantUndo looks whether an undo is open.
func (e *env) wantUndo(id identity.UndoID, now time.Time, want bool) {
	e.Helper()
	if _, err := e.Directory.FindUndo(e.ctx, id, now); (err == nil) != want || err != nil && !errors.Is(err, identity.ErrNotFound) {
		e.Errorf("FindUndo(%d) = %v, want it open: %v", int64(id), err, want)
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
	"a taken ID of an undo is a conflict": func(e *env) {
		e.user(7)
		e.user(8)
		e.mustMove(7, 1, "new@example.com", t0)
		_, _, err := e.move(8, 1, "other@example.com", t0)
		e.wantErr(err, identity.ErrConflict, "the ID is taken")
		e.wantAddress(8, "u8@example.com")
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
	"an undo leads back past all changes after it, and leaves those before": func(e *env) {
		e.user(7)
		e.user(8)
		for i, address := range []string{"b@example.com", "c@example.com", "d@example.com"} {
			e.mustMove(7, identity.UndoID(i+1), address, t0)
		}
		e.mustMove(8, 4, "x@example.com", t0)
		if user, err := e.Directory.UndoAddress(e.ctx, 2, t0); err != nil || user.ID != 7 || user.Email.String() != "b@example.com" {
			e.Errorf("UndoAddress = %+v, %v", user, err)
		}
		e.wantAddress(7, "b@example.com")
		for id, want := range map[identity.UndoID]bool{1: true, 2: false, 3: false, 4: true} {
			e.wantUndo(id, t0, want)
		}
		_, err := e.Directory.UndoAddress(e.ctx, 3, t0)
		e.wantErr(err, identity.ErrNotFound, "it was reached past")
		if err := e.newcomer(9, "d@example.com", t0); err != nil {
			e.Errorf("EnsureUser = %v; want the address of after free", err)
		}
		e.mustMove(7, 5, "c@example.com", t0)
		if _, err := e.Directory.UndoAddress(e.ctx, 1, t0); err != nil {
			e.Errorf("UndoAddress = %v", err)
		}
		e.wantAddress(7, "u7@example.com")
		e.wantUndo(5, t0, false)
	},
	"an undo ends what the user has made since the change": func(e *env) {
		want := e.made()
		e.mustMove(8, 1, "thief@example.com", t0)
		if _, err := e.Directory.UndoAddress(e.ctx, 1, t0); err != nil {
			e.Errorf("UndoAddress = %v", err)
		}
		want(20, false)
		want(21, false)
	},
	"an undo leaves what the user has made before the change": func(e *env) {
		want := e.made()
		e.mustMove(8, 1, "thief@example.com", t0.Add(time.Microsecond))
		if _, err := e.Directory.UndoAddress(e.ctx, 1, t0.Add(time.Hour)); err != nil {
			e.Errorf("UndoAddress = %v", err)
		}
		want(20, true)
		want(21, true)
	},
	"an undo is for a disabled user too, and ends with a deleted one": func(e *env) {
		e.user(7)
		e.mustMove(7, 1, "b@example.com", t0)
		e.mustMove(7, 2, "c@example.com", t0)
		e.disable(7)
		if user, err := e.Directory.UndoAddress(e.ctx, 2, t0); err != nil || user.DisabledAt.IsZero() {
			e.Errorf("UndoAddress = %+v, %v; want the user still disabled", user, err)
		}
		if _, _, err := e.Directory.DeleteUser(e.ctx, 7, t0); err != nil {
			e.Fatal(err)
		}
		e.wantUndo(1, t0, false)
		_, err := e.Directory.UndoAddress(e.ctx, 1, t0)
		e.wantErr(err, identity.ErrNotFound, "the deletion has begun")
		_, err = e.Directory.FindUndoByAddress(e.ctx, "u7@example.com", t0)
		e.wantErr(err, identity.ErrNotFound, "the deletion has begun")
		e.wantErr(e.newcomer(8, "u7@example.com", t0), identity.ErrAddressHeld, "what was left is not erased")
		if err := e.Directory.ForgetUser(e.ctx, 7); err != nil {
			e.Fatal(err)
		}
		if err := e.newcomer(8, "u7@example.com", t0); err != nil {
			e.Errorf("EnsureUser = %v; want the address free", err)
		}
	},
	"ten changes of a user can be open to be undone": func(e *env) {
		e.user(7)
		e.user(8)
		for i := range identity.MaxUndos {
			e.mustMove(7, identity.UndoID(i+1), fmt.Sprintf("n%d@example.com", i), t0)
		}
		_, _, err := e.move(7, 100, "late@example.com", t0.Add(time.Hour))
		e.wantErr(err, identity.ErrTooManyUndos, "ten are open")
		e.wantAddress(7, "n9@example.com")
		e.mustMove(8, 101, "other@example.com", t0)
		if _, undo, err := e.move(7, 100, "late@example.com", t0.Add(identity.UndoTTL)); err != nil || undo.Step != identity.MaxUndos+1 {
			e.Errorf("ChangeAddress = %+v, %v; want a higher step", undo, err)
		}
	},
	"expired undos are deleted up to the limit": func(e *env) {
		e.user(7)
		for i := range 3 {
			e.mustMove(7, identity.UndoID(i+1), fmt.Sprintf("n%d@example.com", i), t0)
		}
		e.mustMove(7, 4, "late@example.com", t0.Add(time.Second))
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Directory.DeleteExpiredUndos(e.ctx, 2, t0.Add(identity.UndoTTL)); err != nil || n != want {
				e.Errorf("DeleteExpiredUndos = %d, %v; want %d", n, err, want)
			}
		}
		e.wantUndo(4, t0.Add(identity.UndoTTL), true)
	},
	"of callers at once for one address one gets it":              func(e *env) { e.moveOne(e.Stores) },
	"an address that is left is nobody's in any moment":           func(e *env) { e.leaveAndCome(e.Stores) },
	"of callers at once one undoes, and no later change outlives": func(e *env) { e.undoOnce(e.Stores) },
	"the store's clock counts if no instant is given for an undo": func(e *env) {
		e.user(7)
		_, undo, err := e.move(7, 1, "new@example.com", time.Time{})
		if err != nil || undo.CreatedAt.IsZero() || undo.ExpiresAt.Sub(undo.CreatedAt) != identity.UndoTTL {
			e.Fatalf("ChangeAddress = %+v, %v", undo, err)
		}
		if _, err := e.Directory.UndoAddress(e.ctx, 1, time.Time{}); err != nil {
			e.Errorf("UndoAddress = %v", err)
		}
	},
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
	"a link is used for its user alone": func(e *env) {
		for id, user := range map[string]identity.UserID{"a": 7, "b": 0} {
			link := e.link(id, id+"@example.com")
			link.User = user
			if _, err := e.Links.InsertLink(e.ctx, link, t0); err != nil {
				e.Fatal(err)
			}
		}
		for _, c := range []struct {
			id   string
			user identity.UserID
		}{{"a", 0}, {"a", 8}, {"b", 7}} {
			_, err := e.Links.UseLink(e.ctx, c.id, c.user, t0)
			e.wantErr(err, login.ErrNotFound, "the link is another user's")
			e.wantLive(c.id, t0, true)
		}
		for id, user := range map[string]identity.UserID{"a": 7, "b": 0} {
			if got, err := e.Links.UseLink(e.ctx, id, user, t0); err != nil || got.User != user {
				e.Errorf("UseLink = %+v, %v", got, err)
			}
		}
	},
	"the links of a user go when the user is forgotten, and no others": func(e *env) {
		e.user(7)
		for id, user := range map[string]identity.UserID{"a": 7, "b": 8, "c": 0} {
			link := e.link(id, id+"@example.com")
			link.User = user
			if _, err := e.Links.InsertLink(e.ctx, link, t0); err != nil {
				e.Fatal(err)
			}
		}
		e.wantErr(e.Directory.ForgetUser(e.ctx, 7), identity.ErrConflict, "the deletion has not begun")
		e.wantLive("a", t0, true)
		if _, _, err := e.Directory.DeleteUser(e.ctx, 7, t0); err != nil {
			e.Fatal(err)
		}
		if err := e.Directory.ForgetUser(e.ctx, 7); err != nil {
			e.Errorf("ForgetUser = %v", err)
		}
		e.wantLive("a", t0, false)
		e.wantLive("b", t0, true)
		e.wantLive("c", t0, true)
		if n, err := e.Links.DeleteExpiredLinks(e.ctx, 10, t0.Add(time.Hour)); err != nil || n != 2 {
			e.Errorf("DeleteExpiredLinks = %d, %v; want the two that are there", n, err)
		}
	},
	"the links of a user end, and no others": func(e *env) {
		for id, user := range map[string]identity.UserID{"a": 7, "b": 8, "c": 0} {
			link := e.link(id, id+"@example.com")
			link.User = user
			if got, err := e.Links.InsertLink(e.ctx, link, t0); err != nil || got.User != user {
				e.Fatalf("InsertLink = %+v, %v", got, err)
			}
		}
		if got, err := e.Links.FindLink(e.ctx, "a", t0); err != nil || got.User != 7 {
			e.Errorf("FindLink = %+v, %v; want that of user 7", got, err)
		}
		for _, user := range []identity.UserID{7, 0} {
			if err := e.Links.EndLinks(e.ctx, user, nil, t0); err != nil {
				e.Errorf("EndLinks = %v", err)
			}
		}
		_, err := e.Links.UseLink(e.ctx, "a", 7, t0)
		e.wantErr(err, login.ErrNotFound, "the link has ended")
		e.wantLive("b", t0, true)
		e.wantLive("c", t0, true)
	},
	"a link by which a user has moved ends with all by which they would, and no others": func(e *env) {
		for id, user := range map[string]identity.UserID{"a": 7, "b": 7, "c": 8, "d": 0} {
			link := e.link(id, id+"@example.com")
			link.User = user
			if _, err := e.Links.InsertLink(e.ctx, link, t0); err != nil {
				e.Fatal(err)
			}
		}
		if _, err := e.Links.UseLink(e.ctx, "a", 7, t0); err != nil {
			e.Errorf("UseLink = %v", err)
		}
		for id, want := range map[string]bool{"a": false, "b": false, "c": true, "d": true} {
			e.wantLive(id, t0, want)
		}
		if _, err := e.Links.UseLink(e.ctx, "d", 0, t0); err != nil {
			e.Errorf("UseLink = %v", err)
		}
		e.wantLive("c", t0, true)
	},
	"the links of addresses end with those of a user, in any spelling, and no others": func(e *env) {
		for id, address := range map[string]string{"a": "STRASSE@example.com", "b": "straße@example.com", "c": "c@example.com", "d": "d@example.com"} {
			e.insertLink(id, address, t0)
		}
		change := e.link("e", "e@example.com")
		change.User = 7
		if _, err := e.Links.InsertLink(e.ctx, change, t0); err != nil {
			e.Fatal(err)
		}
		if err := e.Links.EndLinks(e.ctx, 7, []identity.Email{e.email("strasse@example.com"), e.email("d@example.com")}, t0); err != nil {
			e.Errorf("EndLinks = %v", err)
		}
		for id, want := range map[string]bool{"a": false, "b": false, "c": true, "d": false, "e": false} {
			e.wantLive(id, t0, want)
		}
		if !e.insertLink("f", "d@example.com", t0) {
			e.Error("a link has no mail though those before have ended")
		}
	},
	"whoever holds a user keeps others from it": func(e *env) {
		e.user(7)
		var released atomic.Bool
		var wg sync.WaitGroup
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			if err := tx.Directory.HoldUser(ctx, 7); err != nil {
				e.Errorf("HoldUser = %v", err)
			}
			wg.Go(func() {
				err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
					err := tx.Directory.HoldUser(ctx, 7)
					if !released.Load() {
						e.Error("another transaction holds the user at the same time")
					}
					return err
				})
				if err != nil {
					e.Errorf("InTx = %v", err)
				}
			})
			time.Sleep(20 * time.Millisecond) // the other one comes meanwhile
			released.Store(true)
			return nil
		})
		wg.Wait()
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

// undoOnce undoes the first of two changes many times at once while the user moves on,
// through stores on one database.
func (e *env) undoOnce(processes ...levqor.Stores) {
	e.Helper()
	for round := range 5 {
		user, first := identity.UserID(2000+round), identity.UndoID(10_000*(round+1))
		e.user(user)
		e.mustMove(user, first, fmt.Sprintf("b%d@example.com", round), time.Time{})
		var undone atomic.Int32
		e.atOnce(20, func(i int) {
			store := processes[i%len(processes)].Directory
			if i == 0 {
				_, _, err := store.ChangeAddress(e.ctx, identity.Undo{ID: first + 1, User: user, Hash: []byte{1}}, e.email(fmt.Sprintf("c%d@example.com", round)), time.Time{})
				if err != nil {
					e.Errorf("ChangeAddress = %v", err)
				}
				return
			}
			_, err := store.UndoAddress(e.ctx, first, time.Time{})
			if err == nil {
				undone.Add(1)
			} else if !errors.Is(err, identity.ErrNotFound) {
				e.Errorf("UndoAddress = %v", err)
			}
		})
		if n := undone.Load(); n != 1 {
			e.Errorf("%d callers undid the change, want 1", n)
		}
		e.wantUndo(first, time.Time{}, false)
	}
}
