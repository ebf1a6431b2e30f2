// Package webhooksig signs webhooks and reads the keys that they are signed with, by the
// Standard Webhooks specification (https://www.standardwebhooks.com), version 1: who sends
// them and who receives them share it.
package webhooksig

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
)

// The headers of a webhook.
const (
	IDHeader        = "Webhook-Id"        // the same each time it is sent
	TimestampHeader = "Webhook-Timestamp" // when it was sent this time, in seconds since 1970
	SignatureHeader = "Webhook-Signature" // one or more signatures, with spaces between them
)

// MaxSignatures is how many signatures of a webhook are looked at: one for each key of an
// overlap would do.
const MaxSignatures = 16

// The sizes of a secret in bytes.
const (
	minSecret = 24
	maxSecret = 64
)

// The texts that keys and signatures begin with.
const (
	secretPrefix    = "whsec_"
	publicPrefix    = "whpk_"
	secretSignature = "v1,"
	publicSignature = "v1a,"
)

// ErrKey reports a text that is no key.
var ErrKey = errors.New("must be whsec_ with 24 to 64 bytes in base64, or whpk_ with 32")

// Key checks signatures: a shared secret (whsec_), or the public half of a pair of Ed25519
// (whpk_). It lies behind functions, so that no print of whatever holds it shows it.
type Key struct {
	secret func() []byte            // nil for a public key
	public func() ed25519.PublicKey // nil for a secret
}

// ParseKey reads a key. It returns [ErrKey], which does not repeat the text.
func ParseKey(text string) (Key, error) {
	if encoded, ok := strings.CutPrefix(text, secretPrefix); ok {
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(secret) < minSecret || len(secret) > maxSecret {
			return Key{}, ErrKey
		}
		return Key{secret: func() []byte { return secret }}, nil
	}
	encoded, ok := strings.CutPrefix(text, publicPrefix)
	public, err := base64.StdEncoding.DecodeString(encoded)
	if !ok || err != nil || len(public) != ed25519.PublicKeySize {
		return Key{}, ErrKey
	}
	return Key{public: func() ed25519.PublicKey { return public }}, nil
}

// Sign returns the signature by a shared secret of what was sent at some time, whose
// fraction of a second does not count. It is empty for a public key, which signs nothing.
func (k Key) Sign(id string, at time.Time, body []byte) string {
	if k.secret == nil {
		return ""
	}
	return secretSignature + base64.StdEncoding.EncodeToString(k.mac(signed(id, at, body)))
}

// Signed reports whether one of the signatures of a header is the key's.
func (k Key) Signed(header, id string, at time.Time, body []byte) bool {
	content := signed(id, at, body)
	signatures := strings.SplitN(header, " ", MaxSignatures+1)
	for _, s := range signatures[:min(len(signatures), MaxSignatures)] {
		if k.made(s, content) {
			return true
		}
	}
	return false
}

func (k Key) made(signature string, content []byte) bool {
	prefix := secretSignature
	if k.public != nil {
		prefix = publicSignature
	}
	encoded, ok := strings.CutPrefix(signature, prefix)
	raw, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case !ok || err != nil || k.secret == nil && k.public == nil:
		return false
	case k.public != nil:
		return ed25519.Verify(k.public(), content, raw)
	default:
		return hmac.Equal(raw, k.mac(content))
	}
}

func (k Key) mac(content []byte) []byte {
	mac := hmac.New(sha256.New, k.secret())
	mac.Write(content)
	return mac.Sum(nil)
}

// signed returns what is signed.
func signed(id string, at time.Time, body []byte) []byte {
	content := make([]byte, 0, len(id)+len(body)+24)
	content = append(content, id...)
	content = append(content, '.')
	content = strconv.AppendInt(content, at.Unix(), 10)
	content = append(content, '.')
	return append(content, body...)
}
