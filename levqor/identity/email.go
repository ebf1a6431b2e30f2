package identity

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/levqor/sdk/internal/fault"
)

// The lengths of RFC 5321, section 4.5.3.1, in bytes.
const (
	maxLocal = 64
	maxEmail = 254
)

// Email is an e-mail address. Mail goes to it as it was typed, and people are told
// apart by its canonical form. The zero value is no address.
type Email struct{ typed, canonical string }

// ParseEmail reads an address. It returns an ErrInvalid about "/email" for whatever is
// none, could be taken for another one, or cannot be seen as it is: quoted local parts,
// addresses of machines, spaces, control and format characters, and letters of scripts
// that are not written together.
func ParseEmail(text string) (Email, error) {
	if len(text) > maxEmail {
		return Email{}, invalidEmail("too_long", "must have at most 254 bytes")
	}
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unseen) {
		return Email{}, invalidEmail("invalid_format", "must hold no spaces and no characters that cannot be seen")
	}
	at := strings.LastIndexByte(text, '@')
	if at < 1 {
		return Email{}, invalidEmail("invalid_format", "must have a local part, @ and a domain")
	}
	local, err := canonicalLocal(text[:at])
	if err != nil {
		return Email{}, err
	}
	domain, err := canonicalDomain(text[at+1:])
	if err != nil {
		return Email{}, err
	}
	if at+1+len(domain) > maxEmail {
		return Email{}, invalidEmail("too_long", "must have at most 254 bytes, with its domain in ASCII")
	}
	return Email{typed: text, canonical: local + "@" + domain}, nil
}

// StoredEmail returns the address of which a store has kept both forms. It checks
// nothing: what was let in stays, whatever the rules become.
func StoredEmail(typed, canonical string) Email { return Email{typed, canonical} }

// String returns the address as it was typed.
func (e Email) String() string { return e.typed }

// Canonical returns what all spellings of an address have in common: the local part in
// its compatibility form with its case folded, and the domain in ASCII. It tells people
// apart and is no place to send mail to.
func (e Email) Canonical() string { return e.canonical }

// Domain returns the domain of an address in its canonical form, in ASCII.
func (e Email) Domain() string { return e.canonical[strings.LastIndexByte(e.canonical, '@')+1:] }

// CanonicalDomain returns what all spellings of an e-mail domain have in common: the
// domain in ASCII. It returns an ErrInvalid for what [ParseEmail] takes for none.
func CanonicalDomain(domain string) (string, error) {
	if len(domain) > maxEmail || !utf8.ValidString(domain) || strings.ContainsFunc(domain, unseen) {
		return "", invalidEmail("invalid_format", "must hold no spaces and no characters that cannot be seen")
	}
	return canonicalDomain(domain)
}

// canonicalLocal folds a local part as Unicode's compatibility caseless matching does
// (definition D146). What folding makes of it must be a local part too: some letters
// are short for texts with spaces and signs.
func canonicalLocal(local string) (string, error) {
	if len(local) > maxLocal {
		return "", invalidEmail("too_long", "must have at most 64 bytes before the @")
	}
	fold := cases.Fold()
	canonical := norm.NFKC.String(fold.String(norm.NFKC.String(fold.String(norm.NFD.String(local)))))
	if !isLocal(local) || !isLocal(canonical) {
		return "", invalidEmail("invalid_format", "must have letters, digits and signs that need no quotes before the @")
	}
	if !oneScript(canonical) {
		return "", invalidEmail("mixed_scripts", "must not mix letters of scripts that look alike")
	}
	return canonical, nil
}

// isLocal reports whether text is a dot-atom of RFC 5322, with letters, marks and
// digits beyond ASCII as in RFC 6531. Other characters beyond ASCII are none that
// mailboxes have, and unassigned ones may become anything.
func isLocal(text string) bool {
	for atom := range strings.SplitSeq(text, ".") {
		first, _ := utf8.DecodeRuneInString(atom)
		if atom == "" || unicode.Is(unicode.M, first) {
			return false
		}
		for _, r := range atom {
			if !isAtext(r) {
				return false
			}
		}
	}
	return true
}

func isAtext(r rune) bool {
	if r < utf8.RuneSelf {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("!#$%&'*+-/=?^_`{|}~", r)
	}
	return unicode.In(r, unicode.L, unicode.M, unicode.Nd)
}

// domains is the profile idna.Lookup with the lengths of DNS checked: domains are
// mapped as browsers map them, and what DNS cannot hold is refused.
var domains = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.VerifyDNSLength(true))

// canonicalDomain returns a domain in ASCII.
func canonicalDomain(domain string) (string, error) {
	ascii, err := domains.ToASCII(domain)
	if err != nil {
		return "", invalidEmail("invalid_format", "must have a domain name after the @")
	}
	dot := strings.LastIndexByte(ascii, '.')
	if dot < 0 || !strings.ContainsFunc(ascii[dot:], unicode.IsLetter) {
		return "", invalidEmail("invalid_format", "must have a public domain name after the @")
	}
	shown, err := domains.ToUnicode(ascii)
	if err != nil {
		return "", invalidEmail("invalid_format", "must have a domain name after the @")
	}
	for label := range strings.SplitSeq(shown, ".") {
		if !oneScript(label) {
			return "", invalidEmail("mixed_scripts", "must not mix letters of scripts that look alike")
		}
	}
	return ascii, nil
}

// unseen reports whether a character is a space, a control or format character, or one
// that shows as nothing.
func unseen(r rune) bool {
	return unicode.IsSpace(r) || unicode.In(r, unicode.C, unicode.Z, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// companions are the scripts that are written together: level "highly restrictive" of
// Unicode's UTS 39, section 5.2, which browsers hold domains to.
var companions = [][]*unicode.RangeTable{
	{unicode.Latin, unicode.Han, unicode.Hiragana, unicode.Katakana},
	{unicode.Latin, unicode.Han, unicode.Bopomofo},
	{unicode.Latin, unicode.Han, unicode.Hangul},
}

// oneScript reports whether all letters of a text are of one script or of companions.
// Digits, signs and marks that belong to every script do not count.
func oneScript(text string) bool {
	var first *unicode.RangeTable
	alone := true
	for _, r := range text {
		if unicode.In(r, unicode.Common, unicode.Inherited) {
			continue
		}
		if first == nil {
			first = scriptOf(r)
		}
		alone = alone && first != nil && unicode.Is(first, r)
	}
	if alone {
		return true
	}
	for _, scripts := range companions {
		together := append([]*unicode.RangeTable{unicode.Common, unicode.Inherited}, scripts...)
		if !strings.ContainsFunc(text, func(r rune) bool { return !unicode.In(r, together...) }) {
			return true
		}
	}
	return false
}

func scriptOf(r rune) *unicode.RangeTable {
	for _, script := range unicode.Scripts {
		if unicode.Is(script, r) {
			return script
		}
	}
	return nil
}

func invalidEmail(code, detail string) error { return fault.Invalid("/email", code, detail) }
