package login_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
)

// hasher hashes under a key that is its purpose.
type hasher struct{}

func (hasher) MAC(purpose string, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, []byte(purpose))
	for _, p := range parts {
		fmt.Fprintf(h, "%d:%s", len(p), p)
	}
	return h.Sum(nil)
}

func (h hasher) Verify(purpose string, mac []byte, parts ...[]byte) bool {
	return hmac.Equal(mac, h.MAC(purpose, parts...))
}

// countedLinks counts the calls of a store.
type countedLinks struct {
	login.LinkStore
	calls atomic.Int32
}

func (s *countedLinks) FindLink(ctx context.Context, id string, now time.Time) (login.Link, error) {
	s.calls.Add(1)
	return s.LinkStore.FindLink(ctx, id, now)
}

func (s *countedLinks) InsertLink(ctx context.Context, l login.Link, now time.Time) (login.Link, error) {
	s.calls.Add(1)
	return s.LinkStore.InsertLink(ctx, l, now)
}

var (
	t0    = time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
	linux = login.Device{Label: "Firefox on Linux", Address: netip.MustParseAddr("192.0.2.1")}
)

// clock is an instant that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newLinks(store login.LinkStore) (*login.Links, *clock) {
	c := &clock{t0}
	return login.NewLinks(store, hasher{}, &login.LinksOptions{Now: c.now}), c
}

func email(tb testing.TB, text string) identity.Email {
	tb.Helper()
	e, err := identity.ParseEmail(text)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

func begin(t *testing.T, links *login.Links, address string) login.Flow {
	t.Helper()
	flow, err := links.Begin(t.Context(), email(t, address), linux)
	if err != nil {
		t.Fatalf("Begin = %v", err)
	}
	return flow
}

// wantRefused checks that an error says no more than that somebody is not let in.
func wantRefused(t *testing.T, what string, err error) {
	t.Helper()
	all := fault.All(err)
	if !errors.Is(err, login.ErrUnauthenticated) || errors.Is(err, login.ErrNotFound) || len(all) != 1 || all[0].Code != "invalid_login" ||
		!regexp.MustCompile(`^login: (redeem|redeem code|check|use): unauthenticated$`).MatchString(err.Error()) {
		t.Errorf("%s: %v, want ErrUnauthenticated with the code invalid_login alone", what, err)
	}
}

func TestALinkSignsInOnceInTheBrowserThatAsked(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	flow := begin(t, links, "Ada@Example.com")
	attempt := login.Attempt{Flow: flow.ID, Secret: flow.Secret, Cookie: flow.Cookie}
	for range 50 {
		if got, err := links.Look(t.Context(), flow.ID); err != nil || got.Address != "A…@Example.com" || got.Device != linux || got.TriesLeft != login.MaxTries || !got.ExpiresAt.Equal(t0.Add(login.LinkTTL)) {
			t.Fatalf("Look = %+v, %v", got, err)
		}
	}
	got, err := links.Redeem(t.Context(), attempt)
	if err != nil || got.Email.String() != "Ada@Example.com" || got.Device != linux {
		t.Errorf("Redeem = %+v, %v", got, err)
	}
	_, err = links.Redeem(t.Context(), attempt)
	wantRefused(t, "a used link", err)
	if _, err := links.Look(t.Context(), flow.ID); !errors.Is(err, login.ErrNotFound) {
		t.Errorf("Look at a used flow = %v, want ErrNotFound", err)
	}
}

func TestOf100RedemptionsAtOnceOneSucceeds(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	for what, redeem := range map[string]func(f login.Flow) error{
		"by link": func(f login.Flow) error {
			_, err := links.Redeem(t.Context(), login.Attempt{Flow: f.ID, Secret: f.Secret, Cookie: f.Cookie})
			return err
		},
		"by code": func(f login.Flow) error {
			_, err := links.RedeemCode(t.Context(), login.Attempt{Flow: f.ID, Code: f.Code, Cookie: f.Cookie})
			return err
		},
	} {
		flow := begin(t, links, "ada@example.com")
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				if redeem(flow) == nil {
					won.Add(1)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Errorf("%s: %d succeeded, want 1", what, n)
		}
	}
}

func TestAnotherBrowserNeedsTheMatch(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	flow, other := begin(t, links, "ada@example.com"), begin(t, links, "eve@example.com")
	wrong := map[bool]string{true: "00", false: "01"}[flow.Match != "00"]
	for what, a := range map[string]login.Attempt{
		"no match":                    {Flow: flow.ID, Secret: flow.Secret},
		"no match and another cookie": {Flow: flow.ID, Secret: flow.Secret, Cookie: other.Cookie},
		"a match without the secret":  {Flow: flow.ID, Secret: other.Secret, Match: flow.Match},
		"a cookie without the secret": {Flow: flow.ID, Secret: other.Secret, Cookie: flow.Cookie},
	} {
		_, err := links.Redeem(t.Context(), a)
		wantRefused(t, what, err)
	}
	if got, err := links.Look(t.Context(), flow.ID); err != nil || got.TriesLeft != login.MaxTries {
		t.Errorf("Look = %+v, %v; want no try counted of what nobody can guess", got, err)
	}
	_, err := links.Redeem(t.Context(), login.Attempt{Flow: flow.ID, Secret: flow.Secret, Match: wrong})
	wantRefused(t, "a wrong match", err)
	if got, err := links.Look(t.Context(), flow.ID); err != nil || got.TriesLeft != login.MaxTries-1 {
		t.Errorf("Look = %+v, %v; want a try counted", got, err)
	}
	if got, err := links.Redeem(t.Context(), login.Attempt{Flow: flow.ID, Secret: flow.Secret, Cookie: other.Cookie, Match: flow.Match}); err != nil || got.Email.String() != "ada@example.com" {
		t.Errorf("Redeem with the match = %+v, %v", got, err)
	}
}

func TestACodeIsReadAsItIsTyped(t *testing.T) {
	for what, change := range map[string]func(string) string{
		"as shown":         func(c string) string { return c },
		"in small":         strings.ToLower,
		"without dash":     func(c string) string { return strings.ReplaceAll(c, "-", "") },
		"with spaces":      func(c string) string { return " " + strings.Join(strings.Split(c, ""), " ") + " " },
		"O for 0, I for 1": func(c string) string { return strings.NewReplacer("0", "o", "1", "I").Replace(c) },
		"l for 1":          func(c string) string { return strings.ReplaceAll(c, "1", "l") },
	} {
		links, _ := newLinks(login.NewMemLinkStore())
		flow := begin(t, links, "ada@example.com")
		for !strings.Contains(flow.Code, "0") || !strings.Contains(flow.Code, "1") {
			flow = begin(t, links, fmt.Sprintf("ada%s@example.com", flow.ID))
		}
		if len(flow.Code) != 9 || flow.Code[4] != '-' || strings.ContainsAny(flow.Code, "AEIOUL") {
			t.Fatalf("the code is %q", flow.Code)
		}
		if _, err := links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Cookie: flow.Cookie, Code: change(flow.Code)}); err != nil {
			t.Errorf("%s, %q of %q: %v", what, change(flow.Code), flow.Code, err)
		}
	}
}

