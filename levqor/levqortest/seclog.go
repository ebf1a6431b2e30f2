package levqortest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/guard"
)

// entry returns an entry of tenant "a", seq minutes after t0.
func entry(seq int64) guard.Entry {
	return guard.Entry{
		Seq: seq, Key: "0a0b0c0d", MAC: []byte{0, byte(seq), 0xff},
		Event: guard.Event{
			Tenant: "a", Action: guard.ActionKeyCreated, Outcome: guard.OutcomeSuccess, Actor: "key_1", Target: "key_2", RequestID: "req_3",
			Address: "pii:203105-0a0b0c0d:0123456789ab", Detail: map[string]string{"name": `it's "?" é`}, Count: 1, At: t0.Add(time.Duration(seq) * time.Minute),
		},
	}
}

func entries(seqs ...int64) []guard.Entry {
	var all []guard.Entry
	for _, seq := range seqs {
		all = append(all, entry(seq))
	}
	return all
}

// adding stores entries and a head that ends with them.
func adding(all ...guard.Entry) guard.LogChange {
	return func(head guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) {
		head.Last, head.LastMAC = all[len(all)-1].Seq, all[len(all)-1].MAC
		return head, all, nil
	}
}

func (e *env) change(tenant string, fn guard.LogChange) {
	e.Helper()
	if err := e.SecurityLog.Change(e.ctx, tenant, fn, t0); err != nil {
		e.Fatalf("Change = %v", err)
	}
}

func (e *env) wantSeqs(tenant string, q guard.LogQuery, want ...int64) {
	e.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	found, err := e.SecurityLog.Entries(e.ctx, tenant, q)
	var got []int64
	for _, entry := range found {
		got = append(got, entry.Seq)
	}
	if err != nil || !slices.Equal(got, want) {
		e.Errorf("Entries(%q, %+v) = %v, %v; want %v", tenant, q, got, err, want)
	}
}

func (e *env) wantHead(tenant string, want guard.LogHead) {
	e.Helper()
	got, err := e.SecurityLog.Head(e.ctx, tenant)
	if err != nil || !sameHead(got, want) {
		e.Errorf("Head(%q) = %+v, %v; want %+v", tenant, got, err, want)
	}
}

func sameHead(a, b guard.LogHead) bool {
	return a.Base == b.Base && a.Last == b.Last && a.Key == b.Key && bytes.Equal(a.BaseMAC, b.BaseMAC) && bytes.Equal(a.LastMAC, b.LastMAC) && bytes.Equal(a.MAC, b.MAC)
}

func sameEntry(a, b guard.Entry) bool {
	return a.Seq == b.Seq && a.Key == b.Key && bytes.Equal(a.MAC, b.MAC) && a.Tenant == b.Tenant && a.Action == b.Action && a.Outcome == b.Outcome &&
		a.Actor == b.Actor && a.Target == b.Target && a.RequestID == b.RequestID && a.Address == b.Address && maps.Equal(a.Detail, b.Detail) &&
		a.Count == b.Count && a.At.Equal(b.At)
}

