package jobs

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Timetable says when something is to happen.
type Timetable interface {
	// Next returns the first instant after the given one, the zero time if there
	// is none. It depends on its argument alone.
	Next(after time.Time) time.Time
}

// TimetableParser reads timetables that this package does not know, such as those
// of cron: [github.com/levqor/sdk/jobs/cronjobs.Parse] is one. It returns an error
// that can be shown to whoever wrote the text.
type TimetableParser func(spec string, zone *time.Location) (Timetable, error)

// MaxTimetableGap is how far ahead the next instant of a timetable may lie: one
// that has none within five years is taken for a mistake, such as 30 February.
const MaxTimetableGap = 5 * 366 * 24 * time.Hour

// minInterval bounds how often a schedule fires.
const minInterval = time.Second

// every is a timetable with equal intervals, counted from 1970: every process has
// the same instants, and no clock change of any zone moves them.
type every time.Duration

// Next implements [Timetable].
func (e every) Next(after time.Time) time.Time {
	interval := time.Duration(e).Microseconds()
	return time.UnixMicro((after.UnixMicro()/interval + 1) * interval).UTC()
}

// once is a timetable with a single instant.
type once time.Time

// Next implements [Timetable].
func (o once) Next(after time.Time) time.Time {
	if at := time.Time(o); at.After(after) {
		return at
	}
	return time.Time{}
}

// parseTimetable reads "every 15m", "at 2027-01-02T15:04:05Z", and what parse reads.
func parseTimetable(spec, zone string, parse TimetableParser) (Timetable, error) {
	where, err := loadZone(zone)
	if err != nil {
		return nil, err
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(spec), " ")
	switch {
	case word == "":
		return nil, invalid("/spec", "required", "must not be empty")
	case word == "every":
		return parseEvery(strings.TrimSpace(rest))
	case word == "at":
		return parseOnce(strings.TrimSpace(rest))
	case parse == nil:
		return nil, invalid("/spec", "unknown_timetable", `must be "every" and a duration or "at" and a time: this service reads nothing else`)
	}
	table, err := parse(spec, where)
	if err != nil {
		return nil, invalid("/spec", "invalid_timetable", storable(err.Error(), 256))
	}
	return table, nil
}

func loadZone(name string) (*time.Location, error) {
	if name == "Local" { // would differ between the nodes
		return nil, invalid("/time_zone", "unknown_time_zone", "must be a name of the IANA time zone database, such as Europe/Paris")
	}
	zone, err := time.LoadLocation(name)
	if err != nil {
		return nil, invalid("/time_zone", "unknown_time_zone", "must be a name of the IANA time zone database, such as Europe/Paris")
	}
	return zone, nil
}

func parseEvery(text string) (Timetable, error) {
	d, err := time.ParseDuration(text)
	if err != nil {
		return nil, invalid("/spec", "invalid_timetable", `must have a duration such as 90s or 1h30m behind "every"`)
	}
	if d < minInterval || d > MaxTimetableGap {
		return nil, invalid("/spec", "out_of_range", "must have an interval between a second and five years")
	}
	return every(d.Truncate(time.Microsecond)), nil
}

func parseOnce(text string) (Timetable, error) {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return nil, invalid("/spec", "invalid_timetable", `must have a time such as 2027-01-02T15:04:05Z behind "at"`)
	}
	return once(at.UTC().Truncate(time.Microsecond)), nil
}

// firstAfter returns a timetable's next instant, or an ErrInvalid if it has none
// within five years.
func firstAfter(table Timetable, now time.Time) (time.Time, error) {
	next := table.Next(now)
	if next.IsZero() || next.Sub(now) > MaxTimetableGap {
		return time.Time{}, invalid("/spec", "never_fires", "has no time within the next five years")
	}
	return next.UTC().Truncate(time.Microsecond), nil
}

// CatchUp says what becomes of the times of a schedule that passed while no process
// was there to keep them: those that lie more than a minute back.
type CatchUp uint8

// The policies. The values are stored; their order is frozen.
const (
	// CatchUpLatest makes up for the last one that was missed, unless a later one
	// is due. It is the default.
	CatchUpLatest CatchUp = iota
	// CatchUpSkip makes up for none.
	CatchUpSkip
	// CatchUpAll makes up for each, the latest [Plan.MaxCatchUp] of them.
	CatchUpAll
)

var catchUpNames = [...]string{CatchUpLatest: "latest", CatchUpSkip: "skip", CatchUpAll: "all"}

// String returns the name used on the wire, such as "latest".
func (c CatchUp) String() string {
	if int(c) >= len(catchUpNames) {
		return fmt.Sprintf("CatchUp(%d)", uint8(c))
	}
	return catchUpNames[c]
}

// ParseCatchUp returns the policy with the given name, or an ErrInvalid.
func ParseCatchUp(name string) (CatchUp, error) {
	for c, known := range catchUpNames {
		if known == name {
			return CatchUp(c), nil
		}
	}
	return 0, invalid("/catch_up", "unknown_catch_up", "must be latest, skip or all")
}

// missedAfter is how late a time may be kept and still count as kept.
const missedAfter = time.Minute

// dueTimes returns the instants from first to now that a schedule fires for, the
// earliest first.
func dueTimes(table Timetable, first, now time.Time, policy CatchUp, most int) []time.Time {
	kept := between(table, later(first, now.Add(-missedAfter)), now, most)
	if policy == CatchUpSkip || policy == CatchUpLatest && len(kept) > 0 || !first.Before(now.Add(-missedAfter)) {
		return kept
	}
	if policy == CatchUpLatest {
		most = 1
	}
	// The window grows until it holds enough, so a schedule that nobody kept for
	// long costs no more than the times that count.
	for window := missedAfter; ; window *= 2 {
		from := later(first, now.Add(-window))
		all := between(table, from, now, most)
		if len(all) == most || from.Equal(first) {
			return all
		}
	}
}

// between returns the last instants of a timetable from one to another, both
// included, at most so many.
func between(table Timetable, from, to time.Time, most int) []time.Time {
	var all []time.Time
	for t := table.Next(from.Add(-time.Microsecond)); !t.IsZero() && !t.After(to); t = table.Next(t) {
		all = append(all, t.UTC())
		if len(all) == 2*most { // keeps the last ones without keeping all
			all = append(all[:0], all[most:]...)
		}
	}
	return all[max(0, len(all)-most):]
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// upcoming returns the next instants of a timetable.
func upcoming(table Timetable, after time.Time, n int) []time.Time {
	var all []time.Time
	for t := table.Next(after); len(all) < n && !t.IsZero(); t = table.Next(t) {
		all = append(all, t.UTC())
	}
	return all
}

// errMoved says that others changed a schedule, or the settings of a queue, meanwhile.
var errMoved = errors.New("it is changed all the time")
