package levqor

import (
	"context"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/levqor/factor"
	"github.com/levqor/sdk/levqor/guard"
	"github.com/levqor/sdk/levqor/identity"
	"github.com/levqor/sdk/levqor/login"
	"github.com/levqor/sdk/levqor/sso"
)

// Stores are the stores of every room on one database. Package bunlevqor makes
// them for PostgreSQL and SQLite, [MemStores] in memory.
type Stores struct {
	// Jobs keeps the jobs.
	Jobs jobs.Store
	// Schedules keeps the recurring jobs.
	Schedules jobs.ScheduleStore
	// Limits keeps the settings of queues.
	Limits jobs.LimitStore
	// Health tells how jobs are worked off.
	Health jobs.HealthStore
	// Sealed shows and replaces the sealed secrets of jobs and schedules.
	Sealed jobs.SealedStore
	// Keys keeps the API keys.
	Keys identity.KeyStore
	// Directory keeps people and tenants.
	Directory identity.DirectoryStore
	// Invitations keeps invitations to tenants.
	Invitations identity.InvitationStore
	// Links keeps the links by which people sign in.
	Links login.LinkStore
	// Sessions keeps who has signed in.
	Sessions login.SessionStore
	// Factors keeps people's second factors.
	Factors factor.Store
	// SSO keeps the identity providers of tenants.
	SSO sso.Store
	// Rates keeps how much of their rate limits callers have used.
	Rates guard.LimitStore
	// SecurityLog keeps what concerns the security of tenants.
	SecurityLog guard.LogStore
	// Idempotency keeps the answers to requests with an idempotency key.
	Idempotency IdempotencyStore
	// Tx runs fn with stores that are bound to one transaction, and commits it if
	// fn returns nil. See [Stores.InTx].
	Tx func(ctx context.Context, fn func(ctx context.Context, tx Stores) error) error
	// Check returns nil if the database answers and its schema is complete, else
	// an ErrUnavailable.
	Check func(ctx context.Context) error
}

// InTx runs fn with stores bound to one transaction: what it does through them
// is kept as a whole if fn returns nil, and not at all if it returns an error,
// which InTx returns. While fn runs it must use no other stores on the same
// database, nor wait for the network: SQLite has one connection, and all wait for it. The
// stores are over when fn returns. Fn gets a context of its own, which does not end with ctx.
func (s Stores) InTx(ctx context.Context, fn func(ctx context.Context, tx Stores) error) error {
	return s.Tx(ctx, fn)
}

// IdempotencyStore keeps the answers to requests that carry an idempotency key.
// Records are tenant-owned. What holds for every method: it is safe for
// concurrent use; now is the instant that the call works with, and the zero time
// means the store's own clock; errors wrap the kinds of package levqor.
type IdempotencyStore interface {
	// Begin stores a record without an answer, which lives for ttl, and returns
	// false. If there is a record of that scope that has not expired, it is
	// returned with true instead. Begin is called within a transaction; while
	// another one that has begun the same scope is open, it waits for its end.
	Begin(ctx context.Context, record IdempotencyRecord, ttl time.Duration, now time.Time) (IdempotencyRecord, bool, error)

	// Finish stores the answer in a record that was begun in the same
	// transaction. It returns ErrNotFound if there is none.
	Finish(ctx context.Context, scope IdempotencyScope, answer Answer) error

	// DeleteExpired removes up to limit records whose time is over, and returns
	// how many.
	DeleteExpired(ctx context.Context, limit int, now time.Time) (int, error)

	// DeleteTenant removes up to limit records of a tenant, whether their time is over or
	// not, and returns how many. It may leave out records that somebody else has begun or
	// removes meanwhile.
	DeleteTenant(ctx context.Context, tenant string, limit int) (int, error)
}

// IdempotencyScope says where an idempotency key holds: the same key of another
// tenant, caller or operation is another key.
type IdempotencyScope struct {
	// Tenant owns the record.
	Tenant string
	// Caller is the API key that the request came with, or the person who sent it.
	Caller string
	// Operation is the method and the path template, such as "POST /api/v1/jobs".
	Operation string
	// Key is what the caller chose.
	Key string
}

// IdempotencyRecord is one request with its answer.
type IdempotencyRecord struct {
	// Scope identifies the record.
	Scope IdempotencyScope
	// Fingerprint is a hash of the request.
	Fingerprint []byte
	// Answer is what the caller was told.
	Answer Answer
}

// Answer is what is told again when a request is repeated.
type Answer struct {
	// Status is the HTTP status.
	Status int
	// Header holds the headers that belong to the answer, such as Location.
	Header map[string]string
	// Body is the answer's body.
	Body []byte
}
