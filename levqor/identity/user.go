package identity

import (
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// UserID identifies a user: a positive integer that grows with time. Outside the
// process it is written as "usr_" and 11 base62 digits.
type UserID int64

const userPrefix = "usr_"

// String returns the form used outside the process.
func (id UserID) String() string { return timeid.Format(userPrefix, int64(id)) }

// ParseUserID reads the form that String writes. Anything else is an ErrNotFound, since
// no user has such an ID.
func ParseUserID(s string) (UserID, error) {
	id, ok := timeid.Parse(userPrefix, s)
	if !ok {
		return 0, fmt.Errorf("identity: user ID: %w", ErrNotFound)
	}
	return UserID(id), nil
}

// User is a person with an e-mail address of their own. Users are subject-owned: no
// tenant owns them, and they may be members of many.
type User struct {
	// ID identifies the user.
	ID UserID
	// Email is where mail for the user goes, as the first caller of
	// [Directory.EnsureUser] typed it.
	Email Email
	// Name is what the user wants to be called, at most 200 bytes; it may be empty.
	Name string
	// CreatedAt is when the user was stored.
	CreatedAt time.Time
	// DisabledAt is when the user was locked out; zero if they are not.
	DisabledAt time.Time
	// DeletedAt is when the user's deletion began; zero if it did not. The user has no
	// tenants since then, and goes when all that they left behind has been erased.
	DeletedAt time.Time
}
