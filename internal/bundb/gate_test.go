package bundb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/internal/fault"
)

// gated runs fn with a gate on a database with a table of numbers. All waiting is seen by
// synctest on SQLite, where no other process takes part.
func gated(t *testing.T, address string, fn func(g *bundb.Gate, numbers func() []int)) {
	t.Helper()
	db := dbtest.Open(t, address)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE numbers (n bigint PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	other := dbtest.Open(t, address) // sees what is committed
	fn(bundb.NewGate(db), func() (all []int) {
		if err := other.NewRaw("SELECT n FROM numbers ORDER BY n").Scan(t.Context(), &all); err != nil {
			t.Fatal(err)
		}
		return all
	})
}

func add(ctx context.Context, db bun.IDB, n int) error {
	_, err := db.ExecContext(ctx, "INSERT INTO numbers (n) VALUES (?)", n)
	return err
}

// together calls InTx n times, all but the first while the first one works, and returns
// what each returned.
func together(t *testing.T, g *bundb.Gate, n int, work func(ctx context.Context, i int, tx bun.Tx) error) []error {
	t.Helper()
	errs := make([]error, n)
	var all sync.WaitGroup
	call := func(i int, before func()) {
		defer func() {
			if p := recover(); p != nil {
				errs[i] = fmt.Errorf("panic: %v", p)
			}
		}()
		errs[i] = g.InTx(t.Context(), func(ctx context.Context, tx bun.Tx) error {
			before()
			return work(ctx, i, tx)
		})
	}
	all.Go(func() {
		call(0, func() {
			for i := 1; i < n; i++ {
				all.Go(func() { call(i, func() {}) })
			}
			synctest.Wait() // until they stand in line
		})
	})
	all.Wait()
	return errs
}

var errOwn = errors.New("own")

func TestMembersOfAGroupAreKeptOrUndoneEachByItself(t *testing.T) {
	address := dbtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		gated(t, address, func(g *bundb.Gate, numbers func() []int) {
			errs := together(t, g, 40, func(ctx context.Context, i int, tx bun.Tx) error {
				if err := add(ctx, tx, i); err != nil {
					return err
				}
				switch i % 4 {
				case 1:
					return errOwn
				case 2:
					panic("own")
				}
				return nil
			})
			var want []int
			for i, err := range errs {
				switch i % 4 {
				case 1:
					if !errors.Is(err, errOwn) {
						t.Errorf("member %d got %v, want its error", i, err)
					}
				case 2:
					if err == nil || err.Error() != "panic: own" {
						t.Errorf("member %d got %v, want its panic", i, err)
					}
				default:
					want = append(want, i)
					if err != nil {
						t.Errorf("member %d got %v", i, err)
					}
				}
			}
			if got := numbers(); !slices.Equal(got, want) {
				t.Errorf("the numbers are %v, want %v", got, want)
			}
		})
	})
}

func TestTheFirstOfAGroupIsUndoneAndTheOthersGoOn(t *testing.T) {
	address := dbtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		gated(t, address, func(g *bundb.Gate, numbers func() []int) {
			errs := together(t, g, 3, func(ctx context.Context, i int, tx bun.Tx) error {
				err := add(ctx, tx, i)
				if i == 0 {
					return errOwn
				}
				return err
			})
			if !errors.Is(errs[0], errOwn) || errs[1] != nil || errs[2] != nil {
				t.Errorf("the members got %v", errs)
			}
			if got := numbers(); !slices.Equal(got, []int{1, 2}) {
				t.Errorf("the numbers are %v, want 1 and 2", got)
			}
		})
	})
}

