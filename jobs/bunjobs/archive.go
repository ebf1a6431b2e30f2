package bunjobs

import (
	"context"
	"strings"
	"time"

	"github.com/uptrace/bun"
	"github.com/uptrace/bun/schema"

	"github.com/levqor/sdk/internal/bundb"
	"github.com/levqor/sdk/jobs"
)

// history is the table of jobs that are over, where it has partitions.
var history = bundb.Partitions{Table: done, By: "finished_at"}

// There are partitions for the present day and some after it. The default partition may
// be locked and read for a new one up to a size in bytes, and so many of its rows may
// move there. So many dead letters may move out of the way of what is dropped.
const (
	daysAhead   = 3
	maxFallback = 8 << 20
	maxMoved    = 1000
	maxCopied   = 10_000
)

// Names of partitions end with the day that they are for. Those of dead letters alone,
// whose days were dropped, end with the day after them.
const (
	dayPrefix  = "levqor_jobs_done_"
	restPrefix = "levqor_jobs_done_rest_"
	dayFormat  = "20060102"
)

func isRest(p bundb.Partition) bool { return strings.Contains(string(p.Name), restPrefix) }

func named(prefix string, at time.Time) bun.Safe { return bun.Safe(prefix + at.Format(dayFormat)) }

// archive is the history at an instant, in a transaction that alone changes it.
type archive struct {
	tx    bun.Tx
	limit int
	at    time.Time
	parts []bundb.Partition
	// mine says that the partitions may be changed. It is false if another
	// transaction is at it, and parts is empty then.
	mine bool
	// completed and discarded are what must be over to be forgotten.
	completed, discarded time.Time
}

func newArchive(ctx context.Context, tx bun.Tx, keep jobs.Retention, limit int, now time.Time) (*archive, error) {
	a := &archive{tx: tx, limit: limit}
	turn, err := bundb.Turn(ctx, tx, string(done))
	if err != nil || !turn {
		return a, err
	}
	if a.at, err = bundb.Instant(ctx, tx, now); err != nil {
		return a, err
	}
	a.completed, a.discarded = keep.Cutoffs(a.at)
	a.parts, a.mine, err = history.List(ctx, tx)
	return a, err
}

// arrange makes one partition that is missing, or removes one whose time is over, and
// reports whether there was one.
func (a *archive) arrange(ctx context.Context) (bool, error) {
	if made, err := a.makeAhead(ctx); made || err != nil {
		return made, err
	}
	for i, part := range a.parts {
		switch {
		case part.Default:
		case !part.To.After(a.discarded):
			return true, a.drop(ctx, part)
		case !part.To.After(a.completed) && !isRest(part):
			if done, err := a.retire(ctx, i); done || err != nil {
				return done, err
			}
		}
	}
	return false, nil
}

// makeAhead makes a partition for the present day or one of the next, unless the
// default partition is too large to be read for it, or has too many rows of that day.
func (a *archive) makeAhead(ctx context.Context) (bool, error) {
	if len(a.parts) == 0 || !a.parts[0].Default || a.parts[0].Bytes > maxFallback {
		return false, nil
	}
	for d := range daysAhead + 1 {
		from := a.at.Truncate(24*time.Hour).AddDate(0, 0, d)
		if a.covered(from) {
			continue
		}
		part := bundb.Partition{Name: named(dayPrefix, from), From: bundb.Time{Time: from}, To: bundb.Time{Time: from.AddDate(0, 0, 1)}}
		n, err := bundb.Count(ctx, a.tx, a.parts[0].Name, history.Within(part), maxMoved+1)
		if err != nil {
			return false, err
		}
		if n <= maxMoved {
			return true, history.Make(ctx, a.tx, a.parts[0], part)
		}
	}
	return false, nil
}

// covered reports whether there is a partition for an instant.
func (a *archive) covered(at time.Time) bool {
	for _, p := range a.parts {
		if !p.Default && !p.From.After(at) && p.To.After(at) {
			return true
		}
	}
	return false
}

// drop drops a partition all of whose jobs are over, or first a part of their logs.
func (a *archive) drop(ctx context.Context, part bundb.Partition) error {
	if all, err := a.deleteLogsOf(ctx, part, bun.Safe("1 = 1")); err != nil || !all {
		return err
	}
	return a.dropEmptied(ctx, part)
}

