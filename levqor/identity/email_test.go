package identity_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/identity"
)

// Each line holds spellings of one address, which is no other line's.
var addresses = [][]string{
	{"ada@example.com", "Ada@Example.COM", "ADA@EXAMPLE.com", "ａｄａ@example.com", "ada@ｅｘａｍｐｌｅ.com", "ada@example。com"},
	{"a.da@example.com"},
	{"ada+news@example.com", "ADA+News@example.com"},
	{"ada@sub.example.com"},
	{"o'neil@example.com", "O'Neil@example.com"},
	{"!#$%&'*+-/=?^_`{|}~@example.com"},
	{"1@2.example", "１@２.example"},
	{"jürgen@example.com", "JÜRGEN@example.com", "ju\u0308rgen@example.com", "JU\u0308RGEN@example.com"},
	{"jurgen@example.com"},
	{"straße@example.com", "STRASSE@example.com", "strasse@example.com", "STRAẞE@example.com"},
	{"ada@straße.example", "ada@xn--strae-oqa.example"},
	{"ada@strasse.example"}, // another domain in DNS
	{"ada@bücher.example", "ada@BÜCHER.example", "ada@bu\u0308cher.example", "ada@xn--bcher-kva.example", "ada@XN--BCHER-KVA.EXAMPLE"},
	{"ﬁona@example.com", "fiona@example.com", "FIONA@example.com"},
	{"kim@example.com", "\u212Aim@example.com"},
	{"mike@example.com", "MIKE@example.com"},
	{"mıke@example.com"}, // a dotless i is another letter
	{"σοφός@example.com", "ΣΟΦΌΣ@example.com", "σοφόσ@example.com"},
	{"иван@почта.example", "ИВАН@ПОЧТА.example", "иван@xn--80a1acny.example"},
	{"иван@example.com"},
	{"田中@例え.example"},
	{"tanaka田中カナ@example.com", "Tanaka田中ｶﾅ@example.com"},
	{"김@example.com", "\u1100\u1175\u11B7@example.com"},
	{"दीप@example.com"},
	{"משה@example.com"},
	{strings.Repeat("a", 64) + "@example.com"},
	{"a@" + strings.Repeat("b", 63) + ".example"},
}

func TestSpellingsOfAnAddressAreOne(t *testing.T) {
	of := map[string]int{}
	for line, spellings := range addresses {
		for _, text := range spellings {
			email, err := identity.ParseEmail(text)
			if err != nil || email.String() != text {
				t.Errorf("ParseEmail(%q) = %q, %v", text, email, err)
				continue
			}
			if other, ok := of[email.Canonical()]; ok && other != line {
				t.Errorf("%q is the same as %q", text, addresses[other][0])
			}
			of[email.Canonical()] = line
			again, err := identity.ParseEmail(email.Canonical())
			if err != nil || again.Canonical() != email.Canonical() {
				t.Errorf("%q becomes %q and then %q, %v", text, email.Canonical(), again.Canonical(), err)
			}
		}
	}
	if len(of) != len(addresses) {
		t.Errorf("%d addresses are %d", len(addresses), len(of))
	}
}

func TestTheCanonicalFormIsFoldedAndInASCIIBehindTheSign(t *testing.T) {
	email, err := identity.ParseEmail("Jürgen.Groß@BÜCHER.example")
	if got, want := email.Canonical(), "jürgen.gross@xn--bcher-kva.example"; err != nil || got != want {
		t.Errorf("Canonical = %q, %v; want %q", got, err, want)
	}
	if email != identity.StoredEmail(email.String(), email.Canonical()) {
		t.Error("a stored address is another one")
	}
}

