package bunjobs_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/cronjobs"
)

// Nodes sleep for two weeks in which the clocks change, and wake together. What a daily
// schedule missed is made up for as its policy says, each time once: 02:30 is 03:00 where
// there is none, and the first one where there are two.
func TestNodesThatSleptForTwoWeeksMakeUpByPolicy(t *testing.T) {
	days := func(month time.Month, first, last, hour, minute int) (times []time.Time) {
		for day := first; day <= last; day++ {
			times = append(times, time.Date(2031, month, day, hour, minute, 0, 0, time.UTC))
		}
		return times
	}
	seasons := []struct {
		name   string
		asleep time.Time
		missed []time.Time
	}{
		{"spring", time.Date(2031, 3, 20, 12, 0, 0, 0, time.UTC), slices.Concat(days(3, 21, 29, 1, 30), days(3, 30, 30, 1, 0), days(3, 31, 34, 0, 30))},
		{"autumn", time.Date(2031, 10, 20, 12, 0, 0, 0, time.UTC), slices.Concat(days(10, 21, 26, 0, 30), days(10, 27, 34, 1, 30))},
	}
	policies := []struct {
		policy jobs.CatchUp
		most   int
		want   int // of the missed times, the latest
	}{{jobs.CatchUpSkip, 0, 0}, {jobs.CatchUpLatest, 0, 1}, {jobs.CatchUpAll, 0, 14}, {jobs.CatchUpAll, 5, 5}}
	onRigs(t, func(r *rig) {
		r.handle(func(context.Context, *jobs.Job[note]) (string, error) { return "", nil }, nil)
		for _, season := range seasons {
			for _, p := range policies {
				name := fmt.Sprint(season.name, "-", p.policy, "-", p.most)
				clock := season.asleep
				queue := jobs.New(r.store, r.registry, &jobs.Options{Now: func() time.Time { return clock }}).ForTenant(name)
				schedules := jobs.NewSchedules(r.store, queue, &jobs.SchedulesOptions{Parse: cronjobs.Parse})
				plan := jobs.Plan{Spec: "30 2 * * *", TimeZone: "Europe/Berlin", CatchUp: p.policy, MaxCatchUp: p.most}
				if _, err := schedules.Put(r.Context(), "s", plan, note{}); err != nil {
					r.Fatal(err)
				}
				clock = clock.Add(14 * 24 * time.Hour)
				atOnce(3, func(int) {
					if err := schedules.FireDue(r.Context()); err != nil {
						r.Errorf("%s: FireDue = %v", name, err)
					}
				})
				all, err := queue.List(r.Context(), jobs.ListQuery{Limit: 100})
				if err != nil {
					r.Fatal(err)
				}
				var got []time.Time
				for _, job := range all {
					got = append(got, job.RunAt)
				}
				slices.SortFunc(got, time.Time.Compare)
				if want := season.missed[len(season.missed)-p.want:]; !slices.EqualFunc(got, want, time.Time.Equal) {
					r.Errorf("%s: fired for %v, want %v", name, got, want)
				}
				tomorrow := season.missed[len(season.missed)-1].AddDate(0, 0, 1)
				if s, err := schedules.Get(r.Context(), "s"); err != nil || !s.NextAt.Equal(tomorrow) {
					r.Errorf("%s: the next time is %v, %v; want %v", name, s.NextAt, err, tomorrow)
				}
			}
		}
	})
}