// SQLite undoes a whole transaction when the disk is full, and by this clause. Whoever
// passes over the error is not told by it, and those after them must not be told that
// nothing was kept when it was.
func TestWhoseGroupIsUndoneIsTold(t *testing.T) {
	for _, swallowed := range []bool{false, true} {
		for bad := range 3 {
			address := dbtest.SQLite(t)
			synctest.Test(t, func(t *testing.T) {
				gated(t, address, func(g *bundb.Gate, numbers func() []int) {
					if err := g.Run(t.Context(), func(ctx context.Context, db bun.IDB) error { return add(ctx, db, 100) }); err != nil {
						t.Fatal(err)
					}
					ran := 0
					var kept []int
					errs := together(t, g, 5, func(ctx context.Context, i int, tx bun.Tx) error {
						ran++
						if ran-1 != bad {
							return add(ctx, tx, i)
						}
						_, err := tx.ExecContext(ctx, "INSERT OR ROLLBACK INTO numbers (n) VALUES (100)")
						if swallowed {
							return nil
						}
						return err
					})
					for i, err := range errs {
						if err == nil {
							kept = append(kept, i)
						} else if bad > 0 && !errors.Is(err, fault.ErrUnavailable) {
							t.Errorf("swallowed %v, %d: member %d got %v, want ErrUnavailable", swallowed, bad, i, err)
						}
					}
					if got := numbers(); !slices.Equal(got, append(kept, 100)) {
						t.Errorf("swallowed %v, %d: the numbers are %v, want those of %v who were told so", swallowed, bad, got, kept)
					}
					if len(kept) == len(errs) {
						t.Errorf("swallowed %v, %d: all were told that their work is kept", swallowed, bad)
					}
				})
			})
		}
	}
}

// Others wait for the file too, so a group has an end.
func TestAGroupIsBounded(t *testing.T) {
	for name, c := range map[string]struct {
		members int
		each    time.Duration
		want    int
	}{
		"by its members": {70, 0, 3},
		"by its age":     {10, 3 * time.Millisecond, 10},
	} {
		t.Run(name, func(t *testing.T) {
			address := dbtest.SQLite(t)
			synctest.Test(t, func(t *testing.T) {
				db := dbtest.Open(t, address)
				commits := &counting{statement: "COMMIT"}
				g := bundb.NewGate(db.WithQueryHook(commits))
				for i, err := range together(t, g, c.members, func(context.Context, int, bun.Tx) error {
					time.Sleep(c.each)
					return nil
				}) {
					if err != nil {
						t.Errorf("member %d got %v", i, err)
					}
				}
				if got := int(commits.seen.Load()); got != c.want {
					t.Errorf("%d members were committed %d times, want %d", c.members, got, c.want)
				}
			})
		})
	}
}

// counting counts a statement, and panics if it is to.
type counting struct {
	statement string
	panics    bool
	seen      atomic.Int64
}

func (c *counting) BeforeQuery(ctx context.Context, e *bun.QueryEvent) context.Context {
	if e.Query == c.statement {
		c.seen.Add(1)
		if c.panics {
			panic("hook")
		}
	}
	return ctx
}

func (*counting) AfterQuery(context.Context, *bun.QueryEvent) {}

func TestAHookThatPanicsJamsNoGate(t *testing.T) {
	for _, statement := range []string{"BEGIN", "COMMIT"} {
		address := dbtest.SQLite(t)
		synctest.Test(t, func(t *testing.T) {
			gated(t, address, func(*bundb.Gate, func() []int) {
				hook := &counting{statement: statement, panics: true}
				g := bundb.NewGate(dbtest.Open(t, address).WithQueryHook(hook))
				err := passed(t, g)
				if hook.seen.Load() == 0 || err == nil {
					t.Errorf("%s: the hook panicked %d times, the caller got %v", statement, hook.seen.Load(), err)
				}
				hook.panics = false
				if err := g.InTx(t.Context(), func(ctx context.Context, tx bun.Tx) error { return add(ctx, tx, 7) }); err != nil {
					t.Errorf("%s: afterwards InTx = %v", statement, err)
				}
			})
		})
	}
}

