package guard_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/levqor/sdk/internal/fault"
	"github.com/levqor/sdk/levqor/guard"
)

// ring is a key ring of secrets, the current one first.
type ring []string

func (r ring) sum(secret, purpose string, parts [][]byte) []byte {
	return hasher{}.MAC(secret+"/"+purpose, parts...)
}

func (r ring) MAC(purpose string, parts ...[]byte) []byte { return r.sum(r[0], purpose, parts) }

func (r ring) Verify(purpose string, mac []byte, parts ...[]byte) bool {
	return slices.ContainsFunc(r, func(secret string) bool { return hmac.Equal(mac, r.sum(secret, purpose, parts)) })
}

func (r ring) Names() []string {
	names := make([]string, len(r))
	for i, secret := range r {
		names[i] = fmt.Sprintf("%08x", secret)
	}
	return names
}

var oneRing = ring{"one!"}

// book is a log with a clock of its own.
type book struct {
	testing.TB
	*guard.Log
	store guard.LogStore
	now   time.Time
}

func newBook(tb testing.TB) *book {
	tb.Helper()
	b := &book{TB: tb, store: guard.NewMemLogStore(), now: time.Date(2031, 1, 31, 23, 59, 0, 0, time.UTC)}
	b.Log = b.withRing(oneRing)
	return b
}

func (b *book) withRing(r guard.Ring) *guard.Log {
	return guard.NewLog(b.store, r, &guard.LogOptions{Now: func() time.Time { return b.now }})
}

func (b *book) record(events ...guard.Event) {
	b.Helper()
	if err := b.Record(b.Context(), events...); err != nil {
		b.Fatalf("Record = %v", err)
	}
}

func (b *book) flush() {
	b.Helper()
	if err := b.Flush(b.Context()); err != nil {
		b.Fatalf("Flush = %v", err)
	}
}

func (b *book) entries() []guard.Entry {
	b.Helper()
	all, err := b.Entries(b.Context(), "a", guard.LogQuery{FirstFirst: true, Limit: 10_000})
	if err != nil {
		b.Fatal(err)
	}
	return all
}

// spoil does with the store what somebody does who has the database alone.
func (b *book) spoil(change func(head *guard.LogHead, all []guard.Entry) []guard.Entry) {
	b.Helper()
	head, err := b.Head(b.Context(), "a")
	if err != nil {
		b.Fatal(err)
	}
	all := b.entries()
	if err := b.store.Erase(b.Context(), "a"); err != nil {
		b.Fatal(err)
	}
	all = change(&head, all)
	err = b.store.Change(b.Context(), "a", func(guard.LogHead, time.Time) (guard.LogHead, []guard.Entry, error) { return head, all, nil }, b.now)
	if err != nil {
		b.Fatal(err)
	}
}

func (b *book) wantReport(log *guard.Log, want guard.Report) {
	b.Helper()
	got, err := log.Verify(b.Context(), "a")
	if head, _ := log.Head(b.Context(), "a"); err != nil || !bytes.Equal(got.MAC, head.LastMAC) {
		b.Errorf("Verify = %+v, %v; want the MAC of %+v", got, err, head)
	}
	if got.MAC = nil; fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("Verify = %+v, %v; want %+v", got, err, want)
	}
}

func event(actor string) guard.Event {
	return guard.Event{Tenant: "a", Action: guard.ActionAccessDenied, Outcome: guard.OutcomeDenied, Actor: actor}
}

func TestALogIsAChainInTheOrderOfItsEvents(t *testing.T) {
	b := newBook(t)
	other := event("z")
	other.Tenant = "b"
	b.record(event("x"), other, event("y"))
	b.now = b.now.Add(time.Second)
	b.record(event("z"))
	for i, e := range b.entries() {
		if e.Seq != int64(i+1) || e.Actor != string(rune('x'+i)) || e.Count != 1 || e.At.IsZero() {
			t.Errorf("entry %d is %+v", i, e)
		}
	}
	b.wantReport(b.Log, guard.Report{First: 1, Last: 3, Checked: 3})
	if r, err := b.Verify(t.Context(), "none"); err != nil || !r.Whole() || r.Last != 0 {
		t.Errorf("Verify of no log = %+v, %v", r, err)
	}
}