// dropEmptied drops a partition with what counted its jobs.
func (a *archive) dropEmptied(ctx context.Context, part bundb.Partition) error {
	if err := forgetTallies(ctx, a.tx, part.From, part.To, bun.Safe("1 = 1")); err != nil {
		return err
	}
	return history.Drop(ctx, a.tx, part)
}

// deadLetters is the condition for what may outlive its day.
const deadLetters = bun.Safe("state = 7")

// retire drops a partition in which only dead letters may not be over, or first a part
// of the logs. The dead letters get a small partition, together with those of the one
// before, if they are few; else what is over is deleted row by row. It reports whether it
// did something.
func (a *archive) retire(ctx context.Context, i int) (bool, error) {
	part := a.parts[i]
	if all, err := a.deleteLogsOf(ctx, part, bun.Safe("state <> 7")); err != nil || !all {
		return true, err
	}
	if err := bundb.ByIndex(ctx, a.tx); err != nil {
		return false, err
	}
	n, err := bundb.Count(ctx, a.tx, part.Name, deadLetters, maxCopied+1)
	if err != nil {
		return false, err
	}
	if n == 0 {
		return true, a.dropEmptied(ctx, part)
	}
	if n > maxCopied {
		return a.thin(ctx, part)
	}
	old := []bundb.Partition{part}
	if i > 0 && isRest(a.parts[i-1]) {
		m, err := bundb.Count(ctx, a.tx, a.parts[i-1].Name, deadLetters, maxCopied+1)
		if err != nil {
			return false, err
		}
		if n+m <= maxCopied {
			old = a.parts[i-1 : i+1]
		}
	}
	if err := forgetTallies(ctx, a.tx, part.From, part.To, bun.Safe("state <> 7")); err != nil {
		return false, err
	}
	rest := bundb.Partition{Name: named(restPrefix, part.To.Time), From: old[0].From, To: part.To}
	return true, history.Replace(ctx, a.tx, old, rest, deadLetters)
}

// thin deletes some of what is over from a partition with many dead letters, and reports
// whether it could.
func (a *archive) thin(ctx context.Context, part bundb.Partition) (bool, error) {
	n, err := deleteRows(ctx, a.tx, part.Name, bun.Safe("state <> 7"), a.limit)
	if err != nil || n > 0 {
		return n > 0, err
	}
	if n, err = bundb.Count(ctx, a.tx, part.Name, bun.Safe("state <> 7"), 1); err != nil || n > 0 {
		return false, err // somebody holds what is left
	}
	return true, history.Rename(ctx, a.tx, part, named(restPrefix, part.To.Time))
}

// deleteLogsOf deletes the logs of jobs of a partition, and reports whether that was
// all.
func (a *archive) deleteLogsOf(ctx context.Context, part bundb.Partition, match schema.QueryAppender) (all bool, err error) {
	n, err := bundb.Exec(ctx, a.tx, bun.SafeQuery(
		"DELETE FROM levqor_jobs_log WHERE (job, line) IN (SELECT l.job, l.line FROM levqor_jobs_log AS l JOIN ? AS d ON d.id = l.job WHERE ? LIMIT ?)",
		part.Name, match, maxForgottenLines))
	return n < maxForgottenLines, err
}

// deleteOver deletes up to limit jobs that are over and do not go with their partition,
// and reports whether these were all.
func (a *archive) deleteOver(ctx context.Context) (all bool, err error) {
	if err := bundb.ByIndex(ctx, a.tx); err != nil {
		return false, err
	}
	left := a.limit
	for _, part := range a.parts {
		for _, match := range a.over(part) {
			n, err := deleteRows(ctx, a.tx, part.Name, match, left)
			if err != nil {
				return false, err
			}
			if left -= n; left <= 0 {
				return false, nil
			}
		}
	}
	return true, nil
}

// over are the conditions for jobs of a partition that are to be deleted row by row.
// The first two have an index each.
func (a *archive) over(part bundb.Partition) (matches []schema.QueryAppender) {
	if part.From.Before(a.discarded) {
		matches = append(matches, bun.SafeQuery("state = 7 AND finished_at < ?", bundb.Time{Time: a.discarded}))
	}
	switch {
	case a.completed.IsZero() || isRest(part): // nothing but dead letters may go
	case part.From.IsZero():
		matches = append(matches, bun.SafeQuery("state <> 7 AND finished_at < ?", bundb.Time{Time: a.completed}))
	case !a.mine && !part.To.After(a.completed):
		matches = append(matches, bun.Safe("state <> 7"))
	}
	return matches
}
