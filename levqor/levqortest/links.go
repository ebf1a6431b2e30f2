package levqortest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/login"
)

// link returns a link for an address.
func (e *env) link(id, address string) login.Link {
	e.Helper()
	return login.Link{
		ID: id, Email: e.email(address), Device: login.Device{Label: "it's ? on Linux", Address: netip.MustParseAddr("2001:db8::1")},
		SecretHash: []byte{0, 1, 0xff}, CodeHash: []byte{2}, CookieHash: []byte{3}, MatchHash: []byte{4},
	}
}

// insertLink stores a link and tells whether it has mail.
func (e *env) insertLink(id, address string, now time.Time) (mailed bool) {
	e.Helper()
	link, err := e.Links.InsertLink(e.ctx, e.link(id, address), now)
	if err != nil {
		e.Fatalf("InsertLink = %v", err)
	}
	return link.Mailed
}

// wantLive looks whether a link is live, and whether it can be used.
func (e *env) wantLive(id string, now time.Time, want bool) {
	e.Helper()
	if _, err := e.Links.FindLink(e.ctx, id, now); (err == nil) != want || err != nil && !errors.Is(err, login.ErrNotFound) {
		e.Errorf("FindLink(%s) at %v = %v, want it live: %v", id, now.Sub(t0), err, want)
	}
}