func TestACodeIsForTheBrowserThatAsked(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	flow, other := begin(t, links, "ada@example.com"), begin(t, links, "eve@example.com")
	for range 2 * login.MaxTries { // which do not kill the flow
		for _, cookie := range []string{"", other.Cookie, flow.Secret} {
			_, err := links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: flow.Code, Cookie: cookie})
			wantRefused(t, "another cookie", err)
		}
	}
	_, err := links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: other.Code, Cookie: flow.Cookie})
	wantRefused(t, "another flow's code", err)
	if _, err := links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: flow.Code, Cookie: flow.Cookie}); err != nil {
		t.Errorf("RedeemCode = %v", err)
	}
}

func TestFiveWrongCodesEndTheFlow(t *testing.T) {
	for tries := login.MaxTries - 1; tries <= login.MaxTries; tries++ {
		links, _ := newLinks(login.NewMemLinkStore())
		flow := begin(t, links, "ada@example.com")
		for range tries {
			_, err := links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: "0000-0000", Cookie: flow.Cookie})
			wantRefused(t, "a wrong code", err)
		}
		_, err := links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: flow.Code, Cookie: flow.Cookie})
		if tries < login.MaxTries {
			if err != nil {
				t.Errorf("the right code after %d wrong ones: %v", tries, err)
			}
			continue
		}
		wantRefused(t, "the right code after five wrong ones", err)
		_, err = links.Redeem(t.Context(), login.Attempt{Flow: flow.ID, Secret: flow.Secret, Cookie: flow.Cookie})
		wantRefused(t, "the link of a dead flow", err)
	}
}

