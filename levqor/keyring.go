package levqor

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/jobs"
)

// MinSecret is the least length of a secret, in bytes.
const MinSecret = 32

// KeyRing derives every key of the service from its secrets, one for each
// purpose (HKDF with SHA-256, RFC 5869), so what one key protects does not open
// with another. The first secret makes new values, all of them read old ones.
// It is safe for concurrent use.
type KeyRing struct {
	secrets [][]byte
	derived sync.Map // from derivation to its key; purposes are few
}

// derivation says what a key is derived from and for.
type derivation struct {
	secret       string
	use, purpose string
}

// NewKeyRing returns a ring of secrets, the current one first. It returns an
// ErrInvalid if there is none or one is shorter than [MinSecret].
func NewKeyRing(secrets ...[]byte) (*KeyRing, error) {
	if len(secrets) == 0 {
		return nil, fault.Invalid("/secret", "required", "must be given")
	}
	for _, s := range secrets {
		if len(s) < MinSecret {
			return nil, fault.Invalid("/secret", "too_short", fmt.Sprintf("must have at least %d bytes", MinSecret))
		}
	}
	return &KeyRing{secrets: secrets}, nil
}

// MAC returns the HMAC-SHA256 of parts under the current key for a purpose. Where
// one part ends and the next begins counts.
func (r *KeyRing) MAC(purpose string, parts ...[]byte) []byte {
	return mac(r.derive(r.secrets[0], "mac", purpose), parts)
}

// Verify reports, in constant time, whether sum is the MAC of parts under any
// secret of the ring.
func (r *KeyRing) Verify(purpose string, sum []byte, parts ...[]byte) bool {
	ok := false
	for _, s := range r.secrets {
		if hmac.Equal(sum, mac(r.derive(s, "mac", purpose), parts)) {
			ok = true
		}
	}
	return ok
}

// Names returns what the secrets are called, the current one first: 8 digits in base 16
// each, which tell nothing of them.
func (r *KeyRing) Names() []string {
	names := make([]string, len(r.secrets))
	for i, s := range r.secrets {
		names[i] = hex.EncodeToString(r.derive(s, "mac", "name")[:keyNameSize])
	}
	return names
}

func mac(key []byte, parts [][]byte) []byte {
	h := hmac.New(sha256.New, key)
	var length [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(p)))
		h.Write(length[:])
		h.Write(p)
	}
	return h.Sum(nil)
}

// derive returns the key of a secret for a use and a purpose. It keeps them: deriving takes
// three times as long as the MAC of a short text.
func (r *KeyRing) derive(secret []byte, use, purpose string) []byte {
	from := derivation{string(secret), use, purpose}
	if key, ok := r.derived.Load(from); ok {
		return key.([]byte) //nolint:forcetypeassert // nothing else is stored
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "levqor/"+use+"/"+purpose, 32)
	if err != nil {
		panic(err) // 32 bytes are within the bounds of HKDF
	}
	r.derived.Store(from, key)
	return key
}

// Sealer returns what encrypts the secrets in job arguments: AES-256-GCM, with
// the name of the key in front, so that secrets can be replaced.
func (r *KeyRing) Sealer() jobs.KeyedSealer { return sealer{r} }

type sealer struct{ ring *KeyRing }

const sealPurpose = "seal"

// keyNameSize is the length of a key's name: enough to tell a few keys apart.
const keyNameSize = 4

// Seal implements [jobs.Sealer].
func (s sealer) Seal(plaintext, aad []byte) (string, error) {
	name, gcm := s.key(s.ring.secrets[0])
	nonce := make([]byte, gcm.NonceSize())
	_, _ = rand.Read(nonce) // does not fail
	raw := append(name, nonce...)
	return base64.RawURLEncoding.EncodeToString(gcm.Seal(raw, nonce, plaintext, aad)), nil
}

// Open implements [jobs.Sealer].
func (s sealer) Open(sealed string, aad []byte) ([]byte, error) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < keyNameSize {
		return nil, errNotSealed()
	}
	for _, secret := range s.ring.secrets {
		name, gcm := s.key(secret)
		if !hmac.Equal(name, raw[:keyNameSize]) || len(raw) < keyNameSize+gcm.NonceSize() {
			continue
		}
		body := raw[keyNameSize:]
		plaintext, err := gcm.Open(nil, body[:gcm.NonceSize()], body[gcm.NonceSize():], aad)
		if err == nil {
			return plaintext, nil
		}
	}
	return nil, errNotSealed()
}

// Sealed implements [jobs.KeyedSealer].
func (s sealer) Sealed(sealed string) (known, current bool) {
	raw, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(raw) < keyNameSize {
		return false, false
	}
	for i, secret := range s.ring.secrets {
		if name, _ := s.key(secret); hmac.Equal(name, raw[:keyNameSize]) {
			return true, i == 0
		}
	}
	return false, false
}

func (s sealer) key(secret []byte) (name []byte, gcm cipher.AEAD) {
	block, err := aes.NewCipher(s.ring.derive(secret, sealPurpose, "key"))
	if err != nil {
		panic(err) // the key has 32 bytes
	}
	gcm, err = cipher.NewGCM(block)
	if err != nil {
		panic(err) // AES has GCM's block size
	}
	return s.ring.derive(secret, sealPurpose, "name")[:keyNameSize:keyNameSize], gcm
}

func errNotSealed() error {
	return fault.Invalid("", "not_sealed", "does not open with the keys of this service")
}
