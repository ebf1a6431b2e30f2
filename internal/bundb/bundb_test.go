package bundb_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/dialect"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/internal/fault"
)

func each(t *testing.T, fn func(t *testing.T, db *bun.DB)) {
	t.Helper()
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) { fn(t, dbtest.Open(t, fresh(t))) })
}

func TestTimesComeBackAsTheyWent(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		for _, want := range []time.Time{
			{},
			time.Date(2031, 5, 6, 7, 8, 9, 123456000, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999999000, time.UTC),
			time.Date(2031, 5, 6, 7, 8, 9, 0, time.FixedZone("", 3600)),
		} {
			var got bundb.Time
			if err := db.NewRaw("SELECT ? AS t", bundb.Time{Time: want}).Scan(t.Context(), &got); err != nil {
				t.Fatal(err)
			}
			if !got.Equal(want) || got.Location() != time.UTC {
				t.Errorf("%v came back as %v", want, got.Time)
			}
		}
	})
}

func TestInstantsBeyondTheCalendarAreReadAsItsEnds(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		ends := []string{"-1 << 62", "1 << 62"}
		if db.Dialect().Name() == dialect.PG {
			ends = []string{"'-infinity'::timestamptz", "'infinity'::timestamptz", "'4000-01-01 BC'::timestamptz", "'200000-01-01'::timestamptz"}
		}
		for i, end := range ends {
			var got bundb.Time
			if err := db.NewRaw("SELECT ?", bun.Safe(end)).Scan(t.Context(), &got); err != nil {
				t.Fatal(err)
			}
			if want := []int{1970, 9999}[i%2]; got.Year() != want {
				t.Errorf("%s is read as %v, want the year %d", end, got.Time, want)
			}
		}
	})
}

func TestNowIsTheDatabasesClockUnlessGiven(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		given := time.Date(2031, 5, 6, 7, 8, 9, 0, time.UTC)
		var now, later, fixed bundb.Time
		clock := bundb.Clock(db, time.Time{})
		err := db.NewRaw("SELECT ?, ?, ?", bundb.Now(db, clock), bundb.After(db, clock, time.Hour), bundb.After(db, given, -time.Second)).
			Scan(t.Context(), &now, &later, &fixed)
		if err != nil {
			t.Fatal(err)
		}
		if d := time.Since(now.Time).Abs(); d > time.Minute {
			t.Errorf("the database's clock is %v off", d)
		}
		if d := later.Sub(now.Time); d != time.Hour {
			t.Errorf("an hour later is %v later", d)
		}
		if !fixed.Equal(given.Add(-time.Second)) {
			t.Errorf("a second before the given instant is %v", fixed.Time)
		}
	})
}

type pgError string

func (e pgError) Error() string    { return "secret detail" }
func (e pgError) SQLState() string { return string(e) }

type unsentError struct{}

func (unsentError) Error() string     { return "secret detail" }
func (unsentError) SafeToRetry() bool { return true }

type liteError int

func (e liteError) Error() string { return "secret detail" }
func (e liteError) Code() int     { return int(e) }