func TestAFlowLastsTenMinutes(t *testing.T) {
	for after, want := range map[time.Duration]bool{10 * time.Minute: true, 10*time.Minute + time.Second: false} {
		links, now := newLinks(login.NewMemLinkStore())
		byLink, byCode := begin(t, links, "ada@example.com"), begin(t, links, "bob@example.com")
		now.at = t0.Add(after)
		_, linkErr := links.Redeem(t.Context(), login.Attempt{Flow: byLink.ID, Secret: byLink.Secret, Cookie: byLink.Cookie})
		_, codeErr := links.RedeemCode(t.Context(), login.Attempt{Flow: byCode.ID, Code: byCode.Code, Cookie: byCode.Cookie})
		for _, err := range []error{linkErr, codeErr} {
			if want && err != nil {
				t.Errorf("after %v: %v", after, err)
			} else if !want {
				wantRefused(t, "an expired flow", err)
			}
		}
	}
}

func TestAStrangerTakesNothingOutOfAVictimsHands(t *testing.T) {
	links, now := newLinks(login.NewMemLinkStore())
	victims := begin(t, links, "ada@example.com")
	for i := range 20 {
		if flow := begin(t, links, "ADA@example.com"); flow.Mailed != (i < login.MaxMailed-1) || flow.Secret == "" || flow.ExpiresAt != victims.ExpiresAt {
			t.Errorf("flow %d = %+v", i, flow)
		}
	}
	if due, err := links.Due(t.Context(), victims.ID); err != nil || due.Email.String() != "ada@example.com" || due.Device != linux || !due.ExpiresAt.Equal(victims.ExpiresAt) {
		t.Errorf("Due = %+v, %v", due, err)
	}
	if _, err := links.RedeemCode(t.Context(), login.Attempt{Flow: victims.ID, Code: victims.Code, Cookie: victims.Cookie}); err != nil {
		t.Errorf("RedeemCode = %v", err)
	}
	now.at = t0.Add(time.Second)
	if flow := begin(t, links, "ada@example.com"); !flow.Mailed {
		t.Error("a used flow leaves no room for mail")
	}
}

func TestAFlowWithoutMailLooksLikeOthersAndOpensNothing(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	var flow login.Flow
	for range login.MaxMailed + 1 {
		flow = begin(t, links, "ada@example.com")
	}
	if _, err := links.Look(t.Context(), flow.ID); err != nil {
		t.Errorf("Look = %v", err)
	}
	if _, err := links.Due(t.Context(), flow.ID); !errors.Is(err, login.ErrNotFound) {
		t.Errorf("Due = %v, want ErrNotFound", err)
	}
	_, err := links.Redeem(t.Context(), login.Attempt{Flow: flow.ID, Secret: flow.Secret, Cookie: flow.Cookie})
	wantRefused(t, "a link without mail", err)
	_, err = links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: flow.Code, Cookie: flow.Cookie})
	wantRefused(t, "a code without mail", err)
}

func TestAUsedFlowEndsThoseOfItsAddress(t *testing.T) {
	links, _ := newLinks(login.NewMemLinkStore())
	used, sibling, other := begin(t, links, "ada@example.com"), begin(t, links, "Ada@example.com"), begin(t, links, "bob@example.com")
	if _, err := links.Redeem(t.Context(), login.Attempt{Flow: used.ID, Secret: used.Secret, Cookie: used.Cookie}); err != nil {
		t.Fatal(err)
	}
	_, err := links.Redeem(t.Context(), login.Attempt{Flow: sibling.ID, Secret: sibling.Secret, Cookie: sibling.Cookie})
	wantRefused(t, "a sibling", err)
	if _, err := links.Redeem(t.Context(), login.Attempt{Flow: other.ID, Secret: other.Secret, Cookie: other.Cookie}); err != nil {
		t.Errorf("Redeem = %v", err)
	}
}

