package bundb

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/uptrace/bun"

	"github.com/levqor/sdk/internal/fault"
)

// Gate lets short work on a SQLite file through one after the other, as its writers run
// anyhow. Those that wait meanwhile share a transaction, each within a savepoint: a commit
// costs as much as a few statements, and they all return when it is done. On PostgreSQL,
// and within a transaction, a gate stands open.
//
// Work in a transaction runs with a context that does not end with its caller's, which the
// driver would watch with a goroutine for each statement, a third of what that costs; and
// a write that is broken off undoes the whole transaction. Whoever waits leaves when its
// context ends.
type Gate struct {
	db   bun.IDB
	file *bun.DB // db where work stands in line

	mu   sync.Mutex
	busy bool
	line []*turn // that wait
}

// A group ends when it has so many members or is so old, since others wait for the file
// too and have no part in it.
const (
	maxGroup    = 32
	maxGroupAge = 2 * time.Millisecond
)

// maxWork is how long work in a transaction may take. What waits for the file by other
// means than the transaction would wait for itself, and everybody for it.
const maxWork = 30 * time.Second

var (
	errPanicked = errors.New("bundb: work of a transaction panicked")
	errWithin   = errors.New("bundb: work within a transaction waits for the transaction")
	errUndone   = errors.New("bundb: the transaction was undone")
)

// group is a transaction that several share.
type group struct {
	conn   bun.Conn
	tx     bun.Tx
	begun  time.Time
	size   int
	sure   bool          // that the transaction is still open
	done   chan struct{} // closed when it has ended
	err    error         // how it ended
	cancel context.CancelFunc
}

// turn is somebody's in the line. It comes with the group that is open, or nil.
type turn struct{ come chan *group }

// undo is how what a member does is undone if it fails: by its savepoint, or with the
// group. That is so for the first member, and for a statement, which SQLite undoes by
// itself unless the file or the disk is at fault.
type undo int

const (
	alone undo = iota
	withGroup
)

// NewGate returns the gate of a database.
func NewGate(db bun.IDB) *Gate {
	g := &Gate{db: db}
	if whole, ok := db.(*bun.DB); ok && !postgres(db) {
		g.file = whole
	}
	return g
}

// Run runs work that changes rows by one statement, in a transaction with others if any
// wait.
func (g *Gate) Run(ctx context.Context, work func(ctx context.Context, db bun.IDB) error) error {
	if g.file == nil {
		return work(ctx, g.db)
	}
	open, err := g.enter(ctx)
	if err != nil {
		return err
	}
	if open == nil && !g.awaited() { // a statement is a transaction by itself
		defer g.leave(nil)
		return work(context.WithoutCancel(ctx), g.file) // waits for the file no longer than busy_timeout
	}
	return g.join(ctx, open, withGroup, func(ctx context.Context, tx bun.Tx) error { return work(ctx, tx) })
}

// InTx runs fn in a transaction, which others may share before and after. The tx is over
// when fn returns. Fn must not wait for anything that takes the file but by tx.
func (g *Gate) InTx(ctx context.Context, fn func(ctx context.Context, tx bun.Tx) error) error {
	if g.file == nil {
		return InTx(ctx, g.db, fn)
	}
	open, err := g.enter(ctx)
	if err != nil {
		return err
	}
	return g.join(ctx, open, alone, fn)
}

// enter waits for the turn, and returns the group that it comes with.
func (g *Gate) enter(ctx context.Context) (*group, error) {
	if ctx.Value(g) != nil {
		return nil, errWithin
	}
	mine := &turn{make(chan *group, 1)}
	g.mu.Lock()
	if g.busy {
		g.line = append(g.line, mine)
	} else {
		g.busy = true
		mine.come <- nil
	}
	g.mu.Unlock()
	select {
	case open := <-mine.come:
		if err := ctx.Err(); err != nil {
			g.leave(open)
			return nil, err
		}
		return open, nil
	case <-ctx.Done():
		if !g.giveUp(mine) {
			g.leave(<-mine.come)
		}
		return nil, ctx.Err()
	}
}

// giveUp leaves the line, unless the turn has come.
func (g *Gate) giveUp(t *turn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.line, t)
	if i < 0 {
		return false
	}
	g.line = slices.Delete(g.line, i, i+1)
	return true
}

// awaited reports whether somebody waits.
func (g *Gate) awaited() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.line) > 0
}

// leave hands on the turn, whatever hooks of bun do. A group that nobody joins any more is
// committed before.
func (g *Gate) leave(open *group) {
	if open != nil && g.callMore(open) {
		return
	}
	defer g.call(nil)
	if open == nil {
		return
	}
	err := errPanicked
	defer func() {
		if err != nil {
			open.rollback()
		}
		open.end(err)
	}()
	err = open.tx.Commit()
}

