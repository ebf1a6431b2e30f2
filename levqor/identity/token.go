package identity

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
)

// The environments of a service. A key of one opens nothing in the other.
const (
	// Live is where the work is real.
	Live = "live"
	// Test is where nothing counts.
	Test = "test"
)

// A token is "lvq_", its environment and "_", 22 base62 digits that name the key, 32
// that are the secret (190 bits), and 6 that are the CRC-32 of everything before
// them, so what is misspelt or cut off is refused without asking the store and
// secret scanners can tell a token from other text.
const (
	tokenPrefix  = "lvq_"
	kidLength    = 22
	secretLength = 32
	crcLength    = 6
	tokenLength  = len(tokenPrefix+Live+"_") + kidLength + secretLength + crcLength // the environments are as long as each other
	keyIDPrefix  = "key_"
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// token is a token with its parts.
type token struct {
	text, environment, kid, secret string
}

// keyID returns the ID of the token's key.
func (t token) keyID() string { return keyIDPrefix + t.kid }

// newToken returns a token for a key with a secret of its own.
func newToken(environment, kid string) token {
	t := token{environment: environment, kid: kid, secret: randomDigits(secretLength)}
	head := tokenPrefix + environment + "_" + kid + t.secret
	t.text = head + checksum(head)
	return t
}

// parseToken returns a well-formed token.
func parseToken(text string) (t token, ok bool) {
	if len(text) != tokenLength || !strings.HasPrefix(text, tokenPrefix) {
		return token{}, false
	}
	head := text[:tokenLength-crcLength]
	if text[len(head):] != checksum(head) {
		return token{}, false
	}
	environment, digits, _ := strings.Cut(head[len(tokenPrefix):], "_")
	if environment != Live && environment != Test || !isDigits(digits) {
		return token{}, false
	}
	return token{text: text, environment: environment, kid: digits[:kidLength], secret: digits[kidLength:]}, true
}

// kidOf returns the part of a key's ID that its tokens hold.
func kidOf(keyID string) (kid string, ok bool) {
	kid, ok = strings.CutPrefix(keyID, keyIDPrefix)
	return kid, ok && len(kid) == kidLength && isDigits(kid)
}

func isDigits(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return !strings.ContainsRune(base62, c) })
}

// checksum returns the CRC-32 (IEEE) of head as base62 digits.
func checksum(head string) string {
	n := crc32.ChecksumIEEE([]byte(head))
	var digits [crcLength]byte
	for i := crcLength - 1; i >= 0; i-- {
		digits[i] = base62[n%62]
		n /= 62
	}
	return string(digits[:])
}

func randomDigits(n int) string {
	digits := make([]byte, n)
	for i := range digits {
		d, err := rand.Int(rand.Reader, big.NewInt(int64(len(base62))))
		if err != nil {
			panic(err) // crypto/rand does not fail
		}
		digits[i] = base62[d.Int64()]
	}
	return string(digits)
}
