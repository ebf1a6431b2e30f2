package bunopen

import (
	"context"
	"database/sql/driver"
	"slices"
	"strings"
)

// maxKept is how many statements a connection of SQLite keeps prepared. The stores have
// fewer whose text never changes.
const maxKept = 64

// fileConnector makes connections to a SQLite file that keep statements with parameters
// prepared, as PostgreSQL's driver does: reading the text of a statement takes SQLite
// longer than running it, measured. Statements without parameters hold their values in
// the text, so no two are alike.
type fileConnector struct{ driver.Connector }

// Connect opens a connection.
func (c fileConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	whole, ok := conn.(fileConn)
	if !ok {
		return conn, nil
	}
	return &fileConnection{fileConn: whole}, nil
}

// fileConn is what the driver's connections do and database/sql makes use of.
type fileConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.Pinger
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// statement is what the driver's statements do and database/sql makes use of.
type statement interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type fileConnection struct {
	fileConn
	kept []keptStatement // that do not run, the one that ran last at the end
}

type keptStatement struct {
	text string
	statement
}

// Unwrap returns the driver's own connection, for those who ask [sql.Conn.Raw] for what
// SQLite alone can do.
func (c *fileConnection) Unwrap() driver.Conn { return c.fileConn }

// take returns a statement, which nobody else has until it is put back: one that returns
// rows may run again before they are read.
func (c *fileConnection) take(ctx context.Context, text string) (keptStatement, error) {
	for i, s := range slices.Backward(c.kept) {
		if s.text == text {
			c.kept = slices.Delete(c.kept, i, i+1)
			return s, nil
		}
	}
	prepared, err := c.PrepareContext(ctx, text)
	if err != nil {
		return keptStatement{}, err
	}
	s, ok := prepared.(statement)
	if !ok {
		_ = prepared.Close()
		return keptStatement{}, driver.ErrSkip // database/sql prepares it
	}
	return keptStatement{text, s}, nil
}

func (c *fileConnection) put(s keptStatement) {
	if len(c.kept) == maxKept {
		_ = c.kept[0].Close()
		c.kept = slices.Delete(c.kept, 0, 1)
	}
	c.kept = append(c.kept, s)
}

// controls reports whether a statement divides a transaction: those have no parameters and
// few texts, but for the savepoints that bun names at random.
func controls(text string) bool {
	word, _, _ := strings.Cut(text, " ")
	return (word == "SAVEPOINT" || word == "RELEASE" || word == "ROLLBACK" || word == "BEGIN") && !strings.Contains(text, "SP_")
}

// ExecContext runs a statement.
func (c *fileConnection) ExecContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Result, error) {
	if len(args) == 0 && !controls(text) {
		return c.fileConn.ExecContext(ctx, text, args)
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	defer c.put(s)
	return s.ExecContext(ctx, args)
}

// QueryContext runs a statement that returns rows.
func (c *fileConnection) QueryContext(ctx context.Context, text string, args []driver.NamedValue) (driver.Rows, error) {
	if len(args) == 0 {
		return c.fileConn.QueryContext(ctx, text, args)
	}
	s, err := c.take(ctx, text)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		c.put(s)
		return nil, err
	}
	typed, ok := rows.(typedRows)
	if !ok {
		_ = rows.Close()
		c.put(s)
		return nil, driver.ErrSkip
	}
	return &keptRows{typedRows: typed, done: func() { c.put(s) }}, nil
}

// typedRows are what the driver's rows do and database/sql makes use of.
type typedRows interface {
	driver.Rows
	driver.RowsColumnTypeDatabaseTypeName
	driver.RowsColumnTypeLength
	driver.RowsColumnTypeNullable
	driver.RowsColumnTypePrecisionScale
	driver.RowsColumnTypeScanType
}

// keptRows gives their statement back when they have been read.
type keptRows struct {
	typedRows
	done func()
}

// Close ends the reading.
func (r *keptRows) Close() error {
	err := r.typedRows.Close()
	if r.done != nil {
		r.done()
		r.done = nil
	}
	return err
}

// Close ends the connection.
func (c *fileConnection) Close() error {
	for _, s := range c.kept {
		_ = s.Close()
	}
	c.kept = nil
	return c.fileConn.Close()
}

// BeginTx begins a transaction that takes the write lock at once, unless it only reads.
func (c *fileConnection) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	if opts.ReadOnly || opts.Isolation != 0 {
		return c.fileConn.BeginTx(ctx, opts)
	}
	if err := c.run(ctx, "BEGIN IMMEDIATE"); err != nil {
		// It may have begun when its context ended. Nobody would ever end it.
		_ = c.run(context.Background(), "ROLLBACK")
		return nil, err
	}
	return fileTx{c}, nil
}

// run runs a statement without parameters that is always the same.
func (c *fileConnection) run(ctx context.Context, text string) error {
	s, err := c.take(ctx, text)
	if err != nil {
		return err
	}
	defer c.put(s)
	_, err = s.ExecContext(ctx, nil)
	return err
}

// fileTx ends a transaction. With a write-ahead log that waits for nobody, so there is no
// context that could end it half-way.
type fileTx struct{ *fileConnection }

// Commit implements [driver.Tx].
func (t fileTx) Commit() error {
	err := t.run(context.Background(), "COMMIT")
	if err != nil {
		_ = t.Rollback() // a disk that is full leaves the transaction open
	}
	return err
}

// Rollback implements [driver.Tx].
func (t fileTx) Rollback() error { return t.run(context.Background(), "ROLLBACK") }