// passed passes a gate, and returns a panic on the way as an error.
func passed(t *testing.T, g *bundb.Gate) (err error) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return g.InTx(t.Context(), func(context.Context, bun.Tx) error { return nil })
}

// Work that waited for its own transaction would wait for ever, and everybody with it.
func TestWorkDoesNotWaitForItself(t *testing.T) {
	address := dbtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		gated(t, address, func(g *bundb.Gate, _ func() []int) {
			err := g.InTx(t.Context(), func(ctx context.Context, _ bun.Tx) error {
				within := g.InTx(ctx, func(context.Context, bun.Tx) error { return nil })
				if within == nil {
					t.Error("work began a transaction within its own")
				}
				_, err := dbtest.Open(t, address).ExecContext(ctx, "DELETE FROM numbers") // waits for the file
				if err == nil {
					t.Error("work changed the file beside its transaction")
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	})
}

func TestNestedWorkHasTheContextOfItsCaller(t *testing.T) {
	address := dbtest.SQLite(t)
	type key struct{}
	synctest.Test(t, func(t *testing.T) {
		gated(t, address, func(g *bundb.Gate, _ func() []int) {
			var all sync.WaitGroup
			call := func(name string, before func()) {
				err := g.InTx(context.WithValue(t.Context(), key{}, name), func(ctx context.Context, tx bun.Tx) error {
					before()
					return bundb.InTx(ctx, tx, func(ctx context.Context, _ bun.Tx) error {
						if got := ctx.Value(key{}); got != name {
							t.Errorf("nested work of %s has the context of %v", name, got)
						}
						return nil
					})
				})
				if err != nil {
					t.Error(err)
				}
			}
			call("ada", func() {
				all.Go(func() { call("bob", func() {}) })
				synctest.Wait()
			})
			all.Wait()
		})
	})
}

// Another process has the file: who waits for it leaves in time.
func TestWaitingForTheFileEndsInTime(t *testing.T) {
	address := dbtest.SQLite(t)
	gated(t, address, func(g *bundb.Gate, _ func() []int) {
		held, err := dbtest.Open(t, address).BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		begun := time.Now()
		err = g.InTx(ctx, func(ctx context.Context, tx bun.Tx) error { return add(ctx, tx, 1) })
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > 10*time.Second {
			t.Errorf("InTx = %v after %v, want its time over", err, took)
		}
		if err := held.Rollback(); err != nil {
			t.Fatal(err)
		}
		if err := g.InTx(t.Context(), func(ctx context.Context, tx bun.Tx) error { return add(ctx, tx, 1) }); err != nil {
			t.Error(err)
		}
	})
}

func TestStatementsShareATransactionWithWork(t *testing.T) {
	address := dbtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		gated(t, address, func(g *bundb.Gate, numbers func() []int) {
			one := func(ctx context.Context, n int, wantTx bool) error {
				return g.Run(ctx, func(ctx context.Context, db bun.IDB) error {
					if _, within := db.(bun.Tx); within != wantTx {
						t.Errorf("statement %d within a transaction: %v, want %v", n, within, wantTx)
					}
					return add(ctx, db, n)
				})
			}
			if err := one(t.Context(), 1, false); err != nil {
				t.Error(err)
			}
			var all sync.WaitGroup
			err := g.InTx(t.Context(), func(ctx context.Context, tx bun.Tx) error {
				for n := 2; n < 5; n++ {
					all.Go(func() {
						if err := one(t.Context(), n, true); err != nil {
							t.Error(err)
						}
					})
				}
				synctest.Wait()
				return add(ctx, tx, 5)
			})
			if err != nil {
				t.Error(err)
			}
			all.Wait()
			if got := numbers(); !slices.Equal(got, []int{1, 2, 3, 4, 5}) {
				t.Errorf("the numbers are %v", got)
			}
		})
	})
}

// A statement has no savepoint of its own: if it fails, the file or the disk is at fault.
func TestAStatementThatFailsEndsItsGroup(t *testing.T) {
	address := dbtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		gated(t, address, func(g *bundb.Gate, numbers func() []int) {
			var all sync.WaitGroup
			var failed error
			err := g.InTx(t.Context(), func(ctx context.Context, tx bun.Tx) error {
				all.Go(func() {
					failed = g.Run(t.Context(), func(ctx context.Context, db bun.IDB) error { return add(ctx, db, 1) })
				})
				synctest.Wait()
				return add(ctx, tx, 1)
			})
			all.Wait()
			for _, err := range []error{err, failed} {
				if !errors.Is(err, fault.ErrUnavailable) || errors.Is(err, fault.ErrConflict) {
					t.Errorf("a member got %v, want ErrUnavailable alone", err)
				}
			}
			if err := g.Run(t.Context(), func(ctx context.Context, db bun.IDB) error { return add(ctx, db, 2) }); err != nil {
				t.Error(err)
			}
			if got := numbers(); !slices.Equal(got, []int{2}) {
				t.Errorf("the numbers are %v, want 2", got)
			}
		})
	})
}