var linkCases = map[string]func(*env){
	"everything about a link is kept": func(e *env) {
		want := e.link("a", "O'Neil?@Example.com")
		got, err := e.Links.InsertLink(e.ctx, want, t0)
		want.Mailed, want.CreatedAt, want.ExpiresAt = true, t0, t0.Add(login.LinkTTL)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Fatalf("InsertLink = %v, %v; want %v", got, err, want)
		}
		if got, err := e.Links.FindLink(e.ctx, "a", t0); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			e.Errorf("FindLink = %v, %v; want %v", got, err, want)
		}
		nobody := e.link("b", "b@example.com")
		nobody.Device = login.Device{}
		if _, err := e.Links.InsertLink(e.ctx, nobody, t0); err != nil {
			e.Fatalf("InsertLink = %v", err)
		}
		if got, err := e.Links.FindLink(e.ctx, "b", t0); err != nil || got.Device != nobody.Device {
			e.Errorf("FindLink = %v, %v; want a device that nobody knows", got.Device, err)
		}
	},
	"a link lasts ten minutes": func(e *env) {
		e.insertLink("a", "a@example.com", t0)
		e.wantLive("a", t0.Add(login.LinkTTL), true)
		e.wantLive("a", t0.Add(login.LinkTTL+time.Second), false)
		_, tryErr := e.Links.TryLink(e.ctx, "a", t0.Add(login.LinkTTL+time.Second))
		_, useErr := e.Links.UseLink(e.ctx, "a", 0, t0.Add(login.LinkTTL+time.Second))
		for _, err := range []error{tryErr, useErr} {
			e.wantErr(err, login.ErrNotFound, "the link has expired")
		}
		if _, err := e.Links.UseLink(e.ctx, "a", 0, t0.Add(login.LinkTTL)); err != nil {
			e.Errorf("UseLink at the last instant = %v", err)
		}
	},
	"the store's clock counts if no instant is given": func(e *env) {
		link, err := e.Links.InsertLink(e.ctx, e.link("a", "a@example.com"), time.Time{})
		if err != nil || link.ExpiresAt.Sub(link.CreatedAt) != login.LinkTTL || link.CreatedAt.IsZero() {
			e.Fatalf("InsertLink = %+v, %v", link, err)
		}
		e.wantLive("a", time.Time{}, true)
		if _, err := e.Links.UseLink(e.ctx, "a", 0, time.Time{}); err != nil {
			e.Errorf("UseLink = %v", err)
		}
	},
	"unknown links are not found": func(e *env) {
		_, err := e.Links.FindLink(e.ctx, "nope", t0)
		_, tryErr := e.Links.TryLink(e.ctx, "nope", t0)
		_, useErr := e.Links.UseLink(e.ctx, "nope", 0, t0)
		for _, err := range []error{err, tryErr, useErr} {
			e.wantErr(err, login.ErrNotFound, "there is none")
		}
	},
	"a taken ID of a link is a conflict": func(e *env) {
		e.insertLink("a", "a@example.com", t0)
		_, err := e.Links.InsertLink(e.ctx, e.link("a", "b@example.com"), t0)
		e.wantErr(err, login.ErrConflict, "the ID is taken")
	},
	"three links of an address have mail, and the fourth looks like them": func(e *env) {
		for i, address := range []string{"jürgen@bücher.example", "JÜRGEN@xn--bcher-kva.example", "Jürgen@Bücher.example", "jürgen@bücher.example"} {
			if mailed := e.insertLink(fmt.Sprint(i), address, t0); mailed != (i < login.MaxMailed) {
				e.Errorf("link %d has mail: %v", i, mailed)
			}
		}
		if !e.insertLink("other", "other@example.com", t0) {
			e.Error("the link of another address has no mail")
		}
		for i := range 4 {
			e.wantLive(fmt.Sprint(i), t0, true)
		}
		if got, err := e.Links.TryLink(e.ctx, "3", t0); err != nil || got.Mailed {
			e.Errorf("TryLink = %+v, %v; want the link without mail", got, err)
		}
		_, err := e.Links.UseLink(e.ctx, "3", 0, t0)
		e.wantErr(err, login.ErrNotFound, "a link without mail opens nothing")
		for i := range 4 {
			e.wantLive(fmt.Sprint(i), t0, true)
		}
		if !e.insertLink("late", "jürgen@bücher.example", t0.Add(login.LinkTTL+time.Second)) {
			e.Error("a link has no mail though those before have expired")
		}
	},
	"a stranger on one network takes no mail from others": func(e *env) {
		insert := func(id, address string) bool {
			link := e.link(id, "a@example.com")
			link.Device.Address, _ = netip.ParseAddr(address) // the zero Addr for none
			stored, err := e.Links.InsertLink(e.ctx, link, t0)
			if err != nil {
				e.Fatalf("InsertLink = %v", err)
			}
			return stored.Mailed
		}
		for i := range 30 { // an address of the same /64 each
			if mailed := insert(fmt.Sprint("stranger", i), fmt.Sprintf("2001:db8::%x", i+1)); mailed != (i < login.MaxMailed) {
				e.Errorf("link %d of the stranger has mail: %v", i, mailed)
			}
		}
		for i, address := range []string{"2001:db8:0:1::1", "192.0.2.1", "192.0.2.2", ""} {
			if !insert(fmt.Sprint("owner", i), address) {
				e.Errorf("the owner at %q has no mail", address)
			}
		}
		if _, err := e.Links.UseLink(e.ctx, "owner0", 0, t0); err != nil {
			e.Errorf("UseLink = %v", err)
		}
		e.wantLive("stranger0", t0, false)
		for i := range 30 { // a network each
			if mailed := insert(fmt.Sprint("many", i), fmt.Sprintf("198.51.100.%d", i)); mailed != (i < login.MaxMailedInAll) {
				e.Errorf("link %d of the stranger with many networks has mail: %v", i, mailed)
			}
		}
		if !e.insertLink("other", "other@example.com", t0) {
			e.Error("the link of another address has no mail")
		}
	},
	"of links stored at once three have mail": func(e *env) {
		e.mailThree(e.Stores)
	},
	"a link is tried five times": func(e *env) {
		e.insertLink("a", "a@example.com", t0)
		for i := 1; i <= login.MaxTries; i++ {
			if got, err := e.Links.TryLink(e.ctx, "a", t0); err != nil || got.Tries != i || !got.Mailed {
				e.Errorf("TryLink = %+v, %v; want try %d", got, err, i)
			}
		}
		_, err := e.Links.TryLink(e.ctx, "a", t0)
		e.wantErr(err, login.ErrNotFound, "five tries were made")
		e.wantLive("a", t0, false)
		if _, err := e.Links.UseLink(e.ctx, "a", 0, t0); err != nil {
			e.Errorf("UseLink = %v; want the fifth try to count if it was right", err)
		}
	},
	"of 100 tries at once five are looked at": func(e *env) {
		e.tryFive(e.Stores)
	},
	"a used link ends with all of its address, and no other": func(e *env) {
		e.insertLink("a", "a@example.com", t0)
		e.insertLink("b", "A@Example.com", t0)
		e.insertLink("c", "c@example.com", t0)
		if got, err := e.Links.UseLink(e.ctx, "a", 0, t0); err != nil || got.ID != "a" || !got.Mailed || got.Email.String() != "a@example.com" || got.Device != e.link("", "a@example.com").Device {
			e.Errorf("UseLink = %+v, %v", got, err)
		}
		e.wantLive("a", t0, false)
		e.wantLive("b", t0, false)
		e.wantLive("c", t0, true)
		_, err := e.Links.UseLink(e.ctx, "b", 0, t0)
		_, tryErr := e.Links.TryLink(e.ctx, "a", t0)
		for _, err := range []error{err, tryErr} {
			e.wantErr(err, login.ErrNotFound, "the links have ended")
		}
		for i := range login.MaxMailed {
			if !e.insertLink(fmt.Sprint(i), "a@example.com", t0) {
				e.Error("links that have ended leave no room for mail")
			}
		}
	},
	"of 100 callers one uses a link": func(e *env) {
		e.useOnce(e.Stores)
	},
	"of links of one address that are used at once one is": func(e *env) {
		for round := range 5 {
			address := fmt.Sprintf("a%d@example.com", round)
			for i := range login.MaxMailed {
				e.insertLink(fmt.Sprint(round, i), address, t0)
			}
			var used atomic.Int32
			e.atOnce(30, func(i int) {
				_, err := e.Links.UseLink(e.ctx, fmt.Sprint(round, i%login.MaxMailed), 0, t0)
				if err == nil {
					used.Add(1)
				} else if !errors.Is(err, login.ErrNotFound) {
					e.Errorf("UseLink = %v", err)
				}
			})
			if n := used.Load(); n != 1 {
				e.Errorf("%d links were used, want 1", n)
			}
		}
	},
	"expired links are deleted up to the limit": func(e *env) {
		for i := range 3 {
			e.insertLink(fmt.Sprint(i), "a@example.com", t0)
		}
		e.insertLink("late", "a@example.com", t0.Add(time.Second))
		for _, want := range []int{2, 1, 0} {
			if n, err := e.Links.DeleteExpiredLinks(e.ctx, 2, t0.Add(login.LinkTTL+time.Second)); err != nil || n != want {
				e.Errorf("DeleteExpiredLinks = %d, %v; want %d", n, err, want)
			}
		}
		e.wantLive("late", t0.Add(login.LinkTTL+time.Second), true)
	},
	"what a transaction did to links is undone": func(e *env) {
		e.insertLink("a", "a@example.com", t0)
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			_, insertErr := tx.Links.InsertLink(ctx, e.link("b", "b@example.com"), t0)
			_, useErr := tx.Links.UseLink(ctx, "a", 0, t0)
			return errors.Join(insertErr, useErr, errBoom)
		})
		if fmt.Sprint(err) != errBoom.Error() {
			e.Errorf("InTx = %v, want %v alone", err, errBoom)
		}
		e.wantLive("a", t0, true)
		e.wantLive("b", t0, false)
	},
	"a link that cannot be used leaves the caller's transaction usable": func(e *env) {
		e.inTx(func(ctx context.Context, tx levqor.Stores) error {
			_, err := tx.Links.UseLink(ctx, "nope", 0, t0)
			e.wantErr(err, login.ErrNotFound, "there is none")
			_, err = tx.Links.InsertLink(ctx, e.link("a", "a@example.com"), t0)
			return err
		})
		e.wantLive("a", t0, true)
	},
}