func TestErrShowsTheKindAlone(t *testing.T) {
	tests := map[string]struct{ err, want error }{
		"no row":                       {sql.ErrNoRows, fault.ErrNotFound},
		"a unique key, PostgreSQL":     {pgError("23505"), fault.ErrConflict},
		"a new partition, PostgreSQL":  {pgError("23514"), fault.ErrUnavailable},
		"bad text, PostgreSQL":         {pgError("22021"), fault.ErrInvalid},
		"a shutdown, PostgreSQL":       {pgError("57P01"), fault.ErrUnavailable},
		"no connection, PostgreSQL":    {pgError("08006"), fault.ErrUnavailable},
		"a deadlock, PostgreSQL":       {pgError("40P01"), fault.ErrUnavailable},
		"a unique key, SQLite":         {liteError(2067), fault.ErrConflict},
		"a primary key, SQLite":        {liteError(1555), fault.ErrConflict},
		"a check, SQLite":              {liteError(275), fault.ErrInvalid},
		"busy, SQLite":                 {liteError(5), fault.ErrUnavailable},
		"a full disk, SQLite":          {liteError(13), fault.ErrUnavailable},
		"a broken connection":          {driver.ErrBadConn, fault.ErrUnavailable},
		"a connection that just ends":  {fmt.Errorf("driver: %w", io.ErrUnexpectedEOF), fault.ErrUnavailable},
		"a statement that is not sent": {unsentError{}, fault.ErrUnavailable},
		"a context that was canceled":  {fmt.Errorf("driver: %w", context.Canceled), context.Canceled},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got := bundb.Err(tt.err)
			if !errors.Is(got, tt.want) || got.Error() != tt.want.Error() || !errors.Is(got, tt.err) {
				t.Errorf("Err(%v) = %q, want %q that unwraps to both", tt.err, got, tt.want)
			}
		})
	}
	if got := bundb.Err(pgError("42P01")); got.Error() != "database error" || errors.Is(got, fault.ErrUnavailable) {
		t.Errorf("Err of a bug = %v", got)
	}
	if bundb.Err(nil) != nil {
		t.Error("no error became one")
	}
	known := fmt.Errorf("x: %w", fault.ErrConflict)
	if got := bundb.Err(known); got != known { //nolint:errorlint // the same value is the point
		t.Errorf("Err(%v) = %v, want it as it is", known, got)
	}
}

func TestInTxRunsAgainWhatAnotherTransactionPrevented(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		for err, want := range map[error]int{pgError("40001"): 5, pgError("40P01"): 5, pgError("23514"): 5, liteError(5): 5, pgError("23505"): 1} {
			runs := 0
			got := bundb.InTx(t.Context(), db, func(context.Context, bun.Tx) error { runs++; return err })
			if !errors.Is(got, err) || runs != want {
				t.Errorf("%v: %v after %d runs, want %d", err, got, runs, want)
			}
		}
	})
}

func TestADurableTransactionIsOnDisk(t *testing.T) {
	settings := map[string]struct{ read, lax, strict string }{
		"pg":     {"SHOW synchronous_commit", "off", "on"},
		"sqlite": {"PRAGMA synchronous", "1", "2"},
	}
	dbtest.Each(t, func(t *testing.T, fresh func(testing.TB) string) {
		url := fresh(t)
		if strings.HasPrefix(url, "postgres") {
			url += "&synchronous_commit=off"
		}
		db := dbtest.Open(t, url)
		want := settings[db.Dialect().Name().String()]
		read := func(db bun.IDB) (setting string) {
			t.Helper()
			if err := db.NewRaw(want.read).Scan(t.Context(), &setting); err != nil {
				t.Fatal(err)
			}
			return setting
		}
		for _, failure := range []error{nil, errors.New("boom")} {
			err := bundb.InDurableTx(t.Context(), db, func(_ context.Context, tx bun.Tx) error {
				if got := read(tx); got != want.strict {
					t.Errorf("within the transaction: %s, want %s", got, want.strict)
				}
				return failure
			})
			if !errors.Is(err, failure) {
				t.Errorf("InDurableTx = %v, want %v", err, failure)
			}
			if got := read(db); got != want.lax {
				t.Errorf("afterwards: %s, want %s as before", got, want.lax)
			}
		}
	})
}

func TestExecAllRunsStatementsInOrderAndStopsAtTheFirstFailure(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE a (x integer PRIMARY KEY, y text)"); err != nil {
			t.Fatal(err)
		}
		insert := func(x int, y string) schema.QueryAppender { return bun.SafeQuery("INSERT INTO a VALUES (?, ?)", x, y) }
		run := func(all ...schema.QueryAppender) (n int, err error) {
			err = bundb.InTx(t.Context(), db, func(ctx context.Context, tx bun.Tx) (err error) {
				n, err = bundb.ExecAll(ctx, tx, all)
				return err
			})
			return n, err
		}
		if n, err := run(insert(1, "it's ?0 $1"), insert(2, "b"), bun.SafeQuery("UPDATE a SET x = x + 10")); n != 4 || err != nil {
			t.Errorf("ExecAll = %d, %v; want 4 rows changed", n, err)
		}
		if n, err := run(insert(3, "c"), insert(12, "taken"), insert(4, "d")); n != 1 || err == nil {
			t.Errorf("ExecAll = %d, %v; want the failure of the second statement", n, err)
		}
		var kept []string
		if err := db.NewRaw("SELECT y FROM a ORDER BY x").Scan(t.Context(), &kept); err != nil || !slices.Equal(kept, []string{"it's ?0 $1", "b"}) {
			t.Errorf("%q is stored, %v; want what the first call stored", kept, err)
		}
	})
}

