package login_test

import (
	"errors"
	"testing"

	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

func TestAChangeBelongsToItsUserAndSession(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	mine := links.ForChange(7, "ses_1")
	flow, err := mine.Begin(t.Context(), email(t, "new@example.com"), linux)
	if err != nil || flow.Cookie != "" || !flow.Mailed {
		t.Fatalf("Begin = %+v, %v", flow, err)
	}
	byCode, byLink := login.Attempt{Flow: flow.ID, Code: flow.Code}, login.Attempt{Flow: flow.ID, Secret: flow.Secret}
	withCookie, withMatch := byLink, byLink
	withCookie.Cookie, withMatch.Match = "ses_1", flow.Match
	for what, c := range map[string]struct {
		links *login.Links
		a     login.Attempt
	}{
		"a code in another session":     {links.ForChange(7, "ses_2"), byCode},
		"a link in another session":     {links.ForChange(7, "ses_2"), byLink},
		"a session that a request says": {links.ForChange(7, "ses_2"), withCookie},
		"another user's code":           {links.ForChange(8, "ses_1"), byCode},
		"another user's link":           {links.ForChange(8, "ses_1"), withMatch},
		"a login's link":                {links, withMatch},
		"nothing":                       {mine, login.Attempt{Flow: flow.ID}},
	} {
		wantRefused(t, what, c.links.Check(t.Context(), c.a))
	}
	for what, other := range map[string]*login.Links{"another user": links.ForChange(8, "ses_1"), "a login": links} {
		if _, err := other.Look(t.Context(), flow.ID); !errors.Is(err, login.ErrNotFound) {
			t.Errorf("Look by %s = %v, want ErrNotFound", what, err)
		}
		if _, err := other.Due(t.Context(), flow.ID); !errors.Is(err, login.ErrNotFound) {
			t.Errorf("Due for %s = %v, want ErrNotFound", what, err)
		}
	}
	for what, c := range map[string]struct {
		links *login.Links
		a     login.Attempt
	}{"the code": {mine, byCode}, "the link": {mine, byLink}, "the match elsewhere": {links.ForChange(7, "ses_2"), withMatch}} {
		if err := c.links.Check(t.Context(), c.a); err != nil { // however often: only Use uses it
			t.Errorf("%s: Check = %v", what, err)
		}
	}
	if proof, err := mine.Use(t.Context(), flow.ID); err != nil || proof.Email.String() != "new@example.com" || proof.Device != linux {
		t.Errorf("Use = %+v, %v", proof, err)
	}
	_, err = mine.Use(t.Context(), flow.ID)
	wantRefused(t, "a used flow", err)
	wantRefused(t, "a used flow's code", mine.Check(t.Context(), byCode))
}

func TestWhoeverUsesAnothersChangeLeavesItAsItIs(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	mine := links.ForChange(7, "ses_1")
	flow, err := mine.Begin(t.Context(), email(t, "new@example.com"), linux)
	if err != nil {
		t.Fatal(err)
	}
	_, err = links.ForChange(8, "ses_1").Use(t.Context(), flow.ID)
	wantRefused(t, "another user's flow", err)
	_, err = links.Use(t.Context(), flow.ID)
	wantRefused(t, "a change as a login", err)
	if _, err := mine.Use(t.Context(), flow.ID); err != nil {
		t.Errorf("Use = %v, want the flow as it was", err)
	}
}

func TestFiveWrongCodesEndAChange(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	mine := links.ForChange(7, "ses_1")
	flow, err := mine.Begin(t.Context(), email(t, "new@example.com"), linux)
	if err != nil {
		t.Fatal(err)
	}
	for range login.MaxTries {
		wantRefused(t, "a wrong code", mine.Check(t.Context(), login.Attempt{Flow: flow.ID, Code: "0000-0000"}))
	}
	wantRefused(t, "the right code after five wrong ones", mine.Check(t.Context(), login.Attempt{Flow: flow.ID, Code: flow.Code}))
}

func TestChangesOfAUserEndTogetherAndNoLogins(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	flows := map[identity.UserID]login.Flow{}
	for user := range identity.UserID(3) {
		var err error
		if flows[user], err = links.ForChange(user, "ses_1").Begin(t.Context(), email(t, "new@example.com"), linux); err != nil {
			t.Fatal(err)
		}
	}
	if err := links.EndChanges(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	for user, flow := range flows {
		if _, err := links.ForChange(user, "").Due(t.Context(), flow.ID); (err == nil) != (user != 1) {
			t.Errorf("Due of user %d = %v", int64(user), err)
		}
	}
}
