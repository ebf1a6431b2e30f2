package guard

import (
	"context"
	"time"
)

// LogStore keeps security logs, tenant-owned: for each tenant a head and entries with
// numbers that follow each other. What holds for every method: it is safe for concurrent
// use; now is the instant that the call works with, and the zero time means the store's
// own clock; errors wrap the kinds of this package and print nothing of the store's inner
// workings. A store hands everything back as it got it, times in whole microseconds.
//
// A store offers no way to change an entry or to remove one but from the front, and where
// it can it refuses both to others as well.
type LogStore interface {
	// Change calls fn with the head of a tenant's log, the zero LogHead if it has none,
	// and the instant that the call works with; then it stores the head and the entries
	// that fn returns, and removes the entries up to the Base of the head. If fn returns an
	// error, so does Change, and nothing is stored. Of calls for one tenant at the same
	// time, in any processes, each sees what the one before has stored; those for others do
	// not wait. A number that is taken is an ErrConflict. fn may be called more than once.
	// In a transaction what was stored vanishes with it.
	Change(ctx context.Context, tenant string, fn LogChange, now time.Time) error

	// Head returns the head of a tenant's log, the zero LogHead if it has none.
	Head(ctx context.Context, tenant string) (LogHead, error)

	// Entries returns those of a tenant's entries that match, in the order of their
	// numbers, the last first unless the query says otherwise.
	Entries(ctx context.Context, tenant string, q LogQuery) ([]Entry, error)

	// Expired returns up to limit tenants, in no particular order, the first entry of
	// whose log is older than age at now.
	Expired(ctx context.Context, age time.Duration, limit int, now time.Time) ([]string, error)

	// Erase removes a tenant's log, its head too. It does not mind if there is none.
	Erase(ctx context.Context, tenant string) error
}

// LogChange says what becomes of a log. It is the only thing that waits for others, so it
// should do nothing that takes long.
type LogChange func(head LogHead, at time.Time) (LogHead, []Entry, error)

// LogHead says where a log begins and ends. Its MAC is over the rest of it, so that
// neither can be moved by who has the database alone.
type LogHead struct {
	// Base is the number before the first entry: 0, or that of the last one whose time was
	// over. It only ever grows.
	Base int64
	// BaseMAC is the MAC of that entry; empty for 0.
	BaseMAC []byte
	// Last is the number of the last entry; 0 if there never was one. It only ever grows.
	Last int64
	// LastMAC is the MAC of that entry; empty for 0.
	LastMAC []byte
	// Key names the secret that MAC was made with.
	Key string
	// MAC is the keyed hash of all the above.
	MAC []byte
}

// Entry is an event in a log.
type Entry struct {
	Event
	// Seq is its number: 1, 2, 3 and so on in each tenant's log.
	Seq int64
	// Key names the secret that MAC was made with.
	Key string
	// MAC is the keyed hash of the entry and of the MAC before it.
	MAC []byte
}

// LogQuery says which entries are asked for. What is zero does not restrict them.
type LogQuery struct {
	// Action is what they are about.
	Action Action
	// Outcome is how that ended.
	Outcome Outcome
	// Actor is who did it.
	Actor string
	// From is the earliest At.
	From time.Time
	// Until is after the latest At.
	Until time.Time
	// After leaves out entries up to this number.
	After int64
	// Before leaves out entries from this number on.
	Before int64
	// FirstFirst asks for the first of them first.
	FirstFirst bool
	// Limit is how many to return at most.
	Limit int
}

// matches is the rule for all stores; one in SQL says it in its own words.
func (q LogQuery) matches(e Entry) bool {
	return (q.Action == "" || e.Action == q.Action) && (q.Outcome == "" || e.Outcome == q.Outcome) && (q.Actor == "" || e.Actor == q.Actor) &&
		(q.From.IsZero() || !e.At.Before(q.From)) && (q.Until.IsZero() || e.At.Before(q.Until)) &&
		e.Seq > q.After && (q.Before == 0 || e.Seq < q.Before)
}
