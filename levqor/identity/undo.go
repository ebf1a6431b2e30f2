package identity

import (
	"fmt"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

const (
	// UndoTTL is how long a change of an address can be undone, and the address from
	// before is nobody else's.
	UndoTTL = 7 * 24 * time.Hour
	// MaxUndos is how many changes of a user's address can be open to be undone at a time.
	MaxUndos = 10
)

// UndoID identifies an [Undo]: a positive integer that grows with time. Outside the process
// it is written as "und_" and 11 base62 digits.
type UndoID int64

const undoPrefix = "und_"

// String returns the form used outside the process.
func (id UndoID) String() string { return timeid.Format(undoPrefix, int64(id)) }

// ParseUndoID reads the form that String writes. Anything else is an ErrNotFound, since no
// undo has such an ID.
func ParseUndoID(s string) (UndoID, error) {
	id, ok := timeid.Parse(undoPrefix, s)
	if !ok {
		return 0, fmt.Errorf("identity: undo ID: %w", ErrNotFound)
	}
	return UndoID(id), nil
}

// Undo is what leads a user back to an address that they had before a change. It is open
// until its ExpiresAt, and subject-owned.
type Undo struct {
	// ID identifies the undo. It is no secret.
	ID UndoID
	// User is whose address was changed.
	User UserID
	// Email is the address that the undo leads back to, as it was stored.
	Email Email
	// Hash is a keyed hash of the secret.
	Hash []byte
	// Step is higher than those of all changes of the user from before that can be undone.
	Step int
	// CreatedAt is when the address was changed.
	CreatedAt time.Time
	// ExpiresAt ends the undo.
	ExpiresAt time.Time
}

// The token of an undo is "lvu_", the 11 base62 digits of its ID, 43 that are the secret (256
// bits), and 6 that are the CRC-32 of everything before them.
const (
	undoToken       = "lvu_"
	undoDigits      = 11
	undoSecret      = 43
	undoTokenLength = len(undoToken) + undoDigits + undoSecret + crcLength
)

// newUndoToken returns a token for an undo, and its secret.
func newUndoToken(id UndoID) (text, secret string) {
	secret = randomDigits(undoSecret)
	head := undoToken + strings.TrimPrefix(id.String(), undoPrefix) + secret
	return head + checksum(head), secret
}

// parseUndoToken returns the parts of a well-formed token.
func parseUndoToken(text string) (id UndoID, secret string, ok bool) {
	if len(text) != undoTokenLength || !strings.HasPrefix(text, undoToken) {
		return 0, "", false
	}
	head := text[:undoTokenLength-crcLength]
	digits := head[len(undoToken):]
	if text[len(head):] != checksum(head) || !isDigits(digits) {
		return 0, "", false
	}
	id, err := ParseUndoID(undoPrefix + digits[:undoDigits])
	return id, digits[undoDigits:], err == nil
}
