package identity

import (
	"fmt"
	"strings"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

const (
	// InvitationTTL is how long an invitation can be accepted.
	InvitationTTL = 7 * 24 * time.Hour
	// MaxInvitations is how many live invitations a tenant can have.
	MaxInvitations = 1000
)

// InvitationID identifies an invitation: a positive integer that grows with time.
// Outside the process it is written as "inv_" and 11 base62 digits.
type InvitationID int64

const invitationPrefix = "inv_"

// String returns the form used outside the process.
func (id InvitationID) String() string { return timeid.Format(invitationPrefix, int64(id)) }

// ParseInvitationID reads the form that String writes. Anything else is an ErrNotFound,
// since no invitation has such an ID.
func ParseInvitationID(s string) (InvitationID, error) {
	id, ok := timeid.Parse(invitationPrefix, s)
	if !ok {
		return 0, fmt.Errorf("identity: invitation ID: %w", ErrNotFound)
	}
	return InvitationID(id), nil
}

// Invitation offers a place in a tenant. Invitations are tenant-owned.
type Invitation struct {
	// ID identifies the invitation.
	ID InvitationID
	// Tenant is where the place is.
	Tenant TenantID
	// Email is who is invited. It is the zero Email for an open invitation: that of the
	// service's first owner, who names an address when accepting.
	Email Email
	// Grant is what the new member may do.
	Grant
	// Inviter is who invited: the ID of a key or of a user; empty for the service itself.
	Inviter string
	// Hash is the keyed hash of the secret.
	Hash []byte
	// CreatedAt is when the invitation was stored.
	CreatedAt time.Time
	// ExpiresAt ends the invitation.
	ExpiresAt time.Time
}

// Open reports whether the invitation names no address.
func (i Invitation) Open() bool { return i.Email == Email{} }

// Offer is what whoever has the token of an invitation may see before accepting it.
type Offer struct {
	// Tenant is the name of the tenant.
	Tenant string
	// Address is the invited address with most of it hidden; empty for an open
	// invitation.
	Address string
	// Role is that of the place.
	Role Role
	// ExpiresAt is when the offer ends.
	ExpiresAt time.Time
}

// Joiner is what whoever accepts an invitation says of themselves.
type Joiner struct {
	// Email is their address, for an open invitation; nothing else looks at it.
	Email Email
	// Name is what a user is called who is made; it may be empty.
	Name string
	// SignedIn is who has signed in; 0 for nobody.
	SignedIn UserID
}

// masked returns an address that its owner recognizes and others cannot write to.
func (e Email) masked() string {
	local, domain, ok := strings.Cut(e.String(), "@")
	if !ok {
		return ""
	}
	first := []rune(local)[:1]
	return string(first) + "…@" + domain
}

// The token of an invitation is "lvi_", the 11 base62 digits of its ID, 32 that are the
// secret (190 bits), and 6 that are the CRC-32 of everything before them.
const (
	invitationToken       = "lvi_"
	invitationDigits      = 11
	invitationTokenLength = len(invitationToken) + invitationDigits + secretLength + crcLength
)

// newInvitationToken returns a token for an invitation, and its secret.
func newInvitationToken(id InvitationID) (text, secret string) {
	secret = randomDigits(secretLength)
	head := invitationToken + strings.TrimPrefix(id.String(), invitationPrefix) + secret
	return head + checksum(head), secret
}

// parseInvitationToken returns the parts of a well-formed token.
func parseInvitationToken(text string) (id InvitationID, secret string, ok bool) {
	if len(text) != invitationTokenLength || !strings.HasPrefix(text, invitationToken) {
		return 0, "", false
	}
	head := text[:invitationTokenLength-crcLength]
	digits := head[len(invitationToken):]
	if text[len(head):] != checksum(head) || !isDigits(digits) {
		return 0, "", false
	}
	id, err := ParseInvitationID(invitationPrefix + digits[:invitationDigits])
	return id, digits[invitationDigits:], err == nil
}
