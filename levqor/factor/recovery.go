package factor

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/levqor/sdk/levqor/identity"
)

// A recovery code is 80 bits, written as four groups of four letters and digits of
// Crockford's base32, which has no letters that look like a digit.
const (
	// RecoveryCodeCount is how many recovery codes a user gets.
	RecoveryCodeCount  = 10
	recoverySize       = 10
	recoveryGroup      = 4
	recoveryPurpose    = "recovery-code"
	crockford          = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	recoveryCodeLength = recoverySize * 8 / 5
)

var crockfordEncoding = base32.NewEncoding(crockford).WithPadding(base32.NoPadding)

// asCrockford reads what people write for a letter or digit.
var asCrockford = strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1")

// ReplaceRecoveryCodes makes [RecoveryCodeCount] recovery codes for a user, in the place
// of all that they have. They are returned this once: what is kept are keyed hashes. It
// returns ErrNotFound if there is no such user.
func (f *Factors) ReplaceRecoveryCodes(ctx context.Context, user identity.UserID) ([]string, error) {
	codes := make([]string, RecoveryCodeCount)
	hashes := make([][]byte, RecoveryCodeCount)
	for i := range codes {
		raw := make([]byte, recoverySize)
		_, _ = rand.Read(raw) // does not fail
		codes[i] = writeRecoveryCode(raw)
		hashes[i] = f.hasher.MAC(recoveryPurpose, userBytes(user), raw)
	}
	if err := f.store.ReplaceRecoveryCodes(ctx, user, hashes, f.now()); err != nil {
		return nil, wrap("replace recovery codes", err)
	}
	return codes, nil
}

// UseRecoveryCode accepts a recovery code of a user in the place of a lost factor and
// returns how many are left. Each counts once, wherever it is shown; capitals, spaces and
// dashes do not matter. It returns an ErrWrongCode for one that the user does not have
// any more or never had.
func (f *Factors) UseRecoveryCode(ctx context.Context, user identity.UserID, code string) (left int, err error) {
	raw, ok := readRecoveryCode(code)
	if !ok {
		return 0, wrap("use recovery code", ErrWrongCode)
	}
	hashes, err := f.store.RecoveryCodes(ctx, user)
	if err != nil {
		return 0, wrap("use recovery code", err)
	}
	var match []byte
	for _, hash := range hashes {
		if f.hasher.Verify(recoveryPurpose, hash, userBytes(user), raw) {
			match = hash
		}
	}
	if match == nil {
		return 0, wrap("use recovery code", ErrWrongCode)
	}
	left, err = f.store.UseRecoveryCode(ctx, user, match)
	if errors.Is(err, ErrNotFound) { // another call has used it meanwhile
		err = ErrReplayed
	}
	return left, wrap("use recovery code", err)
}

func writeRecoveryCode(raw []byte) string {
	text := crockfordEncoding.EncodeToString(raw)
	var groups []string
	for ; text != ""; text = text[recoveryGroup:] {
		groups = append(groups, text[:recoveryGroup])
	}
	return strings.Join(groups, "-")
}

func readRecoveryCode(code string) (raw []byte, ok bool) {
	text := asCrockford.Replace(strings.ToUpper(code))
	if len(text) != recoveryCodeLength {
		return nil, false
	}
	raw, err := crockfordEncoding.DecodeString(text)
	return raw, err == nil
}

// userBytes makes a hash one user's: moved to another one it opens nothing.
func userBytes(user identity.UserID) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(user))
}