// tryFive tries a link 100 times at once through stores on one database.
func (e *env) tryFive(processes ...levqor.Stores) {
	e.Helper()
	e.insertLink("tried", "tried@example.com", time.Time{})
	var tried atomic.Int32
	e.atOnce(100, func(i int) {
		_, err := processes[i%len(processes)].Links.TryLink(e.ctx, "tried", time.Time{})
		if err == nil {
			tried.Add(1)
		} else if !errors.Is(err, login.ErrNotFound) {
			e.Errorf("TryLink = %v", err)
		}
	})
	if n := tried.Load(); n != login.MaxTries {
		e.Errorf("%d tries were looked at, want %d", n, login.MaxTries)
	}
}

// useOnce uses a link 100 times at once through stores on one database.
func (e *env) useOnce(processes ...levqor.Stores) {
	e.Helper()
	e.insertLink("used", "used@example.com", time.Time{})
	e.insertLink("sibling", "used@example.com", time.Time{})
	var used atomic.Int32
	e.atOnce(100, func(i int) {
		_, err := processes[i%len(processes)].Links.UseLink(e.ctx, "used", 0, time.Time{})
		if err == nil {
			used.Add(1)
		} else if !errors.Is(err, login.ErrNotFound) {
			e.Errorf("UseLink = %v", err)
		}
	})
	if n := used.Load(); n != 1 {
		e.Errorf("%d callers used the link, want 1", n)
	}
}

// mailThree stores 40 links of one address at once through stores on one database.
func (e *env) mailThree(processes ...levqor.Stores) {
	e.Helper()
	var mailed atomic.Int32
	e.atOnce(40, func(i int) {
		link, err := processes[i%len(processes)].Links.InsertLink(e.ctx, e.link(fmt.Sprint("mailed", i), "mailed@example.com"), time.Time{})
		if err != nil {
			e.Errorf("InsertLink = %v", err)
		}
		if link.Mailed {
			mailed.Add(1)
		}
	})
	if n := mailed.Load(); n != login.MaxMailed {
		e.Errorf("%d links have mail, want %d", n, login.MaxMailed)
	}
}
