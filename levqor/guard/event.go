package guard

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/levqor/sdk/internal/fault"
)

// Action is what an [Event] is about.
type Action string

// The actions: what OWASP ASVS 5.0, 16.3, wants a log to tell of.
const (
	ActionLoginSucceeded    Action = "login.succeeded"
	ActionLoginFailed       Action = "login.failed"
	ActionSessionEnded      Action = "session.ended"
	ActionFactorAdded       Action = "factor.added"
	ActionFactorRemoved     Action = "factor.removed"
	ActionRecoveryUsed      Action = "recovery.used"
	ActionKeyCreated        Action = "key.created"
	ActionKeyChanged        Action = "key.changed"
	ActionKeyRotated        Action = "key.rotated"
	ActionKeyRevoked        Action = "key.revoked"
	ActionKeyUsedRetiring   Action = "key.used_retiring"
	ActionKeyLeaked         Action = "key.leaked"
	ActionInvitationSent    Action = "invitation.sent"
	ActionInvitationRevoked Action = "invitation.revoked"
	ActionOwnerLinkCreated  Action = "owner_link.created"
	ActionMemberAdded       Action = "member.added"
	ActionMemberRoleChanged Action = "member.role_changed"
	ActionMemberRemoved     Action = "member.removed"
	ActionUserDisabled      Action = "user.disabled"
	ActionUserEnabled       Action = "user.enabled"
	ActionUserDeleted       Action = "user.deleted"
	ActionEmailChangeAsked  Action = "email.change_asked"
	ActionEmailChanged      Action = "email.changed"
	ActionEmailChangeUndone Action = "email.change_undone"
	ActionTenantCreated     Action = "tenant.created"
	ActionTenantRenamed     Action = "tenant.renamed"
	ActionTenantDeleted     Action = "tenant.deleted"
	ActionSSOCreated        Action = "sso.created"
	ActionSSOChanged        Action = "sso.changed"
	ActionSSOVerified       Action = "sso.verified"
	ActionSSODeleted        Action = "sso.deleted"
	ActionSSODomainLost     Action = "sso.domain_lost"    // to a connection that proved it
	ActionSSODomainDropped  Action = "sso.domain_dropped" // taken from a tenant by an operator
	ActionSSOLinked         Action = "sso.linked"
	ActionSSOUnlinked       Action = "sso.unlinked"
	ActionAccessDenied      Action = "access.denied"
	ActionLogExported       Action = "log.exported"
	ActionLogEventsDropped  Action = "log.events_dropped"   // recorded by the log itself
	ActionLogHeadNotGenuine Action = "log.head_not_genuine" // the same
	ActionLogKeyUnknown     Action = "log.key_unknown"      // the same
)

// MaxDetail is how many bytes a value of [Event.Detail] has at most. A domain has up to 253.
const MaxDetail = 256

const (
	maxDetails      = 10
	maxTenant       = 200
	pseudonymPrefix = "pii:"
)

// Actions returns all actions, in no particular order.
func Actions() []Action {
	return []Action{
		ActionLoginSucceeded, ActionLoginFailed, ActionSessionEnded, ActionFactorAdded, ActionFactorRemoved, ActionRecoveryUsed,
		ActionKeyCreated, ActionKeyChanged, ActionKeyRotated, ActionKeyRevoked, ActionKeyUsedRetiring, ActionKeyLeaked,
		ActionInvitationSent, ActionInvitationRevoked, ActionOwnerLinkCreated, ActionMemberAdded, ActionMemberRoleChanged, ActionMemberRemoved,
		ActionUserDisabled, ActionUserEnabled, ActionUserDeleted, ActionEmailChangeAsked, ActionEmailChanged, ActionEmailChangeUndone,
		ActionTenantCreated, ActionTenantRenamed, ActionTenantDeleted,
		ActionSSOCreated, ActionSSOChanged, ActionSSOVerified, ActionSSODeleted, ActionSSODomainLost, ActionSSODomainDropped, ActionSSOLinked, ActionSSOUnlinked, ActionAccessDenied,
		ActionLogExported, ActionLogEventsDropped, ActionLogHeadNotGenuine, ActionLogKeyUnknown,
	}
}

