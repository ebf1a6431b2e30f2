package levqortest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/identity"
)

// spellings are of one address: case, Unicode forms of composition and compatibility,
// and a domain in Unicode and in ASCII.
var spellings = []string{
	"jürgen@bücher.example", "Jürgen@bücher.example", "JÜRGEN@BÜCHER.EXAMPLE", "ju\u0308rgen@bu\u0308cher.example",
	"JU\u0308RGEN@bücher.example", "jürgen@xn--bcher-kva.example", "ｊürgen@Bücher.example", "jürgen@XN--BCHER-KVA.example",
}

var userCases = map[string]func(*env){
	"everything about a user is kept": func(e *env) {
		email := e.email("O'Neil?@Example.com")
		got, created, err := e.Directory.EnsureUser(e.ctx, identity.User{ID: 7, Email: email, Name: "it's ?"}, t0)
		want := identity.User{ID: 7, Email: email, Name: "it's ?", CreatedAt: t0}
		if err != nil || !created || got != want {
			e.Fatalf("EnsureUser = %+v, %v, %v; want %+v", got, created, err, want)
		}
		if got, err := e.Directory.FindUser(e.ctx, 7); err != nil || got != want {
			e.Errorf("FindUser = %+v, %v; want %+v", got, err, want)
		}
		if got, err := e.Directory.FindUserByEmail(e.ctx, "o'neil?@example.com"); err != nil || got != want {
			e.Errorf("FindUserByEmail = %+v, %v; want %+v", got, err, want)
		}
	},
	"unknown users are not found": func(e *env) {
		_, err := e.Directory.FindUser(e.ctx, 7)
		_, byEmail := e.Directory.FindUserByEmail(e.ctx, "u7@example.com")
		_, rename := e.Directory.RenameUser(e.ctx, 7, "x")
		_, disable := e.Directory.DisableUser(e.ctx, 7, t0)
		_, enable := e.Directory.EnableUser(e.ctx, 7)
		for _, err := range []error{err, byEmail, rename, disable, enable} {
			e.wantErr(err, identity.ErrNotFound, "there is none")
		}
	},
	"another spelling finds the user as they were stored": func(e *env) {
		e.user(7)
		got, created, err := e.Directory.EnsureUser(e.ctx, identity.User{ID: 8, Email: e.email("U7@EXAMPLE.com"), Name: "other"}, t0.Add(time.Hour))
		if err != nil || created || got.ID != 7 || got.Email.String() != "u7@example.com" || got.Name != "u7" || !got.CreatedAt.Equal(t0) {
			e.Errorf("EnsureUser = %+v, %v, %v; want user 7 unchanged", got, created, err)
		}
	},
	"a taken ID is a conflict": func(e *env) {
		e.user(7)
		_, _, err := e.Directory.EnsureUser(e.ctx, identity.User{ID: 7, Email: e.email("other@example.com")}, t0)
		e.wantErr(err, identity.ErrConflict, "the ID is taken")
	},
	"200 callers with eight spellings make one user": func(e *env) {
		e.ensureOneUser(e.Stores)
	},
	"a new name is kept": func(e *env) {
		e.user(7)
		if got, err := e.Directory.RenameUser(e.ctx, 7, "new"); err != nil || got.Name != "new" {
			e.Errorf("RenameUser = %+v, %v", got, err)
		}
		if got, err := e.Directory.FindUser(e.ctx, 7); err != nil || got.Name != "new" {
			e.Errorf("FindUser = %+v, %v; want the new name", got, err)
		}
	},
	"the first time that a user is disabled counts, until they are enabled": func(e *env) {
		e.user(7)
		for i := range 2 {
			if got, err := e.Directory.DisableUser(e.ctx, 7, t0.Add(time.Duration(i)*time.Hour)); err != nil || !got.DisabledAt.Equal(t0) {
				e.Errorf("DisableUser = %+v, %v; want %v", got, err, t0)
			}
		}
		if got, err := e.Directory.EnableUser(e.ctx, 7); err != nil || !got.DisabledAt.IsZero() {
			e.Errorf("EnableUser = %+v, %v", got, err)
		}
	},
	"whoever holds a user keeps others from it": func(e *env) {
		e.user(7)
		var released atomic.Bool
		var late arrival
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			if err := tx.Directory.HoldUser(ctx, 7); err != nil {
				e.Errorf("HoldUser = %v", err)
			}
			late.comes(e, func(ctx context.Context, tx levqor.Stores) error {
				err := tx.Directory.HoldUser(ctx, 7)
				if !released.Load() {
					e.Error("another transaction holds the user at the same time")
				}
				return err
			})
			released.Store(true)
			return nil
		})
		late.ended()
	},
}

// ensureOneUser lets 200 callers at once ask stores on one database for one user.
func (e *env) ensureOneUser(stores ...levqor.Stores) {
	e.Helper()
	var made atomic.Int32
	ids := make([]identity.UserID, 200)
	var wg sync.WaitGroup
	for i := range ids {
		email := e.email(spellings[i%len(spellings)])
		wg.Go(func() {
			user, created, err := stores[i%len(stores)].Directory.EnsureUser(e.ctx, identity.User{ID: identity.UserID(100 + i), Email: email}, time.Time{})
			if err != nil {
				e.Errorf("EnsureUser = %v", err)
			}
			if created {
				made.Add(1)
			}
			ids[i] = user.ID
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if n, users := made.Load(), slices.Compact(ids); n != 1 || len(users) != 1 {
		e.Errorf("%d callers made a user and they saw %v, want one", n, users)
	}
}

func (e *env) email(text string) identity.Email {
	e.Helper()
	email, err := identity.ParseEmail(text)
	if err != nil {
		e.Fatalf("ParseEmail(%q) = %v", text, err)
	}
	return email
}

// user stores a user with an address that has the ID in it, if there is none.
func (e *env) user(id identity.UserID) {
	e.Helper()
	name := fmt.Sprintf("u%d", int64(id))
	if _, _, err := e.Directory.EnsureUser(e.ctx, identity.User{ID: id, Email: e.email(name + "@example.com"), Name: name}, t0); err != nil {
		e.Fatalf("EnsureUser = %v", err)
	}
}

func (e *env) disable(user identity.UserID) {
	e.Helper()
	if _, err := e.Directory.DisableUser(e.ctx, user, t0); err != nil {
		e.Fatalf("DisableUser = %v", err)
	}
}

func (e *env) enable(user identity.UserID) {
	e.Helper()
	if _, err := e.Directory.EnableUser(e.ctx, user); err != nil {
		e.Fatalf("EnableUser = %v", err)
	}
}