// Work is not broken off, so whoever waits behind it must not wait for it.
func TestWhoWaitsAtAGateLeavesInTime(t *testing.T) {
	address := dbtest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		gated(t, address, func(g *bundb.Gate, numbers func() []int) {
			gone, leave := context.WithCancel(t.Context())
			never := func(context.Context, bun.Tx) error { t.Error("work began that nobody waits for"); return nil }
			err := g.InTx(gone, func(ctx context.Context, tx bun.Tx) error {
				leave()
				waiting, end := context.WithCancel(t.Context())
				left := make(chan error, 1)
				go func() { left <- g.InTx(waiting, never) }()
				synctest.Wait()
				end()
				if err := <-left; !errors.Is(err, context.Canceled) {
					t.Errorf("InTx behind work that goes on = %v, want Canceled", err)
				}
				return add(ctx, tx, 1)
			})
			if err != nil {
				t.Errorf("work whose caller left ended with %v", err)
			}
			for range 50 { // its turn and its end are there at the same time
				if err := g.InTx(gone, never); !errors.Is(err, context.Canceled) {
					t.Fatalf("InTx of a caller that is gone = %v", err)
				}
			}
			if err := g.InTx(t.Context(), func(ctx context.Context, tx bun.Tx) error { return add(ctx, tx, 2) }); err != nil {
				t.Error(err)
			}
			if got := numbers(); !slices.Equal(got, []int{1, 2}) {
				t.Errorf("the numbers are %v", got)
			}
		})
	})
}

// Where nobody stands in line a gate is a transaction like others.
func TestAGateStandsOpenOnPostgreSQLAndWithinATransaction(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE numbers (n bigint PRIMARY KEY)"); err != nil {
			t.Fatal(err)
		}
		err := bundb.InTx(t.Context(), db, func(ctx context.Context, tx bun.Tx) error {
			inner := bundb.NewGate(tx)
			if err := inner.InTx(ctx, func(ctx context.Context, tx bun.Tx) error {
				return errors.Join(add(ctx, tx, 1), errOwn)
			}); !errors.Is(err, errOwn) {
				t.Errorf("InTx = %v, want its error", err)
			}
			return inner.Run(ctx, func(ctx context.Context, db bun.IDB) error { return add(ctx, db, 2) })
		})
		if err != nil {
			t.Fatal(err)
		}
		g := bundb.NewGate(db)
		var all sync.WaitGroup
		for n := 3; n < 20; n++ {
			all.Go(func() {
				if err := g.InTx(t.Context(), func(ctx context.Context, tx bun.Tx) error { return add(ctx, tx, n) }); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if n, err := db.NewSelect().Table("numbers").Count(t.Context()); err != nil || n != 18 {
			t.Errorf("there are %d numbers, %v; want 18", n, err)
		}
	})
}
