package bunlevqor_test

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/levqor"
	"github.com/levqor/sdk/levqor/bunlevqor"
	"github.com/levqor/sdk/levqor/guard"
)

func newLogs(t *testing.T, url string) (*bun.DB, *guard.Log) {
	t.Helper()
	db := dbtest.Open(t, url)
	if err := bunlevqor.Migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	ring, err := levqor.NewKeyRing(bytes.Repeat([]byte("s"), 32))
	if err != nil {
		t.Fatal(err)
	}
	return db, guard.NewLog(bunlevqor.Stores(db).SecurityLog, ring, nil)
}

var exported = guard.Event{Tenant: "a", Action: guard.ActionLogExported, Outcome: guard.OutcomeSuccess, Detail: map[string]string{"x": "é"}}

func TestTheDatabaseRefusesToChangeSecurityEvents(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		db, log := newLogs(t, fresh(t))
		if err := log.Record(t.Context(), exported, exported, exported); err != nil {
			t.Fatal(err)
		}
		for _, sql := range []string{
			"UPDATE levqor_guard_event SET actor = 'x'",
			"UPDATE levqor_guard_event SET seq = 7 WHERE seq = 3",
			"DELETE FROM levqor_guard_event WHERE seq = 3",
			"DELETE FROM levqor_guard_event",
			"DELETE FROM levqor_guard_log",
			"UPDATE levqor_guard_log SET last = last - 1",
			"UPDATE levqor_guard_log SET tenant = 'b'",
			"UPDATE levqor_guard_log SET base = -1",
		} {
			if _, err := db.ExecContext(t.Context(), sql); err == nil {
				t.Errorf("%s is done", sql)
			}
		}
		if r, err := log.Verify(t.Context(), "a"); err != nil || !r.Whole() || r.Checked != 3 {
			t.Errorf("Verify = %+v, %v", r, err)
		}
		if err := log.Erase(t.Context(), "a"); err != nil {
			t.Errorf("Erase = %v", err)
		}
	})
}

// Whoever may take the triggers away may do as they like, and is found out.
func TestWhatIsDoneToTheTablesIsFoundOut(t *testing.T) {
	triggers := map[bool][]string{
		true: {
			"DROP TRIGGER levqor_guard_event_keep ON levqor_guard_event", "DROP TRIGGER levqor_guard_event_keep_all ON levqor_guard_event",
			"DROP TRIGGER levqor_guard_log_keep ON levqor_guard_log",
		},
		false: {
			"DROP TRIGGER levqor_guard_event_change", "DROP TRIGGER levqor_guard_event_delete",
			"DROP TRIGGER levqor_guard_log_change", "DROP TRIGGER levqor_guard_log_delete",
		},
	}
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		for sql, want := range map[string]guard.Report{
			"UPDATE levqor_guard_event SET target = 'key_x' WHERE seq = 2":  {Broken: 2, Flaw: guard.FlawChanged},
			"UPDATE levqor_guard_event SET detail = 'spoilt' WHERE seq = 2": {Broken: 2, Flaw: guard.FlawChanged},
			"UPDATE levqor_guard_event SET tenant = 'b' WHERE seq = 2":      {Broken: 2, Flaw: guard.FlawMissing},
			"DELETE FROM levqor_guard_event WHERE seq = 3":                  {Broken: 3, Flaw: guard.FlawMissing},
			"DELETE FROM levqor_guard_event":                                {Broken: 1, Flaw: guard.FlawMissing},
			"UPDATE levqor_guard_log SET base = 1":                          {Flaw: guard.FlawHead},
			"DELETE FROM levqor_guard_log":                                  {Flaw: guard.FlawHead},
		} {
			db, log := newLogs(t, fresh(t))
			if err := log.Record(t.Context(), exported, exported, exported); err != nil {
				t.Fatal(err)
			}
			for _, drop := range triggers[db.Dialect().Name().String() == "pg"] {
				if _, err := db.ExecContext(t.Context(), drop); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := db.ExecContext(t.Context(), sql); err != nil {
				t.Fatal(err)
			}
			if r, err := log.Verify(t.Context(), "a"); err != nil || r.Broken != want.Broken || r.Flaw != want.Flaw {
				t.Errorf("after %s, Verify = %+v, %v; want %+v", sql, r, err, want)
			}
		}
	})
}

// Four processes record in two logs, some within transactions that are undone.
func TestManyProcessesMakeOneChain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		_, first := newLogs(t, url)
		boom := errors.New("boom")
		var wg sync.WaitGroup
		for range 4 {
			db, log := newLogs(t, url)
			wg.Go(func() {
				for i := range 25 {
					a, b := exported, exported
					b.Tenant = "b"
					if i%2 == 0 {
						_ = log.Note(a)
						a, b = b, a
					}
					err := bunlevqor.Stores(db).InTx(t.Context(), func(ctx context.Context, tx levqor.Stores) error {
						return errors.Join(log.With(tx.SecurityLog).Record(ctx, a, b), map[bool]error{true: boom}[i%5 == 0])
					})
					if (err != nil) != (i%5 == 0) || err != nil && !errors.Is(err, boom) {
						t.Errorf("InTx = %v", err)
					}
				}
				if err := log.Flush(t.Context()); err != nil {
					t.Errorf("Flush = %v", err)
				}
			})
		}
		wg.Wait()
		for tenant, want := range map[string]int64{"a": 4 * 21, "b": 4 * 20} {
			if r, err := first.Verify(t.Context(), tenant); err != nil || !r.Whole() || r.Last != want || r.Checked != want {
				t.Errorf("Verify(%q) = %+v, %v; want %d", tenant, r, err, want)
			}
		}
	})
}

func TestSecurityEventsHaveTheirTime(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		_, log := newLogs(t, fresh(t))
		old := exported
		old.At = time.Now().AddDate(0, 0, -401)
		if err := log.Record(t.Context(), old, old, exported); err != nil {
			t.Fatal(err)
		}
		if n, err := log.Tidy(t.Context(), 10, time.Time{}); err != nil || n != 2 {
			t.Errorf("Tidy = %d, %v; want 2", n, err)
		}
		if r, err := log.Verify(t.Context(), "a"); err != nil || !r.Whole() || r.First != 3 || r.Checked != 1 {
			t.Errorf("Verify = %+v, %v", r, err)
		}
	})
}