// callMore gives the turn to the next if the group takes one more. Who is about to come is let
// come first: what they share is dearer than a look at who else could run.
func (g *Gate) callMore(open *group) bool {
	if open.size == maxGroup || time.Since(open.begun) >= maxGroupAge {
		return false
	}
	if g.call(open) {
		return true
	}
	runtime.Gosched()
	return g.call(open)
}

// call gives the turn to the next in the line, and reports whether there is one. Without a
// group to end, the gate is free then.
func (g *Gate) call(open *group) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.line) == 0 {
		g.busy = open != nil
		return false
	}
	g.line[0].come <- open
	g.line = slices.Delete(g.line, 0, 1)
	return true
}

// join runs work as a member of a group, of a new one if there is none, and returns when
// that has ended.
func (g *Gate) join(ctx context.Context, open *group, how undo, work func(context.Context, bun.Tx) error) error {
	if open == nil {
		var err error
		if open, err = g.begin(ctx); err != nil {
			return err
		}
	}
	err := g.member(ctx, open, how, work)
	<-open.done
	if open.err != nil {
		return open.err // and what work saw of the others is not so
	}
	return err
}

// begin begins a group, or hands on the turn. Waiting for the file ends with ctx, and the
// group does not.
func (g *Gate) begin(ctx context.Context) (open *group, err error) {
	undone := func(also func()) {
		if open == nil {
			also()
		}
	}
	defer undone(func() { g.leave(nil) })
	conn, err := g.file.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer undone(func() { _ = conn.Close() })
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer undone(end)
	stop := context.AfterFunc(ctx, end)
	tx, err := conn.BeginTx(life, nil)
	if err == nil && stop() {
		return &group{conn: conn, tx: tx, begun: time.Now(), sure: true, done: make(chan struct{}), cancel: end}, nil
	}
	if err == nil {
		_ = tx.Rollback()
	}
	return nil, cmp.Or(ctx.Err(), err)
}

// member runs work and hands on the turn, also if work panics.
func (g *Gate) member(ctx context.Context, open *group, how undo, work func(context.Context, bun.Tx) error) (err error) {
	unsaved := open.size == 0 && how == alone
	if open.size == 0 {
		how = withGroup
	}
	open.size++
	defer func() { g.leave(open.settle(how, err)) }()
	if how == alone {
		if err := open.save(); err != nil {
			return err
		}
	}
	err = errPanicked // until it is known better
	err = g.do(ctx, open, work)
	// Who has no savepoint may have passed over an error by which all was undone.
	open.sure = open.sure && !unsaved
	return err
}

func (g *Gate) do(ctx context.Context, open *group, work func(context.Context, bun.Tx) error) error {
	ctx, cancel := context.WithTimeout(context.WithValue(context.WithoutCancel(ctx), g, true), maxWork)
	defer cancel()
	return work(ctx, open.tx)
}

// save begins a member's savepoint. Outside of a transaction it would begin one.
func (m *group) save() error {
	if !m.sure && m.control("BEGIN") == nil {
		return errUndone // its end undoes what just began
	}
	m.sure = true
	return m.control("SAVEPOINT member")
}

// settle keeps what a member did, or undoes it if it failed, and returns the group, nil if
// that ended it.
func (m *group) settle(how undo, failed error) *group {
	switch {
	case how == withGroup && failed == nil:
		return m
	case how == withGroup && m.size == 1:
		m.rollback()
		m.end(nil)
		return nil
	case how == withGroup:
		m.fail(failed)
		return nil
	}
	var err error
	if failed != nil {
		err = m.control("ROLLBACK TO member")
	}
	if err == nil {
		err = m.control("RELEASE member")
	}
	if err != nil { // SQLite has undone the whole, as it does when the disk is full
		m.fail(cmp.Or(failed, err))
		return nil
	}
	return m
}

// fail undoes the group. Its members did nothing wrong, so they learn that it can be tried
// again, and no more.
func (m *group) fail(cause error) {
	m.rollback()
	m.end(fault.Opaque(fault.ErrUnavailable, errors.New(fault.Cause(cause))))
}

// rollback undoes what is left of the transaction, without bun, whose hooks may have panicked.
func (m *group) rollback() { _ = m.tx.Tx.Rollback() }

func (m *group) control(statement string) error {
	_, err := m.tx.Tx.ExecContext(context.Background(), statement)
	return err
}

// end tells the members how their group ended.
func (m *group) end(err error) {
	_ = m.conn.Close()
	m.cancel()
	m.err = err
	close(m.done)
}