// files returns migrations of both dialects.
func files(sql ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i, text := range sql {
		for _, dir := range []string{"postgres", "sqlite"} {
			fsys[fmt.Sprintf("%s/%04d_step.tx.up.sql", dir, i+1)] = &fstest.MapFile{Data: []byte(text)}
		}
	}
	return fsys
}

const (
	first  = "CREATE TABLE a (x integer); CREATE TABLE b (x text DEFAULT 'it''s ?');"
	second = "CREATE TABLE c (x integer)"
)

func TestMigrateAppliesWhatIsMissing(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		old := bundb.Migrations{Room: "test", Files: files(first)}
		current := bundb.Migrations{Room: "test", Files: files(first, second)}
		for _, m := range []bundb.Migrations{old, current, current, old} { // the last is an older program on a newer schema
			if err := m.Migrate(t.Context(), db); err != nil {
				t.Fatalf("Migrate = %v", err)
			}
			if err := m.Check(t.Context(), db); err != nil {
				t.Errorf("Check = %v", err)
			}
		}
		if _, err := db.ExecContext(t.Context(), "INSERT INTO c (x) VALUES (1)"); err != nil {
			t.Errorf("the second step is missing: %v", err)
		}
		newer := bundb.Migrations{Room: "test", Files: files(first, second, "SELECT 1")}
		if err := newer.Check(t.Context(), db); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("Check before a step = %v, want ErrUnavailable", err)
		}
	})
}

func TestAStepThatFailsLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		bad := bundb.Migrations{Room: "test", Files: files(first, "CREATE TABLE c (x integer); CREATE TABLE a (x integer)")}
		if err := bad.Migrate(t.Context(), db); err == nil {
			t.Fatal("Migrate = nil, want the error of the second step")
		}
		good := bundb.Migrations{Room: "test", Files: files(first, second)}
		if err := good.Migrate(t.Context(), db); err != nil {
			t.Errorf("Migrate after a failure = %v, want a clean start", err)
		}
	})
}

func TestRoomsCountIndependently(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		for room, sql := range map[string]string{"one": first, "two": second} {
			if err := (bundb.Migrations{Room: room, Files: files(sql)}).Migrate(t.Context(), db); err != nil {
				t.Errorf("Migrate of %s = %v", room, err)
			}
		}
		if _, err := db.ExecContext(t.Context(), "INSERT INTO c (x) SELECT x FROM a"); err != nil {
			t.Errorf("a room's step was taken for another's: %v", err)
		}
	})
}

func TestMigrationsWithoutFilesOrNumbersAreRefused(t *testing.T) {
	db := dbtest.Open(t, dbtest.SQLite(t))
	for name, fsys := range map[string]fstest.MapFS{
		"no files": {}, "no number": {"sqlite/x_y.tx.up.sql": &fstest.MapFile{Data: []byte("SELECT 1")}},
	} {
		if err := (bundb.Migrations{Room: "test", Files: fsys}).Migrate(t.Context(), db); err == nil {
			t.Errorf("%s: Migrate = nil", name)
		}
	}
}

