package guard

import (
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Flaw is what is wrong with a log.
type Flaw string

// The flaws.
const (
	// FlawMissing means that the entry with that number is not there.
	FlawMissing Flaw = "missing"
	// FlawChanged means that the entry, or the one before it, is not what was recorded.
	FlawChanged Flaw = "changed"
	// FlawUnknownKey means that the entry, or the head, says that it was sealed with a
	// secret that the service does not have any more, so nobody can tell.
	FlawUnknownKey Flaw = "unknown_key"
	// FlawHead means that the head is not the one that was written last, so where the log
	// begins and ends is not known; or that it was not when the entry was recorded, so what
	// came before that may have been cut off.
	FlawHead Flaw = "head"
)

// Report says whether a log is whole.
type Report struct {
	// First is the number of the first entry that there should be; those before it have
	// had their time.
	First int64
	// Last is the number of the last one; 0 for a log without any.
	Last int64
	// MAC is that of the last one; empty for a log without any.
	MAC []byte
	// Checked is how many entries were found to be genuine and in their place.
	Checked int64
	// Broken is the number of the first that is not, or else of the first that says that
	// the head before it was not; 0 if there is none, or if it is the head now.
	Broken int64
	// Flaw is what is wrong; empty for a log that is whole.
	Flaw Flaw
}

// Whole reports whether nothing is wrong.
func (r Report) Whole() bool { return r.Flaw == "" }

// Verify goes through a tenant's log and reports whether each entry is there, as it was
// recorded and in its place. It sees what somebody has changed, taken out, put in, moved
// or cut off at either end who does not have the service's secrets. One thing it cannot
// see from within: a log that is put back as a whole, head and all, into a state that it
// once had, be it that of having none. Who must know that keeps a [Log.Head] somewhere
// else from time to time.
func (l *Log) Verify(ctx context.Context, tenant string) (Report, error) {
	for {
		head, err := l.Head(ctx, tenant)
		if err != nil {
			return Report{}, fmt.Errorf("guard: verify: %w", err)
		}
		r, err := l.verify(ctx, tenant, head)
		if err != nil {
			return Report{}, fmt.Errorf("guard: verify: %w", err)
		}
		if r.Whole() {
			return r, nil
		}
		now, err := l.Head(ctx, tenant)
		if err != nil {
			return Report{}, fmt.Errorf("guard: verify: %w", err)
		}
		if now.Base == head.Base { // else entries have had their time meanwhile
			return r, nil
		}
	}
}

func (l *Log) verify(ctx context.Context, tenant string, head LogHead) (Report, error) {
	r := Report{First: head.Base + 1, Last: head.Last, MAC: head.LastMAC}
	if r.Flaw = l.headFlaw(tenant, head); r.Flaw != "" {
		return r, nil
	}
	var doubt Report // the first, if nothing else is wrong
	before, expected := head.BaseMAC, head.Base+1
	for e, err := range l.walk(ctx, tenant, head.Base, head.Last) {
		if err != nil {
			return Report{}, err
		}
		if e.Seq != expected {
			break
		}
		if !l.ring.Verify(sealPurpose, e.MAC, e.parts(before)...) {
			r.Broken, r.Flaw = e.Seq, l.flawOf(e.Key, FlawChanged)
			return r, nil
		}
		if flaw := flawBefore(e, r.Checked > 0); flaw != "" && doubt.Whole() {
			doubt.Broken, doubt.Flaw = e.Seq, flaw
		}
		before = e.MAC
		expected++
		r.Checked++
	}
	if expected <= head.Last {
		r.Broken, r.Flaw = expected, FlawMissing
		return r, nil
	}
	if !hmac.Equal(before, head.LastMAC) {
		r.Flaw = FlawHead
		return r, nil
	}
	if !doubt.Whole() {
		r.Broken, r.Flaw = doubt.Broken, doubt.Flaw
		return r, nil
	}
	return l.beyond(ctx, tenant, r)
}

// flawBefore returns what was wrong with the head when an entry was recorded. That its
// secret was removed explains nothing if there is an entry before whose secret is there: a
// head's is never an older one.
func flawBefore(e Entry, afterGenuine bool) Flaw {
	switch {
	case e.Action == ActionLogHeadNotGenuine:
		return FlawHead
	case e.Action == ActionLogKeyUnknown && e.Detail["of"] == ofHead && afterGenuine:
		return FlawUnknownKey
	default:
		return ""
	}
}

// beyond looks for entries that a head does not know: one that was put back, or taken away.
func (l *Log) beyond(ctx context.Context, tenant string, r Report) (Report, error) {
	more, err := l.Entries(ctx, tenant, LogQuery{After: r.Last, FirstFirst: true, Limit: 1})
	if err != nil || len(more) == 0 {
		return r, err
	}
	head, err := l.Head(ctx, tenant)
	if err == nil && head.Last < more[0].Seq {
		r.Flaw = FlawHead
	}
	return r, err
}

func (l *Log) flawOf(key string, flaw Flaw) Flaw {
	if !slices.Contains(l.ring.Names(), key) {
		return FlawUnknownKey
	}
	return flaw
}

// errCurrent ends a change that has nothing to do.
var errCurrent = errors.New("nothing to remove")

// maxTidied bounds how many tenants are looked at in one call.
const maxTidied = 100

// Tidy removes up to about limit entries that have had their time, from the front of
// their logs, and returns how many.
func (l *Log) Tidy(ctx context.Context, limit int, now time.Time) (int, error) {
	if l.opts.Retention < 0 {
		return 0, nil
	}
	tenants, err := l.store.Expired(ctx, l.opts.Retention, maxTidied, now)
	removed := 0
	for _, tenant := range tenants {
		if err != nil || removed >= limit {
			break
		}
		var n int
		n, err = l.trim(ctx, tenant, limit-removed, now)
		removed += n
	}
	if err != nil {
		return removed, fmt.Errorf("guard: tidy: %w", err)
	}
	return removed, nil
}

// trim stops at the first entry that is not as it was recorded: whoever has the database
// could else have entries removed by making them look old. Of those that nobody can check
// any more, because their secret was removed, it records how many there were.
func (l *Log) trim(ctx context.Context, tenant string, limit int, now time.Time) (int, error) {
	before, err := l.store.Head(ctx, tenant)
	if err != nil {
		return 0, err
	}
	entries, err := l.store.Entries(ctx, tenant, LogQuery{After: before.Base, FirstFirst: true, Limit: limit})
	if err != nil {
		return 0, err
	}
	var n int
	err = l.store.Change(ctx, tenant, func(head LogHead, at time.Time) (LogHead, []Entry, error) {
		var unknown int
		n, unknown = l.passed(head, entries, at.Add(-l.opts.Retention))
		if n == 0 || l.headFlaw(tenant, head) == FlawHead { // a forged head stays for whoever looks into it
			return LogHead{}, nil, errCurrent
		}
		doubts := l.doubts(tenant, head)
		if unknown > 0 {
			doubts = append(doubts, keyUnknown(tenant, ofEntries, unknown))
		}
		head.Base, head.BaseMAC = entries[n-1].Seq, entries[n-1].MAC
		head, more := l.appended(tenant, head, doubts, at)
		return head, more, nil
	}, now)
	if errors.Is(err, errCurrent) {
		return 0, nil
	}
	return n, err
}

// passed returns how many of the entries behind a head's base have had their time, and
// how many of these were sealed by a secret that is gone.
func (l *Log) passed(head LogHead, entries []Entry, end time.Time) (n, unknown int) {
	before := head.BaseMAC
	for _, e := range entries {
		if e.Seq != head.Base+int64(n)+1 || e.Seq > head.Last || !e.At.Before(end) {
			break
		}
		if !l.ring.Verify(sealPurpose, e.MAC, e.parts(before)...) {
			if l.flawOf(e.Key, FlawChanged) != FlawUnknownKey {
				break
			}
			unknown++
		}
		before = e.MAC
		n++
	}
	return n, unknown
}
