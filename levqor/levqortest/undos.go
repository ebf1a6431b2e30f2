package levqortest

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// wantUndo looks whether an undo is open.
func (e *env) wantUndo(id identity.UndoID, now time.Time, want bool) {
	e.Helper()
	if _, err := e.Directory.FindUndo(e.ctx, id, now); (err == nil) != want || err != nil && !errors.Is(err, identity.ErrNotFound) {
		e.Errorf("FindUndo(%d) = %v, want it open: %v", int64(id), err, want)
	}
}

var undoCases = map[string]func(*env){
	"a taken ID of an undo is a conflict": func(e *env) {
		e.user(7)
		e.user(8)
		e.mustMove(7, 1, "new@example.com", t0)
		_, _, err := e.move(8, 1, "other@example.com", t0)
		e.wantErr(err, identity.ErrConflict, "the ID is taken")
		e.wantAddress(8, "u8@example.com")
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