func TestWhatIsNoAddressIsRefused(t *testing.T) {
	for _, c := range []struct{ text, code string }{
		{"", "invalid_format"},
		{"ada", "invalid_format"},
		{"@example.com", "invalid_format"},
		{"ada@", "invalid_format"},
		{"ada@@example.com", "invalid_format"},
		{"a@b@example.com", "invalid_format"},
		{"ada@example", "invalid_format"},
		{"ada@localhost", "invalid_format"},
		{"ada@127.0.0.1", "invalid_format"},
		{"ada@[127.0.0.1]", "invalid_format"},
		{"ada@[IPv6:::1]", "invalid_format"},
		{"ada@example.com.", "invalid_format"},
		{"ada@.example.com", "invalid_format"},
		{"ada@exa..mple.com", "invalid_format"},
		{"ada@-example.com", "invalid_format"},
		{"ada@example-.com", "invalid_format"},
		{"ada@exa_mple.com", "invalid_format"},
		{"ada@xn--a.example", "invalid_format"},
		{"ada@xn--zzzzzzzzz99999999.example", "invalid_format"},
		{".ada@example.com", "invalid_format"},
		{"ada.@example.com", "invalid_format"},
		{"a..da@example.com", "invalid_format"},
		{`"ada"@example.com`, "invalid_format"},
		{`"a b"@example.com`, "invalid_format"},
		{`a\da@example.com`, "invalid_format"},
		{"ada(comment)@example.com", "invalid_format"},
		{"Ada <ada@example.com>", "invalid_format"},
		{"ada,eve@example.com", "invalid_format"},
		{"ada;@example.com", "invalid_format"},
		{"ada:x@example.com", "invalid_format"},
		{" ada@example.com", "invalid_format"},
		{"ada@example.com ", "invalid_format"},
		{"a da@example.com", "invalid_format"},
		{"ada\u00a0x@example.com", "invalid_format"},
		{"ada\x00@example.com", "invalid_format"},
		{"ada@example.com\r\nBcc: eve@example.com", "invalid_format"},
		{"ada\t@example.com", "invalid_format"},
		{"ada\x7f@example.com", "invalid_format"},
		{"ada\xff@example.com", "invalid_format"},
		{"ad\u200ba@example.com", "invalid_format"},
		{"ad\u200da@example.com", "invalid_format"},
		{"\u202eada@example.com", "invalid_format"},
		{"ad\u00ada@example.com", "invalid_format"},
		{"ada@exa\u00admple.com", "invalid_format"},
		{"ad\u3164a@example.com", "invalid_format"},
		{"ada\ufe0f@example.com", "invalid_format"},
		{"ada＠example.com", "invalid_format"},
		{"ada＠x@example.com", "invalid_format"},
		{"a․da@example.com", "invalid_format"},
		{"ﷺ@example.com", "invalid_format"},
		{"\u0301ada@example.com", "invalid_format"},
		{"ada😀@example.com", "invalid_format"},
		{"ada\u0378@example.com", "invalid_format"},
		{"а\u0434ada@example.com", "mixed_scripts"},    // Cyrillic and Latin
		{"pаypal@example.com", "mixed_scripts"},        // with a Cyrillic а
		{"ada@pаypal.example", "mixed_scripts"},        // the same in a domain
		{"ada@xn--pypal-4ve.example", "mixed_scripts"}, // and in ASCII
		{"gοοgle@example.com", "mixed_scripts"},        // with a Greek ο
		{"µsoft@example.com", "mixed_scripts"},         // the sign micro is a Greek letter
		{"ivan.иванов@example.com", "mixed_scripts"},   // with a dot between them too
		{"カナ한국@example.com", "mixed_scripts"},          // companions of Latin, not of each other
		{strings.Repeat("a", 65) + "@example.com", "too_long"},
		{strings.Repeat("ä", 33) + "@example.com", "too_long"},
		{"a@" + strings.Repeat("b", 64) + ".example", "invalid_format"},
		{"a@" + strings.Repeat("b.", 126) + "example", "too_long"},
		{strings.Repeat("a", 60) + "@" + strings.Repeat("ü.", 24) + "example", "too_long"}, // in ASCII
	} {
		email, err := identity.ParseEmail(c.text)
		all := fault.All(err)
		if !errors.Is(err, identity.ErrInvalid) || len(all) != 1 || all[0].Field != "/email" || all[0].Code != c.code {
			t.Errorf("ParseEmail(%q) = %q, %v; want %s about /email", c.text, email.Canonical(), err, c.code)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, spellings := range addresses {
		f.Add(spellings[0])
	}
	f.Fuzz(func(t *testing.T, text string) {
		email, err := identity.ParseEmail(text)
		if err != nil {
			return
		}
		if again, err := identity.ParseEmail(email.Canonical()); err == nil && again.Canonical() != email.Canonical() {
			t.Errorf("%q becomes %q and then %q", text, email.Canonical(), again.Canonical())
		}
		if strings.Count(email.Canonical(), "@") != 1 || strings.ContainsAny(email.Canonical(), " \r\n\x00\"<>(),;:\\") {
			t.Errorf("%q becomes %q", text, email.Canonical())
		}
	})
}

func ExampleParseEmail() {
	email, err := identity.ParseEmail("Ada@BÜCHER.example")
	fmt.Println(email, email.Canonical(), err)
	_, err = identity.ParseEmail("ada@localhost")
	fmt.Println(err)
	// Output:
	// Ada@BÜCHER.example ada@xn--bcher-kva.example <nil>
	// /email: must have a public domain name after the @: invalid
}

func TestDomainsHaveOneForm(t *testing.T) {
	for _, text := range []string{"bücher.example", "BÜCHER.example", "bu\u0308cher.example", "xn--bcher-kva.example", "XN--BCHER-KVA.Example"} {
		if got, err := identity.CanonicalDomain(text); err != nil || got != "xn--bcher-kva.example" {
			t.Errorf("CanonicalDomain(%q) = %q, %v", text, got, err)
		}
		if email, err := identity.ParseEmail("a@" + text); err != nil || email.Domain() != "xn--bcher-kva.example" {
			t.Errorf("the domain of a@%s is %q, %v", text, email.Domain(), err)
		}
	}
	for _, text := range []string{"", "com", "a b.example", "a.example\n", "a\u200b.example", "a@b.example", "192.0.2.1", "раypal.example", strings.Repeat("a", 64) + ".example", "\xff.example"} {
		if got, err := identity.CanonicalDomain(text); !errors.Is(err, identity.ErrInvalid) || got != "" {
			t.Errorf("CanonicalDomain(%q) = %q, %v; want ErrInvalid", text, got, err)
		}
	}
	if got := (identity.Email{}).Domain(); got != "" {
		t.Errorf("the domain of no address is %q", got)
	}
}
