package levqortest

import (
	"time"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

var userLinkCases = map[string]func(*env){
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
}
