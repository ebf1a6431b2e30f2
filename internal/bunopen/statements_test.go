package bunopen_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/uptrace/bun"
	"modernc.org/sqlite"

	"github.com/levqor/sdk/internal/bunopen"
	"github.com/levqor/sdk/internal/dbtest"
)

// ask runs a statement with a parameter, which is kept prepared.
func ask(ctx context.Context, db *bun.DB, text string, value int) (n int, err error) {
	err = db.DB.QueryRowContext(ctx, text, value).Scan(&n)
	return n, err
}

// counted makes connections that count the statements that they have prepared and closed,
// and whose BEGIN may end too late.
type counted struct {
	driver.Connector
	prepared, closed int
	late             bool
}

func (c *counted) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &countedConn{conn.(connection), c}, nil
}

type connection interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

type countedConn struct {
	connection
	all *counted
}

func (c *countedConn) PrepareContext(ctx context.Context, text string) (driver.Stmt, error) {
	s, err := c.connection.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	c.all.prepared++
	return &countedStmt{s.(statement), c.all, text}, nil
}

type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type countedStmt struct {
	statement
	all  *counted
	text string
}

func (s *countedStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	res, err := s.statement.ExecContext(ctx, args)
	if s.all.late && s.text == "BEGIN IMMEDIATE" {
		return nil, context.Canceled
	}
	return res, err
}

func (s *countedStmt) Close() error {
	s.all.closed++
	return s.statement.Close()
}

func openCounted(t *testing.T) (*sql.DB, *counted) {
	t.Helper()
	connector, err := sqlite.NewConnector("file:" + filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	all := &counted{Connector: connector}
	db := sql.OpenDB(bunopen.Keeping(all))
	db.SetMaxOpenConns(1)
	t.Cleanup(func() {
		if err := db.Close(); err != nil || all.closed != all.prepared {
			t.Errorf("of %d statements %d were closed, %v", all.prepared, all.closed, err)
		}
	})
	return db, all
}

func TestStatementsAreKeptWithinABound(t *testing.T) {
	db, all := openCounted(t)
	run := func(i int) {
		t.Helper()
		var n int
		if err := db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT ?1 + %d", i), 1000).Scan(&n); err != nil || n != 1000+i {
			t.Fatalf("statement %d gave %d, %v", i, n, err)
		}
	}
	for i := range bunopen.MaxKept {
		run(i)
	}
	run(0)
	if all.prepared != bunopen.MaxKept || all.closed != 0 {
		t.Errorf("%d statements were prepared and %d closed, want %d and none", all.prepared, all.closed, bunopen.MaxKept)
	}
	run(bunopen.MaxKept) // in the place of 1, which ran longest ago
	run(0)
	if all.prepared != bunopen.MaxKept+1 || all.closed != 1 {
		t.Errorf("%d statements were prepared and %d closed, want %d and 1", all.prepared, all.closed, bunopen.MaxKept+1)
	}
	run(1)
	if all.prepared != bunopen.MaxKept+2 {
		t.Errorf("%d statements were prepared, want that of 1 anew", all.prepared)
	}
	for i := range 200 {
		run(i)
	}
	if open := all.prepared - all.closed; open != bunopen.MaxKept {
		t.Errorf("%d statements are kept, want %d", open, bunopen.MaxKept)
	}
}

// A BEGIN that took effect just as its context ended is answered like one that did not.
func TestATransactionThatBeganTooLateIsNotLeftOpen(t *testing.T) {
	db, all := openCounted(t)
	all.late = true
	if _, err := db.BeginTx(t.Context(), nil); !errors.Is(err, context.Canceled) {
		t.Fatalf("BeginTx = %v, want Canceled", err)
	}
	all.late = false
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatalf("BeginTx afterwards = %v", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
}

func TestColumnsOfAKeptStatementHaveTypes(t *testing.T) {
	db, _ := openCounted(t)
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE typed (n INTEGER)"); err != nil {
		t.Fatal(err)
	}
	rows, err := db.QueryContext(t.Context(), "SELECT n FROM typed WHERE n > ?1", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil || len(types) != 1 || types[0].DatabaseTypeName() != "INTEGER" {
		t.Errorf("ColumnTypes = %v, %v", types, err)
	}
	if err := rows.Err(); err != nil {
		t.Error(err)
	}
}

func TestAStatementRunsAgainAfterItFailed(t *testing.T) {
	db := dbtest.Open(t, dbtest.SQLite(t))
	if _, err := db.ExecContext(t.Context(), "CREATE TABLE kept (n integer PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	store := func(n int) error {
		_, err := db.DB.ExecContext(t.Context(), "INSERT INTO kept (n) VALUES (?1)", n)
		return err
	}
	if err := errors.Join(store(1), store(2)); err != nil {
		t.Fatal(err)
	}
	if err := store(2); err == nil {
		t.Error("a number was stored twice")
	}
	if err := store(3); err != nil {
		t.Error(err)
	}
	late, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	endless := "WITH RECURSIVE s (n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s"
	if _, err := ask(late, db, endless, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a statement without end = %v, want its time over", err)
	}
	if n, err := ask(t.Context(), db, "SELECT count(*) FROM kept WHERE n > ?1", 0); err != nil || n != 3 {
		t.Errorf("there are %d numbers, %v", n, err)
	}
}

// A commit that is refused undoes the transaction, and the connection is as it was.
func TestACommitThatFailsLeavesNoTransaction(t *testing.T) {
	db := dbtest.Open(t, dbtest.SQLite(t))
	for _, text := range []string{
		"CREATE TABLE parent (n integer PRIMARY KEY)",
		"CREATE TABLE child (n integer REFERENCES parent (n) DEFERRABLE INITIALLY DEFERRED)",
	} {
		if _, err := db.ExecContext(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	adopt := func(n int) error {
		return db.RunInTx(t.Context(), nil, func(ctx context.Context, tx bun.Tx) error {
			_, err := tx.Tx.ExecContext(ctx, "INSERT INTO child (n) VALUES (?1)", n)
			return err
		})
	}
	if err := adopt(1); err == nil {
		t.Error("a child without a parent was stored")
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO parent (n) VALUES (2)"); err != nil {
		t.Fatal(err)
	}
	if err := adopt(2); err != nil {
		t.Error(err)
	}
	if n, err := ask(t.Context(), db, "SELECT sum(n) FROM child WHERE n > ?1", 0); err != nil || n != 2 {
		t.Errorf("the children are %d, %v; want 2 alone", n, err)
	}
}