func TestWhatIsNoLinkNeverReachesTheStore(t *testing.T) {
	store := &countedLinks{LinkStore: login.NewMemLinkStore()}
	links, _ := newLinks(store)
	flow := begin(t, links, "ada@example.com")
	store.calls.Store(0)
	right := login.Attempt{Flow: flow.ID, Secret: flow.Secret, Cookie: flow.Cookie, Code: flow.Code, Match: flow.Match}
	for _, bad := range []string{"", "\x00", strings.Repeat("a", 1<<20), flow.Secret + "\n", flow.Secret[:42] + "\x00", flow.Secret[:42] + "=", flow.ID[:21] + "/", flow.ID + "0", "ﾠ0", "1\n"} {
		byFlow, bySecret, byCookie, byCode, byMatch := right, right, right, right, right
		byFlow.Flow, bySecret.Secret, byCookie.Cookie, byCode.Code, byMatch.Match = bad, bad, bad, bad, bad
		for what, a := range map[string]login.Attempt{"flow": byFlow, "secret": bySecret} {
			_, err := links.Redeem(t.Context(), a)
			wantRefused(t, what, err)
		}
		if bad != "" { // which says that there is none
			for what, a := range map[string]login.Attempt{"cookie": byCookie, "match": byMatch} {
				_, err := links.Redeem(t.Context(), a)
				wantRefused(t, what, err)
			}
		}
		for what, a := range map[string]login.Attempt{"flow": byFlow, "cookie": byCookie, "code": byCode} {
			_, err := links.RedeemCode(t.Context(), a)
			wantRefused(t, what, err)
		}
		if _, err := links.Look(t.Context(), bad); !errors.Is(err, login.ErrNotFound) {
			t.Errorf("Look = %v, want ErrNotFound", err)
		}
	}
	for _, label := range []string{strings.Repeat("x", 101), "a\x00b", "a\r\nb", "\xff"} {
		_, err := links.Begin(t.Context(), email(t, "ada@example.com"), login.Device{Label: label})
		if all := fault.All(err); !errors.Is(err, login.ErrInvalid) || len(all) != 1 || all[0].Field != "/device/label" {
			t.Errorf("Begin with the label %q = %v", label, err)
		}
	}
	_, err := links.Begin(t.Context(), identity.Email{}, login.Device{Label: "\x00"})
	if all := fault.All(err); len(all) != 2 || all[0].Field != "/email" {
		t.Errorf("Begin without an address = %v", err)
	}
	if n := store.calls.Load(); n != 0 {
		t.Errorf("the store was asked %d times", n)
	}
}

func TestAStoreHoldsNoSecretOfAFlow(t *testing.T) {
	store := login.NewMemLinkStore()
	links, _ := newLinks(store)
	flow := begin(t, links, "ada@example.com")
	link, err := store.FindLink(t.Context(), flow.ID, t0)
	if err != nil {
		t.Fatal(err)
	}
	kept := fmt.Sprintf("%+v %s %s %s %s", link, link.SecretHash, link.CodeHash, link.CookieHash, link.MatchHash)
	for _, secret := range []string{flow.Secret, flow.Code, strings.ReplaceAll(flow.Code, "-", ""), flow.Cookie} {
		if strings.Contains(kept, secret) {
			t.Errorf("the store holds %q", secret)
		}
	}
	for _, hash := range [][]byte{link.SecretHash, link.CodeHash, link.CookieHash, link.MatchHash} {
		if len(hash) != sha256.Size {
			t.Errorf("a hash has %d bytes", len(hash))
		}
	}
}

// away is a store that cannot be reached.
type away struct{ login.LinkStore }

func (away) FindLink(context.Context, string, time.Time) (login.Link, error) {
	return login.Link{}, login.ErrUnavailable
}

func TestAStoreThatIsAwayIsNoWrongCode(t *testing.T) {
	memory := login.NewMemLinkStore()
	links, _ := newLinks(memory)
	flow := begin(t, links, "ada@example.com")
	links = links.With(away{memory})
	if _, err := links.Redeem(t.Context(), login.Attempt{Flow: flow.ID, Secret: flow.Secret, Cookie: flow.Cookie}); !errors.Is(err, login.ErrUnavailable) || errors.Is(err, login.ErrUnauthenticated) {
		t.Errorf("Redeem = %v, want ErrUnavailable", err)
	}
	if _, err := links.RedeemCode(t.Context(), login.Attempt{Flow: flow.ID, Code: flow.Code, Cookie: flow.Cookie}); !errors.Is(err, login.ErrUnavailable) {
		t.Errorf("RedeemCode = %v, want ErrUnavailable", err)
	}
}

func ExampleNewLinks() {
	ctx := context.Background()
	links := login.NewLinks(login.NewMemLinkStore(), hasher{}, nil)
	ada, err := identity.ParseEmail("ada@example.com")
	if err != nil {
		fmt.Println(err)
		return
	}
	flow, err := links.Begin(ctx, ada, login.Device{Label: "Firefox on Linux"})
	if err != nil {
		fmt.Println(err)
		return
	}
	proof, err := links.RedeemCode(ctx, login.Attempt{Flow: flow.ID, Cookie: flow.Cookie, Code: flow.Code})
	fmt.Println(proof.Email, err)
	// Output: ada@example.com <nil>
}

func ExampleNewMemLinkStore() {
	_, err := login.NewMemLinkStore().FindLink(context.Background(), "no such flow", time.Time{})
	fmt.Println(err)
	// Output: not found
}
