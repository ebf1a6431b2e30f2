package guard

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"time"
)

// LogOptions configure a [Log]. The zero value of each field means its default.
type LogOptions struct {
	// Retention is how long entries are kept, in whole days at best; below 0 means for
	// ever. Old secrets must stay in the ring as long, or the entries that they sealed
	// cannot be verified any more. Default: 400 days.
	Retention time.Duration
	// Logger is told of events that could not be recorded yet. Default: discard.
	Logger *slog.Logger
	// Now replaces the clocks of the store and of the process, for tests. Default: their
	// clocks.
	Now func() time.Time
}

const (
	defaultRetention = 400 * 24 * time.Hour
	sealPurpose      = "security-log"
	headPurpose      = "security-log-head"
	// Entries are read in portions.
	portion = 500
)

// Log is the security log: for each tenant a chain of entries, each sealed with a keyed
// hash over itself and the one before. Who has the database alone can neither change an
// entry nor take one out, put one in or move one without [Log.Verify] telling.
//
// What goes with an effect is recorded in its transaction, so that neither is there
// without the other; what was denied or failed is noted, which never waits:
//
//	err = stores.InTx(ctx, func(ctx context.Context, tx levqor.Stores) error {
//		… // the effect
//		return log.With(tx.SecurityLog).Record(ctx, event)
//	})
//	err = log.Note(failure)
//
// It is safe for concurrent use.
type Log struct {
	store LogStore
	ring  Ring
	opts  LogOptions
	queue *queue
}

// NewLog returns a log on a store. Options may be nil.
func NewLog(store LogStore, ring Ring, opts *LogOptions) *Log {
	l := &Log{store: store, ring: ring, queue: newQueue()}
	if opts != nil {
		l.opts = *opts
	}
	if l.opts.Retention == 0 {
		l.opts.Retention = defaultRetention
	}
	if l.opts.Logger == nil {
		l.opts.Logger = slog.New(slog.DiscardHandler)
	}
	return l
}

// With returns the same log on another store, such as one bound to the caller's
// transaction. What is noted still waits for [Log.Flush] of the log with its own store.
func (l *Log) With(store LogStore) *Log {
	c := *l
	c.store = store
	return &c
}

// Record puts events at the end of their tenants' logs. Those of one tenant keep their
// order and are recorded all or none; so are all in a transaction, which other recordings
// of the same tenants then wait for. It returns an ErrInvalid that names each wrong field.
func (l *Log) Record(ctx context.Context, events ...Event) error {
	byTenant := map[string][]Event{}
	for _, e := range events {
		if err := e.Validate(); err != nil {
			return fmt.Errorf("guard: record: %w", err)
		}
		byTenant[e.Tenant] = append(byTenant[e.Tenant], e)
	}
	for _, tenant := range slices.Sorted(maps.Keys(byTenant)) { // so that no two wait for each other
		if err := l.record(ctx, tenant, func(time.Time) []Event { return byTenant[tenant] }); err != nil {
			return fmt.Errorf("guard: record: %w", err)
		}
	}
	return nil
}

// record seals what events returns for the instant of the recording.
func (l *Log) record(ctx context.Context, tenant string, events func(at time.Time) []Event) error {
	return l.store.Change(ctx, tenant, func(head LogHead, at time.Time) (LogHead, []Entry, error) {
		head, entries := l.appended(tenant, head, append(l.doubts(tenant, head), events(at)...), at)
		return head, entries, nil
	}, l.now())
}

// doubts returns what is recorded before anything else goes on top of a head that is not
// genuine, which must not make it look so. A head whose secret was removed since is no
// forgery, as far as anybody can tell.
func (l *Log) doubts(tenant string, head LogHead) []Event {
	switch l.headFlaw(tenant, head) {
	case "":
		return nil
	case FlawUnknownKey:
		return []Event{keyUnknown(tenant, ofHead, 1)}
	default:
		return []Event{{Tenant: tenant, Action: ActionLogHeadNotGenuine, Outcome: OutcomeFailed}}
	}
}

// What an [ActionLogKeyUnknown] is about, in its detail "of".
const (
	ofHead    = "head"
	ofEntries = "entries"
)

func keyUnknown(tenant, of string, count int) Event {
	return Event{Tenant: tenant, Action: ActionLogKeyUnknown, Outcome: OutcomeFailed, Detail: map[string]string{"of": of}, Count: count}
}