var allActions = Actions()

// Outcome is how an action ended.
type Outcome string

// The outcomes.
const (
	// OutcomeSuccess means that it was done.
	OutcomeSuccess Outcome = "success"
	// OutcomeDenied means that whoever asked for it is known and may not.
	OutcomeDenied Outcome = "denied"
	// OutcomeFailed means that it did not come about: a wrong secret, a fault.
	OutcomeFailed Outcome = "failed"
)

// Event is something that concerns the security of a tenant. It names people by IDs and
// by what [Log.Pseudonym] makes of what is personal, never by an address.
type Event struct {
	// Tenant is whose log it belongs to, at most 200 bytes; that without a name is one too.
	Tenant string
	// Action is what was done, one of [Actions].
	Action Action
	// Outcome is how it ended.
	Outcome Outcome
	// Actor is the ID of the key or user who did it; empty for nobody who is known and for
	// the service itself. IDs are at most 100 letters, digits and _ . : / -.
	Actor string
	// Target is the ID of what it was done to; empty for none.
	Target string
	// RequestID is that of the request that it came with; empty for none.
	RequestID string
	// Address is the pseudonym of where it came from; empty if that is not known.
	Address string
	// Detail says more: at most 10 values of up to 256 bytes, no secrets and nothing
	// personal that is not a pseudonym. Names are as those of policies.
	Detail map[string]string
	// Count is for how many of its kind the event stands that followed each other
	// closely. Default: 1.
	Count int
	// At is when it happened, or the first of them, in whole microseconds. Default: when
	// it is recorded.
	At time.Time
}

var (
	idForm        = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{0,100}$`)
	pseudonymForm = regexp.MustCompile(`^(` + pseudonymPrefix + `[0-9]{6}-[0-9a-f]{8}:[0-9a-f]{12})?$`)
)

// Validate returns an ErrInvalid that names each wrong field.
func (e Event) Validate() error {
	var errs []error
	check := func(ok bool, field, code, detail string) {
		if !ok {
			errs = append(errs, fault.Invalid(field, code, detail))
		}
	}
	check(len(e.Tenant) <= maxTenant && isPlain(e.Tenant), "/tenant", "out_of_range", "must be at most 200 bytes without control characters")
	check(slices.Contains(allActions, e.Action), "/action", "unknown_value", "must be one of the known actions")
	check(slices.Contains([]Outcome{OutcomeSuccess, OutcomeDenied, OutcomeFailed}, e.Outcome), "/outcome", "unknown_value", "must be success, denied or failed")
	for field, id := range map[string]string{"/actor": e.Actor, "/target": e.Target, "/request_id": e.RequestID} {
		check(idForm.MatchString(id), field, "invalid_format", "must be at most 100 letters, digits and _ . : / -")
	}
	check(pseudonymForm.MatchString(e.Address), "/address", "invalid_format", "must be a pseudonym")
	check(plainDetail(e.Detail), "/detail", "invalid_format", "must have at most 10 values of up to 256 bytes, named by 1 to 64 of a to z, 0 to 9, _ and -")
	check(e.Count >= 0, "/count", "out_of_range", "must be at least 0, for 1")
	return errors.Join(errs...)
}

func plainDetail(detail map[string]string) bool {
	for name, value := range detail {
		if !nameForm.MatchString(name) || len(value) > MaxDetail || !isPlain(value) {
			return false
		}
	}
	return len(detail) <= maxDetails
}

// isPlain reports whether a text can begin no line of its own where somebody prints it.
func isPlain(text string) bool {
	for _, r := range text {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return utf8.ValidString(text)
}

// detailText returns the detail in its one form.
func (e Event) detailText() string {
	if len(e.Detail) == 0 {
		return "{}"
	}
	raw, err := json.Marshal(e.Detail) // in the order of the names
	if err != nil {
		panic(fmt.Sprintf("guard: a map of strings: %v", err))
	}
	return string(raw)
}