func TestVerifyNamesTheFirstThatIsNotAsItWasRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		change func(head *guard.LogHead, all []guard.Entry) []guard.Entry
		want   guard.Report
	}{
		"nothing": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry { return all }, guard.Report{First: 1, Last: 5, Checked: 5}},
		"an entry is changed": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			all[2].Actor = "somebody"
			return all
		}, guard.Report{First: 1, Last: 5, Checked: 2, Broken: 3, Flaw: guard.FlawChanged}},
		"the count of an entry is changed": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			all[4].Count = 7
			return all
		}, guard.Report{First: 1, Last: 5, Checked: 4, Broken: 5, Flaw: guard.FlawChanged}},
		"a detail is added": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			all[0].Detail = map[string]string{"x": "y"}
			return all
		}, guard.Report{First: 1, Last: 5, Broken: 1, Flaw: guard.FlawChanged}},
		"an entry is moved to another time": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			all[1].At = all[1].At.Add(time.Microsecond)
			return all
		}, guard.Report{First: 1, Last: 5, Checked: 1, Broken: 2, Flaw: guard.FlawChanged}},
		"an entry is missing": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			return slices.Delete(all, 1, 2)
		}, guard.Report{First: 1, Last: 5, Checked: 1, Broken: 2, Flaw: guard.FlawMissing}},
		"two entries have changed places": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			all[1], all[2] = all[2], all[1]
			all[1].Seq, all[2].Seq = 2, 3
			return all
		}, guard.Report{First: 1, Last: 5, Checked: 1, Broken: 2, Flaw: guard.FlawChanged}},
		"the end is cut off": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			return all[:4]
		}, guard.Report{First: 1, Last: 5, Checked: 4, Broken: 5, Flaw: guard.FlawMissing}},
		"the end is cut off and the head made to match": {func(head *guard.LogHead, all []guard.Entry) []guard.Entry {
			head.Last, head.LastMAC = 4, all[3].MAC
			return all[:4]
		}, guard.Report{First: 1, Last: 4, Flaw: guard.FlawHead}},
		"the front is cut off as if its time were over": {func(head *guard.LogHead, all []guard.Entry) []guard.Entry {
			head.Base, head.BaseMAC = 2, all[1].MAC
			return all[2:]
		}, guard.Report{First: 3, Last: 5, Flaw: guard.FlawHead}},
		"the head is gone": {func(head *guard.LogHead, all []guard.Entry) []guard.Entry {
			*head = guard.LogHead{}
			return all
		}, guard.Report{First: 1, Last: 0, Flaw: guard.FlawHead}},
		"an entry is put at the end": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			more := all[4]
			more.Seq = 6
			return append(all, more)
		}, guard.Report{First: 1, Last: 5, Checked: 5, Flaw: guard.FlawHead}},
		"an entry says that it has another key": {func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
			all[3].Key = "00000000"
			return all
		}, guard.Report{First: 1, Last: 5, Checked: 3, Broken: 4, Flaw: guard.FlawUnknownKey}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			for i := range 5 {
				b.record(event(fmt.Sprint("key_", i)))
			}
			b.spoil(c.change)
			b.wantReport(b.Log, c.want)
		})
	}
}

// What is recorded after somebody has moved the head must not make it look right.
func TestAForgedHeadLeavesATrace(t *testing.T) {
	b := newBook(t)
	b.record(event("x"), event("y"), event("z"))
	b.spoil(func(head *guard.LogHead, all []guard.Entry) []guard.Entry {
		head.Last, head.LastMAC = 2, all[1].MAC
		return all[:2]
	})
	b.record(event("later"))
	all := b.entries()
	if len(all) != 4 || all[2].Action != guard.ActionLogHeadNotGenuine || all[3].Actor != "later" {
		t.Errorf("the log is %+v", all)
	}
	b.record(event("much_later"))
	b.wantReport(b.Log, guard.Report{First: 1, Last: 5, Checked: 5, Broken: 3, Flaw: guard.FlawHead})
	b.spoil(func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
		all[4].Actor = "somebody"
		return all
	})
	b.wantReport(b.Log, guard.Report{First: 1, Last: 5, Checked: 4, Broken: 5, Flaw: guard.FlawChanged})
}

// An operator who removes an old secret has forged nothing.
func TestAHeadWhoseSecretWasRemovedIsNoForgery(t *testing.T) {
	b := newBook(t)
	b.record(event("x"))
	b.now = b.now.AddDate(0, 0, 401)
	if n, err := b.Tidy(t.Context(), 10, b.now); err != nil || n != 1 {
		t.Fatalf("Tidy = %d, %v", n, err)
	}
	b.Log = b.withRing(ring{"two!"})
	b.wantReport(b.Log, guard.Report{First: 2, Last: 1, Flaw: guard.FlawUnknownKey})
	b.record(event("y"))
	if all := b.entries(); len(all) != 2 || all[0].Action != guard.ActionLogKeyUnknown || all[1].Actor != "y" {
		t.Errorf("the log is %+v", all)
	}
	b.wantReport(b.Log, guard.Report{First: 2, Last: 3, Checked: 2})
}