// appended seals events that follow a head, and the head after them.
func (l *Log) appended(tenant string, head LogHead, events []Event, at time.Time) (LogHead, []Entry) {
	key := l.ring.Names()[0]
	entries := make([]Entry, len(events))
	for i, e := range events {
		if e.At.IsZero() {
			e.At = at
		}
		e.At = e.At.UTC().Truncate(time.Microsecond)
		e.Count = max(1, e.Count)
		head.Last++
		entry := Entry{Event: e, Seq: head.Last, Key: key}
		entry.MAC = l.ring.MAC(sealPurpose, entry.parts(head.LastMAC)...)
		head.LastMAC = entry.MAC
		entries[i] = entry
	}
	return l.sealed(tenant, head), entries
}

// parts are what the MAC of an entry is over: everything.
func (e Entry) parts(before []byte) [][]byte {
	return [][]byte{
		before, []byte(e.Tenant), number(e.Seq), number(e.At.UnixMicro()), []byte(e.Action), []byte(e.Outcome), []byte(e.Actor), []byte(e.Target),
		[]byte(e.RequestID), []byte(e.Address), number(int64(e.Count)), []byte(e.detailText()), []byte(e.Key),
	}
}

func (h LogHead) parts(tenant string) [][]byte {
	return [][]byte{[]byte(tenant), number(h.Base), h.BaseMAC, number(h.Last), h.LastMAC, []byte(h.Key)}
}

func number(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }

func (l *Log) sealed(tenant string, head LogHead) LogHead {
	head.Key = l.ring.Names()[0]
	head.MAC = l.ring.MAC(headPurpose, head.parts(tenant)...)
	return head
}

// headFlaw returns what is wrong with a head: nothing if a log has written it, or if there
// is none.
func (l *Log) headFlaw(tenant string, h LogHead) Flaw {
	if h.Last == 0 && h.Base == 0 && len(h.MAC) == 0 || l.ring.Verify(headPurpose, h.MAC, h.parts(tenant)...) {
		return ""
	}
	return l.flawOf(h.Key, FlawHead)
}

// Head returns the head of a tenant's log, the zero LogHead if it has none. Kept
// somewhere else, it proves later that nothing up to its Last was cut off: compare its
// LastMAC with that of the entry.
func (l *Log) Head(ctx context.Context, tenant string) (LogHead, error) {
	head, err := l.store.Head(ctx, tenant)
	if err != nil {
		return LogHead{}, fmt.Errorf("guard: head: %w", err)
	}
	return head, nil
}

// Entries returns those of a tenant's entries that match, the last first unless the query
// says otherwise.
func (l *Log) Entries(ctx context.Context, tenant string, q LogQuery) ([]Entry, error) {
	entries, err := l.store.Entries(ctx, tenant, q)
	if err != nil {
		return nil, fmt.Errorf("guard: entries: %w", err)
	}
	return entries, nil
}

// Export records that somebody exports a tenant's log, from the entry after a number on,
// and returns its entries up to that record, the first first. The event by says who does and
// with which request; its Tenant, Action and Outcome are set.
func (l *Log) Export(ctx context.Context, tenant string, after int64, by Event) (iter.Seq2[Entry, error], error) {
	by.Tenant, by.Action, by.Outcome = tenant, ActionLogExported, OutcomeSuccess
	if err := l.Record(ctx, by); err != nil {
		return nil, err
	}
	head, err := l.Head(ctx, tenant)
	if err != nil {
		return nil, err
	}
	return l.walk(ctx, tenant, after, head.Last), nil
}

// walk goes through the entries after a number up to another.
func (l *Log) walk(ctx context.Context, tenant string, after, last int64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for after < last {
			entries, err := l.Entries(ctx, tenant, LogQuery{After: after, Before: last + 1, FirstFirst: true, Limit: portion})
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, e := range entries {
				if !yield(e, nil) {
					return
				}
				after = e.Seq
			}
			if len(entries) < portion {
				return
			}
		}
	}
}

// Erase removes a tenant's log, which should be no tenant any more: a log that is begun
// anew cannot be told from one that somebody else has removed.
func (l *Log) Erase(ctx context.Context, tenant string) error {
	l.queue.forget(tenant)
	if err := l.store.Erase(ctx, tenant); err != nil {
		return fmt.Errorf("guard: erase: %w", err)
	}
	return nil
}

// now is the store's clock unless the options say otherwise.
func (l *Log) now() time.Time {
	if l.opts.Now == nil {
		return time.Time{}
	}
	return l.opts.Now()
}

// clock is that of this process, by which it is told how long ago something was noted and
// which month it is.
func (l *Log) clock() time.Time {
	if l.opts.Now != nil {
		return l.opts.Now()
	}
	return time.Now() //nolint:forbidigo // measures a time that has passed, in one process
}
