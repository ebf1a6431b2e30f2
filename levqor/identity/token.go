package identity

import (
	"crypto/rand"
	"hash/crc32"
	"math/big"
	"strings"
)

// A token is "lvq_live_", 22 base62 digits that name the key, 32 that are the
// secret (190 bits), and 6 that are the CRC-32 of everything before them, so
// what is misspelt or cut off is refused without asking the store and secret
// scanners can tell a token from other text.
const (
	tokenPrefix  = "lvq_live_"
	kidLength    = 22
	secretLength = 32
	crcLength    = 6
	tokenLength  = len(tokenPrefix) + kidLength + secretLength + crcLength
	keyIDPrefix  = "key_"
	base62       = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

// newToken returns a token with its key's name and secret.
func newToken() (token, kid, secret string) {
	kid, secret = randomDigits(kidLength), randomDigits(secretLength)
	head := tokenPrefix + kid + secret
	return head + checksum(head), kid, secret
}

// splitToken returns the parts of a well-formed token.
func splitToken(token string) (kid, secret string, ok bool) {
	if len(token) != tokenLength || !strings.HasPrefix(token, tokenPrefix) {
		return "", "", false
	}
	head := token[:tokenLength-crcLength]
	if token[len(head):] != checksum(head) {
		return "", "", false
	}
	for _, c := range []byte(head[len(tokenPrefix):]) {
		if strings.IndexByte(base62, c) < 0 {
			return "", "", false
		}
	}
	return head[len(tokenPrefix) : len(tokenPrefix)+kidLength], head[len(tokenPrefix)+kidLength:], true
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
