// Package login says how people sign in: by a link and a code that are mailed to them, and
// then by a session that each of their requests names.
//
//	links := login.NewLinks(store, ring, nil)
//	flow, err := links.Begin(ctx, email, device) // keep flow.Cookie in the browser, show flow.Match
//	// mail flow.Secret and flow.Code to the address, then, when somebody comes with them:
//	proof, err := links.Redeem(ctx, login.Attempt{Flow: id, Secret: secret, Cookie: cookie})
//	proof, err = links.RedeemCode(ctx, login.Attempt{Flow: id, Code: code, Cookie: cookie})
//
//	links = links.ForChange(user.ID, session.ID.String()) // they move to another address in that session
//
//	sessions := login.NewSessions(sessionStore, nil)
//	token, session, err := sessions.Start(ctx, login.Start{User: user.ID, Level: login.LevelMail, Device: device})
//	found, err := sessions.Authenticate(ctx, token)
//	if who, ok := found.Principal(); ok { … }
//
// What is stored of links are keyed hashes, and of session tokens SHA-256, so a copy of the
// database lets nobody in. A mailed link alone proves a mailbox and no more: it is below
// level 2 of ASVS 5.0 (6.3.3), which is why owners and admins have no scopes until they
// have shown a second factor.
package login

import (
	"crypto/rand"
	"encoding/base64"
	"math/big"
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
)

// Device says what somebody signs in with, for people to recognise it by.
type Device struct {
	// Label names browser and system, such as "Firefox on Linux": a line of at most 100
	// bytes, which may be empty.
	Label string
	// Address is where it calls from; the zero Addr if nobody knows.
	Address netip.Addr
}

// Network returns whom the address is counted as: itself, or the /64 of an IPv6 address,
// which one client has all of. It is empty if nobody knows the address.
func (d Device) Network() string {
	addr := d.Address.WithZone("").Unmap()
	if !addr.IsValid() {
		return ""
	}
	bits := addr.BitLen()
	if addr.Is6() {
		bits /= 2
	}
	return netip.PrefixFrom(addr, bits).Masked().String()
}

// maxLabel bounds a device's label, in bytes.
const maxLabel = 100

func (d Device) validate() error {
	if len(d.Label) > maxLabel {
		return fault.Invalid("/device/label", "too_long", "must have at most 100 bytes")
	}
	if !utf8.ValidString(d.Label) || strings.ContainsFunc(d.Label, unicode.IsControl) {
		return fault.Invalid("/device/label", "invalid_character", "must hold no control characters")
	}
	return nil
}

// secretBytes is the size of what nobody can guess: 256 bits.
const secretBytes = 32

// newSecret returns 256 bits as 43 characters of base64url.
func newSecret() string {
	raw := make([]byte, secretBytes)
	_, _ = rand.Read(raw) // does not fail
	return base64.RawURLEncoding.EncodeToString(raw)
}

// isSecret reports whether a text has the form that newSecret writes.
func isSecret(text string) bool {
	if len(text) != base64.RawURLEncoding.EncodedLen(secretBytes) || strings.ContainsAny(text, "\r\n") { // which decoding passes over
		return false
	}
	_, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil
}

// randomText returns n characters of an alphabet.
func randomText(alphabet string, n int) string {
	text := make([]byte, n)
	for i := range text {
		d, err := rand.Int(rand.Reader, big.NewInt(int64(len(alphabet))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		text[i] = alphabet[d.Int64()]
	}
	return string(text)
}

// consists reports whether a text has n characters, all of an alphabet.
func consists(text, alphabet string, n int) bool {
	return len(text) == n && !strings.ContainsFunc(text, func(c rune) bool { return !strings.ContainsRune(alphabet, c) })
}