// A head never has an older secret than the entries before it.
func TestAnUnknownSecretIsNoExcuseForAHeadBehindKnownEntries(t *testing.T) {
	b := newBook(t)
	b.record(event("x"), event("y"), event("z"))
	b.spoil(func(head *guard.LogHead, all []guard.Entry) []guard.Entry {
		head.Last, head.LastMAC, head.Key = 2, all[1].MAC, "00000000"
		return all[:2]
	})
	b.record(event("later"))
	b.wantReport(b.Log, guard.Report{First: 1, Last: 4, Checked: 4, Broken: 3, Flaw: guard.FlawUnknownKey})
}

// A log that is put back as a whole looks right: the head that is kept elsewhere tells.
func TestAHeadThatIsKeptElsewhereShowsWhatWasPutBack(t *testing.T) {
	b := newBook(t)
	b.record(event("x"), event("y"))
	old, _ := b.Head(t.Context(), "a")
	b.record(event("z"))
	kept, _ := b.Head(t.Context(), "a")
	b.spoil(func(head *guard.LogHead, all []guard.Entry) []guard.Entry {
		*head = old
		return all[:2]
	})
	b.wantReport(b.Log, guard.Report{First: 1, Last: 2, Checked: 2})
	if head, _ := b.Head(t.Context(), "a"); head.Last >= kept.Last {
		t.Errorf("the head is %+v", head)
	}
}

func TestALogOutlivesItsSecrets(t *testing.T) {
	b := newBook(t)
	b.record(event("x"))
	rotated := b.withRing(ring{"two!", "one!"})
	if err := rotated.Record(t.Context(), event("y")); err != nil {
		t.Fatal(err)
	}
	b.wantReport(rotated, guard.Report{First: 1, Last: 2, Checked: 2})
	b.wantReport(b.withRing(ring{"two!"}), guard.Report{First: 1, Last: 2, Broken: 1, Flaw: guard.FlawUnknownKey})
}

func TestWrongEventsAreRefusedWithTheirFields(t *testing.T) {
	b := newBook(t)
	many := map[string]string{}
	for i := range 11 {
		many[fmt.Sprint("n", i)] = ""
	}
	for field, change := range map[string]func(*guard.Event){
		"/tenant":     func(e *guard.Event) { e.Tenant = "a\x00b" },
		"/action":     func(e *guard.Event) { e.Action = "key.eaten" },
		"/outcome":    func(e *guard.Event) { e.Outcome = "" },
		"/actor":      func(e *guard.Event) { e.Actor = "ada@example.com" },
		"/target":     func(e *guard.Event) { e.Target = "a\nb" },
		"/request_id": func(e *guard.Event) { e.RequestID = strings.Repeat("x", 101) },
		"/address":    func(e *guard.Event) { e.Address = "192.0.2.1" },
		"/detail":     func(e *guard.Event) { e.Detail = map[string]string{"x": strings.Repeat("d", guard.MaxDetail+1)} },
		"/detail ":    func(e *guard.Event) { e.Detail = map[string]string{"x": "a\u2028b"} },
		"/detail  ":   func(e *guard.Event) { e.Detail = map[string]string{"X": ""} },
		"/detail   ":  func(e *guard.Event) { e.Detail = many },
		"/detail    ": func(e *guard.Event) { e.Detail = map[string]string{"x": "\xff"} },
		"/count":      func(e *guard.Event) { e.Count = -1 },
	} {
		e := event("x")
		change(&e)
		for _, err := range []error{b.Record(t.Context(), event("y"), e), b.Note(e)} {
			if all := fault.All(err); len(all) != 1 || all[0].Field != strings.TrimSpace(field) || !errors.Is(err, guard.ErrInvalid) {
				t.Errorf("%+v gives %v, want %s", e, err, field)
			}
		}
	}
	b.flush()
	if all := b.entries(); len(all) > 0 {
		t.Errorf("the log is %+v", all)
	}
}

func TestAllActionsCanBeRecorded(t *testing.T) {
	b := newBook(t)
	for _, action := range guard.Actions() {
		e := event("x")
		e.Action = action
		b.record(e)
	}
}