func TestAFixedStatementKnowsTheInstantOfItsCall(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		query := bundb.FixedAt{SQL: "SELECT ?now, ?0 || '', ?now - ?1"}
		ask := func(db bun.IDB, now time.Time) time.Time {
			t.Helper()
			var at, less int64
			var text string
			err := query.Each(t.Context(), db, now, func(scan func(...any) error) error { return scan(&at, &text, &less) }, "it's ?0 ?now $1", int64(5))
			if err != nil || text != "it's ?0 ?now $1" || less != at-5 {
				t.Fatalf("Each = %d, %q, %d, %v", at, text, less, err)
			}
			return time.UnixMicro(at)
		}
		check := func(db bun.IDB) {
			t.Helper()
			for _, want := range []time.Time{time.Date(2031, 5, 6, 7, 8, 9, 123456789, time.UTC), time.Date(1931, 5, 6, 7, 8, 9, 0, time.UTC)} {
				if got := ask(db, want); !got.Equal(want.Truncate(time.Microsecond)) {
					t.Errorf("?now at %v is %v", want, got)
				}
			}
			if got := ask(db, time.Time{}); time.Since(got).Abs() > time.Minute {
				t.Errorf("?now by the database's clock is %v", got)
			}
		}
		check(db)
		if err := bundb.InTx(t.Context(), db, func(_ context.Context, tx bun.Tx) error {
			check(tx)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAFixedStatementWritesTheInstantIntoColumns(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		kind := map[bool]string{true: "bigint", false: "timestamptz"}[bundb.SingleWriter(db)]
		if _, err := db.ExecContext(t.Context(), "CREATE TABLE moments (n bigint, at "+kind+", later "+kind+")"); err != nil {
			t.Fatal(err)
		}
		write := bundb.FixedAt{SQL: "INSERT INTO moments (n, at, later) VALUES (?0, ?at, ?at+1)"}
		for n, now := range []time.Time{time.Date(2031, 5, 6, 7, 8, 9, 123456000, time.UTC), {}} {
			if stored, err := write.Exec(t.Context(), db, now, n, time.Hour.Microseconds()); stored != 1 || err != nil {
				t.Fatalf("Exec = %d, %v", stored, err)
			}
			var at, later bundb.Time
			if err := db.NewRaw("SELECT at, later FROM moments WHERE n = ?", n).Scan(t.Context(), &at, &later); err != nil {
				t.Fatal(err)
			}
			if later.Sub(at.Time) != time.Hour || !now.IsZero() && !at.Equal(now) || now.IsZero() && time.Since(at.Time).Abs() > time.Minute {
				t.Errorf("at %v the columns hold %v and %v", now, at, later)
			}
		}
	})
}

// What is kept prepared outlives changes of the schema and errors.
func TestAPreparedStatementSeesTheSchemaAsItIs(t *testing.T) {
	each(t, func(t *testing.T, db *bun.DB) {
		query := bundb.FixedAt{SQL: "SELECT n FROM kept WHERE n < ?now"}
		count := func() (n int, err error) {
			err = query.Each(t.Context(), db, time.Time{}, func(func(...any) error) error { n++; return nil })
			return n, err
		}
		if _, err := count(); err == nil {
			t.Error("a table that is not there was read")
		}
		for _, step := range []string{"CREATE TABLE kept (n bigint)", "INSERT INTO kept VALUES (1)", "ALTER TABLE kept ADD COLUMN m bigint", "CREATE INDEX kept_n ON kept (n)"} {
			if _, err := db.ExecContext(t.Context(), step); err != nil {
				t.Fatal(err)
			}
			if n, err := count(); err != nil || n != 1 && step != "CREATE TABLE kept (n bigint)" {
				t.Errorf("after %s: Each = %d rows, %v", step, n, err)
			}
		}
	})
}

// A statement that is being read may be run again: each run has its own. PostgreSQL's
// connections read one query at a time.
func TestAPreparedQueryRunsWithinItselfOnSQLite(t *testing.T) {
	query := bundb.Fixed{SQL: "WITH RECURSIVE s (n) AS (SELECT ?0 UNION ALL SELECT n + 1 FROM s WHERE n < 3) SELECT n FROM s"}
	err := bundb.InTx(t.Context(), dbtest.Open(t, dbtest.SQLite(t)), func(ctx context.Context, tx bun.Tx) error {
		var seen []int
		err := query.Each(ctx, tx, func(scan func(...any) error) error {
			var n, last int
			err := scan(&n)
			if err == nil {
				err = query.Each(ctx, tx, func(scan func(...any) error) error { return scan(&last) }, n)
			}
			seen = append(seen, n, last)
			return err
		}, 1)
		if want := []int{1, 3, 2, 3, 3, 3}; !slices.Equal(seen, want) {
			t.Errorf("Each saw %v, want %v", seen, want)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
