// Package cronjobs reads timetables in the form of cron for [jobs.Schedules]:
//
//	schedules := jobs.NewSchedules(store, queue, &jobs.SchedulesOptions{Parse: cronjobs.Parse})
//	_, err := schedules.Put(ctx, "report", jobs.Plan{Spec: "30 9 * * MON-FRI", TimeZone: "Europe/Berlin"}, Report{})
//
// A text has five fields (minute, hour, day of the month, month, day of the week), or
// six with seconds first, or is one of @hourly, @daily, @weekly, @monthly and
// @yearly; see crontab(5). Where both days are restricted, either is enough.
//
// # When clocks are changed
//
// A time that a change leaves out, such as 02:30 in the night when summer time
// begins, happens at the end of the gap. A time that comes twice, in the night when
// summer time ends, happens the first time. So a daily job runs once each day, and
// one that runs each ten minutes pauses for an hour in autumn: use "every 10m" for
// intervals that no clock change may touch.
//
// Programs that run where the system has no time zone database import time/tzdata.
package cronjobs

import (
	"errors"
	"strings"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/levqor/sdk/jobs"
)

var parser = cron.NewParser(cron.SecondOptional | cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Parse is a [jobs.TimetableParser] for cron. It returns an error that says what is
// wrong with the text, also for zones and intervals within it: those have forms of
// their own in a [jobs.Plan].
func Parse(spec string, zone *time.Location) (jobs.Timetable, error) {
	switch {
	case strings.Contains(spec, "TZ="):
		return nil, errors.New("must not name a time zone: give it beside the text")
	case strings.HasPrefix(strings.TrimSpace(spec), "@every"):
		return nil, errors.New(`must have "every" without @ for intervals`)
	}
	schedule, err := parser.Parse(spec)
	if err != nil {
		return nil, errors.New("is no cron text: " + err.Error())
	}
	return timetable{schedule, zone}, nil
}

// timetable reads the schedule as times on a wall clock, which [cron.Schedule] sees as
// UTC and thus without gaps, and finds the instant of each.
type timetable struct {
	wall cron.Schedule
	zone *time.Location
}

// Next implements [jobs.Timetable].
func (t timetable) Next(after time.Time) time.Time {
	for wall := t.wall.Next(onWall(after.In(t.zone))); !wall.IsZero(); wall = t.wall.Next(wall) {
		if at := instantOf(wall, t.zone); at.After(after) {
			return at
		}
	}
	return time.Time{}
}

// onWall returns what a clock shows, as if in UTC.
func onWall(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// instantOf returns when a clock of the zone first shows a wall time, or the end of
// the gap that the wall time lies in.
func instantOf(wall time.Time, zone *time.Location) time.Time {
	const margin = 36 * time.Hour // wider than any offset, narrower than two changes
	before := wall.Add(-offset(wall.Add(-margin), zone))
	after := wall.Add(-offset(wall.Add(margin), zone))
	if onWall(before.In(zone)).Equal(wall) {
		return before // the earlier one where there are two: clocks were then set back
	}
	if onWall(after.In(zone)).Equal(wall) {
		return after
	}
	end, _ := before.In(zone).ZoneBounds() // before is read with the offset of the time before the gap
	return end.UTC()
}

func offset(t time.Time, zone *time.Location) time.Duration {
	_, seconds := t.In(zone).Zone()
	return time.Duration(seconds) * time.Second
}