func TestAFloodBecomesAFewEvents(t *testing.T) {
	b := newBook(t)
	note := func(e guard.Event, id string) {
		t.Helper()
		e.RequestID = id
		if err := b.Note(e); err != nil {
			t.Fatal(err)
		}
	}
	began := b.now
	for i := range 1000 {
		note(event("x"), fmt.Sprint("req_", i))
	}
	note(event("y"), "req_y")
	b.now = b.now.Add(10 * time.Second)
	b.flush()
	all := b.entries()
	if len(all) != 2 || all[0].Actor != "x" || all[0].Count != 1000 || all[0].RequestID != "req_0" || !all[0].At.Equal(began) || all[1].Count != 1 {
		t.Errorf("the log is %+v, want one event of 1,000 at %v", all, began)
	}
	b.flush()
	if all := b.entries(); len(all) != 2 {
		t.Errorf("the log is %+v, want nothing twice", all)
	}
}

// Of a flood the first event is known within a second, and the rest within a minute.
func TestRunRecordsWhatIsNotedAndTheRestAtItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := guard.NewMemLogStore()
		log := guard.NewLog(store, oneRing, nil)
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); log.Run(ctx) }()
		counts := func() (counts []int) {
			all, err := log.Entries(t.Context(), "a", guard.LogQuery{FirstFirst: true, Limit: 100})
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range all {
				counts = append(counts, e.Count)
			}
			return counts
		}
		want := func(want ...int) {
			t.Helper()
			synctest.Wait()
			if got := counts(); !slices.Equal(got, want) {
				t.Errorf("the log has the counts %v, want %v", got, want)
			}
		}
		time.Sleep(50 * time.Millisecond) // away from the beat
		for range 100 {
			_ = log.Note(event("x"))
			time.Sleep(100 * time.Millisecond)
		}
		want(10)
		time.Sleep(52 * time.Second)
		want(10, 90)
		time.Sleep(3 * time.Minute)
		_ = log.Note(event("x"))
		time.Sleep(time.Second)
		want(10, 90, 1)
		_ = log.Note(event("x"))
		_ = log.Note(event("x"))
		stop()
		<-done
		want(10, 90, 1, 2)
	})
}

func TestWhatFindsNoRoomIsCounted(t *testing.T) {
	b := newBook(t)
	for i := range 1500 {
		_ = b.Note(event(fmt.Sprint("key_", i)))
	}
	other := event("x")
	other.Tenant = "b"
	_ = b.Note(other)
	b.flush()
	all := b.entries()
	dropped := slices.IndexFunc(all, func(e guard.Entry) bool { return e.Action == guard.ActionLogEventsDropped })
	if len(all) != 1001 || dropped < 0 || all[dropped].Count != 500 {
		t.Errorf("the log has %d entries, and those dropped are number %d", len(all), dropped)
	}
	if others, err := b.Entries(t.Context(), "b", guard.LogQuery{Limit: 10}); err != nil || len(others) != 1 {
		t.Errorf("the other tenant's log is %+v, %v", others, err)
	}
	b.wantReport(b.Log, guard.Report{First: 1, Last: 1001, Checked: 1001})
}

// brittle is a store that cannot be reached at times.
type brittle struct {
	guard.LogStore
	away bool
}

func (s *brittle) Change(ctx context.Context, tenant string, fn guard.LogChange, now time.Time) error {
	if s.away {
		return guard.ErrUnavailable
	}
	return s.LogStore.Change(ctx, tenant, fn, now)
}

func TestWhatCannotBeRecordedWaits(t *testing.T) {
	b := newBook(t)
	store := &brittle{b.store, true}
	b.Log = b.With(store)
	_ = b.Note(event("x"))
	if err := b.Flush(t.Context()); !errors.Is(err, guard.ErrUnavailable) {
		t.Errorf("Flush = %v, want ErrUnavailable", err)
	}
	_ = b.Note(event("x"))
	store.away = false
	b.flush()
	if all := b.entries(); len(all) != 1 || all[0].Count != 2 {
		t.Errorf("the log is %+v, want one event of two", all)
	}
}