var logCases = map[string]func(*env){
	"head and entries come back as they were stored": func(e *env) {
		plain := entry(2)
		plain.Detail, plain.Actor, plain.Count = nil, "", 1<<40
		head := guard.LogHead{Last: 2, LastMAC: plain.MAC, Key: "01020304", MAC: []byte{9, 0}}
		e.change("a", func(before guard.LogHead, at time.Time) (guard.LogHead, []guard.Entry, error) {
			if !sameHead(before, guard.LogHead{}) || !at.Equal(t0) {
				e.Errorf("fn was called with %+v at %v, want no head at %v", before, at, t0)
			}
			return head, []guard.Entry{entry(1), plain}, nil
		})
		e.wantHead("a", head)
		got, err := e.SecurityLog.Entries(e.ctx, "a", guard.LogQuery{FirstFirst: true, Limit: 10})
		if err != nil || len(got) != 2 || !sameEntry(got[0], entry(1)) || !sameEntry(got[1], plain) {
			e.Errorf("Entries = %+v, %v; want what was stored", got, err)
		}
		e.change("a", func(before guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) {
			if !sameHead(before, head) {
				e.Errorf("fn was called with %+v, want the head", before)
			}
			return before, nil, nil
		})
		e.wantSeqs("a", guard.LogQuery{}, 2, 1)
	},
	"a log that never was has the zero head and no entries": func(e *env) {
		e.wantHead("a", guard.LogHead{})
		e.wantSeqs("a", guard.LogQuery{})
	},
	"an error of the change is returned and stores nothing": func(e *env) {
		e.change("a", adding(entry(1)))
		err := e.SecurityLog.Change(e.ctx, "a", func(head guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) {
			head.Last = 2
			return head, entries(2), errBoom
		}, t0)
		e.wantErr(err, errBoom, "it is the caller's")
		e.wantSeqs("a", guard.LogQuery{}, 1)
		e.wantHead("a", guard.LogHead{Last: 1, LastMAC: entry(1).MAC})
	},
	"a number that is taken is a conflict": func(e *env) {
		e.change("a", adding(entries(1, 2)...))
		e.wantErr(e.SecurityLog.Change(e.ctx, "a", adding(entries(2, 3)...), t0), guard.ErrConflict, "an entry is never replaced")
		e.wantSeqs("a", guard.LogQuery{}, 2, 1)
	},
	"the zero time is the store's own clock": func(e *env) {
		for range 2 {
			err := e.SecurityLog.Change(e.ctx, "a", func(head guard.LogHead, at time.Time) (guard.LogHead, []guard.Entry, error) {
				if age := time.Since(at).Abs(); age > time.Minute { //nolint:forbidigo // it is compared with the store's own clock
					e.Errorf("the change is of %v", at)
				}
				return head, nil, nil
			}, time.Time{})
			if err != nil {
				e.Errorf("Change = %v", err)
			}
		}
	},
	"entries up to the base are removed": func(e *env) {
		e.change("a", adding(entries(1, 2, 3)...))
		e.change("b", adding(entryOf("b", 1)))
		e.change("a", func(head guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) {
			head.Base, head.BaseMAC = 2, entry(2).MAC
			return head, nil, nil
		})
		e.wantSeqs("a", guard.LogQuery{}, 3)
		e.wantHead("a", guard.LogHead{Base: 2, BaseMAC: entry(2).MAC, Last: 3, LastMAC: entry(3).MAC})
		e.wantSeqs("b", guard.LogQuery{}, 1)
	},
	"each part of a query restricts the entries": func(e *env) {
		denied, other := entry(3), entry(4)
		denied.Outcome, denied.Action = guard.OutcomeDenied, guard.ActionAccessDenied
		other.Actor = "user_1"
		e.change("a", adding(entry(1), entry(2), denied, other))
		e.wantSeqs("a", guard.LogQuery{}, 4, 3, 2, 1)
		e.wantSeqs("a", guard.LogQuery{FirstFirst: true}, 1, 2, 3, 4)
		e.wantSeqs("a", guard.LogQuery{Limit: 2}, 4, 3)
		e.wantSeqs("a", guard.LogQuery{FirstFirst: true, Limit: 2}, 1, 2)
		e.wantSeqs("a", guard.LogQuery{Action: guard.ActionAccessDenied}, 3)
		e.wantSeqs("a", guard.LogQuery{Outcome: guard.OutcomeDenied}, 3)
		e.wantSeqs("a", guard.LogQuery{Actor: "user_1"}, 4)
		e.wantSeqs("a", guard.LogQuery{Actor: "it's ?"})
		e.wantSeqs("a", guard.LogQuery{From: entry(2).At}, 4, 3, 2)
		e.wantSeqs("a", guard.LogQuery{From: entry(2).At.Add(time.Microsecond)}, 4, 3)
		e.wantSeqs("a", guard.LogQuery{Until: entry(2).At}, 1)
		e.wantSeqs("a", guard.LogQuery{After: 2}, 4, 3)
		e.wantSeqs("a", guard.LogQuery{Before: 3, Actor: "key_1"}, 2, 1)
	},
	"another tenant's log is another": func(e *env) {
		e.change("a", adding(entries(1, 2)...))
		e.change("b", adding(entryOf("b", 1)))
		e.wantSeqs("b", guard.LogQuery{}, 1)
		e.wantSeqs("c", guard.LogQuery{})
		e.wantHead("b", guard.LogHead{Last: 1, LastMAC: entry(1).MAC})
		if err := e.SecurityLog.Erase(e.ctx, "b"); err != nil {
			e.Fatalf("Erase = %v", err)
		}
		e.wantHead("a", guard.LogHead{Last: 2, LastMAC: entry(2).MAC})
		e.wantSeqs("a", guard.LogQuery{}, 2, 1)
	},
	"an erased log is as one that never was": func(e *env) {
		e.change("a", adding(entries(1, 2)...))
		for range 2 {
			if err := e.SecurityLog.Erase(e.ctx, "a"); err != nil {
				e.Errorf("Erase = %v", err)
			}
			e.wantHead("a", guard.LogHead{})
			e.wantSeqs("a", guard.LogQuery{})
		}
		e.change("a", adding(entry(1)))
		e.wantSeqs("a", guard.LogQuery{}, 1)
	},
	"logs whose first entry is older than an age have expired": func(e *env) {
		e.change("a", adding(entries(1, 2)...))
		e.change("b", adding(entryOf("b", 3)))
		e.change("empty", func(head guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) { return head, nil, nil })
		expired := func(now time.Time, want ...string) {
			e.Helper()
			got, err := e.SecurityLog.Expired(e.ctx, time.Hour, 9, now)
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				e.Errorf("Expired at %v = %v, %v; want %v", now.Sub(t0), got, err, want)
			}
		}
		expired(entry(1).At.Add(time.Hour))
		expired(entry(1).At.Add(time.Hour+time.Microsecond), "a")
		expired(t0.Add(2*time.Hour), "a", "b")
		expired(time.Time{}) // they are in the future
		if got, err := e.SecurityLog.Expired(e.ctx, time.Hour, 1, t0.Add(2*time.Hour)); err != nil || len(got) != 1 {
			e.Errorf("Expired = %v, %v; want one", got, err)
		}
		e.change("a", func(head guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) {
			head.Base = 2
			return head, nil, nil
		})
		expired(t0.Add(2*time.Hour), "b")
	},
	"of changes at once each goes on where the one before has ended": func(e *env) {
		e.atOnce(20, func(i int) {
			tenant := []string{"a", "b"}[i%2]
			err := e.SecurityLog.Change(e.ctx, tenant, func(head guard.LogHead, _ time.Time) (guard.LogHead, []guard.Entry, error) {
				next := entryOf(tenant, head.Last+1)
				head.Last++
				return head, []guard.Entry{next}, nil
			}, time.Time{})
			if err != nil {
				e.Errorf("Change = %v", err)
			}
		})
		for _, tenant := range []string{"a", "b"} {
			e.wantSeqs(tenant, guard.LogQuery{}, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1)
		}
	},
	"changes wait for a transaction, and see nothing of one that is undone": func(e *env) {
		var wg sync.WaitGroup
		err := e.InTx(e.ctx, func(ctx context.Context, tx levqor.Stores) error {
			err := errors.Join(
				tx.SecurityLog.Change(ctx, "a", adding(entries(1, 2)...), t0),
				tx.SecurityLog.Erase(ctx, "b"))
			wg.Go(func() { e.change("a", adding(entry(1))) })
			return errors.Join(err, errBoom)
		})
		wg.Wait()
		e.wantErr(err, errBoom, "it is the caller's")
		e.wantSeqs("a", guard.LogQuery{}, 1)
	},
}

func entryOf(tenant string, seq int64) guard.Entry {
	e := entry(seq)
	e.Tenant = tenant
	return e
}