func TestEntriesHaveTheirTime(t *testing.T) {
	b := newBook(t)
	for i := range 5 {
		b.record(event(fmt.Sprint("key_", i)))
		b.now = b.now.Add(24 * time.Hour)
	}
	b.now = b.now.AddDate(0, 0, 398)
	for _, want := range []int{2, 1, 0} {
		if n, err := b.Tidy(t.Context(), 2, b.now); err != nil || n != want {
			t.Errorf("Tidy = %d, %v; want %d", n, err, want)
		}
	}
	b.wantReport(b.Log, guard.Report{First: 4, Last: 5, Checked: 2})
	b.now = b.now.AddDate(1, 0, 0)
	if n, err := b.Tidy(t.Context(), 10, b.now); err != nil || n != 2 {
		t.Errorf("Tidy = %d, %v; want the rest", n, err)
	}
	b.record(event("later"))
	b.wantReport(b.Log, guard.Report{First: 6, Last: 6, Checked: 1})
	forever := guard.NewLog(b.store, oneRing, &guard.LogOptions{Retention: -1})
	if n, err := forever.Tidy(t.Context(), 10, b.now.AddDate(50, 0, 0)); err != nil || n != 0 {
		t.Errorf("Tidy of a log that is kept = %d, %v", n, err)
	}
}

// Whoever has the database must not get rid of entries by making them look old.
func TestAnEntryThatWasMadeToLookOldStays(t *testing.T) {
	b := newBook(t)
	b.record(event("old"))
	b.now = b.now.AddDate(0, 0, 401)
	b.record(event("x"), event("y"))
	b.spoil(func(_ *guard.LogHead, all []guard.Entry) []guard.Entry {
		all[1].At = all[0].At
		return all
	})
	if n, err := b.Tidy(t.Context(), 10, b.now); err != nil || n != 1 {
		t.Errorf("Tidy = %d, %v; want the old one alone", n, err)
	}
	b.wantReport(b.Log, guard.Report{First: 2, Last: 3, Broken: 2, Flaw: guard.FlawChanged})
}

func TestAQuietLogIsTidiedWhenItsSecretIsGone(t *testing.T) {
	b := newBook(t)
	b.record(event("x"), event("y"))
	b.now = b.now.AddDate(0, 0, 401)
	b.Log = b.withRing(ring{"two!"})
	if n, err := b.Tidy(t.Context(), 10, b.now); err != nil || n != 2 {
		t.Errorf("Tidy = %d, %v; want both", n, err)
	}
	all := b.entries()
	if len(all) != 2 || all[0].Action != guard.ActionLogKeyUnknown || all[1].Action != guard.ActionLogKeyUnknown || all[1].Count != 2 {
		t.Errorf("the log is %+v, want what could not be checked", all)
	}
	b.wantReport(b.Log, guard.Report{First: 3, Last: 4, Checked: 2})
}

func TestAnExportIsInTheExport(t *testing.T) {
	b := newBook(t)
	for range 1100 {
		b.record(event("x"))
	}
	entries, err := b.Export(t.Context(), "a", 100, guard.Event{Actor: "key_1", RequestID: "req_1"})
	if err != nil {
		t.Fatal(err)
	}
	b.record(event("later"))
	next := int64(101)
	var last guard.Entry
	for e, err := range entries {
		if err != nil || e.Seq != next {
			t.Fatalf("the export gave %+v, %v; want entry %d", e, err, next)
		}
		next, last = next+1, e
	}
	if last.Seq != 1101 || last.Action != guard.ActionLogExported || last.Actor != "key_1" || last.RequestID != "req_1" {
		t.Errorf("the export ended with %+v", last)
	}
}

func TestAnErasedTenantHasNoLog(t *testing.T) {
	b := newBook(t)
	b.record(event("x"))
	_ = b.Note(event("y"))
	if err := b.Erase(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	b.flush()
	if all := b.entries(); len(all) > 0 {
		t.Errorf("the log is %+v", all)
	}
}

func TestAPseudonymIsTheSameForAMonth(t *testing.T) {
	b := newBook(t)
	first := b.Pseudonym("ip", "192.0.2.1")
	if !regexp.MustCompile(`^pii:203101-[0-9a-f]{8}:[0-9a-f]{12}$`).MatchString(first) {
		t.Errorf("the pseudonym is %s", first)
	}
	if again := b.Pseudonym("ip", "192.0.2.1"); again != first {
		t.Errorf("the pseudonym is %s and %s", first, again)
	}
	hash := func(p string) string { return p[strings.LastIndex(p, ":"):] }
	others := []string{b.Pseudonym("email", "192.0.2.1"), b.Pseudonym("ip", "192.0.2.2"), b.withRing(ring{"two!"}).Pseudonym("ip", "192.0.2.1")}
	b.now = b.now.Add(time.Minute)
	for _, other := range append(others, b.Pseudonym("ip", "192.0.2.1")) {
		if hash(other) == hash(first) {
			t.Errorf("another kind, value, secret or month gives %s, and the first was %s", other, first)
		}
	}
	e := event("x")
	e.Address = first
	b.record(e)
}
