package cronjobs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests need the same zones everywhere

	"github.com/levqor/sdk/jobs/cronjobs"
)

func zone(tb testing.TB, name string) *time.Location {
	tb.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		tb.Fatal(err)
	}
	return z
}

func TestTimesFollowTheClockOfTheZone(t *testing.T) {
	tests := []struct {
		name, spec, zone, after string
		want                    string // separated by spaces
	}{
		{"weekdays", "30 9 * * MON-FRI", "Europe/Berlin", "2026-11-27T12:00:00Z", "2026-11-30T08:30:00Z 2026-12-01T08:30:00Z"},
		{"seconds come first where there are six fields", "15 30 9 * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T09:30:15Z"},
		{"a descriptor", "@monthly", "UTC", "2026-01-15T00:00:00Z", "2026-02-01T00:00:00Z"},
		{"the instant itself is not after itself", "0 9 * * *", "UTC", "2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z"},
		{"either day where both are restricted", "0 0 13 * FRI", "UTC", "2026-02-10T00:00:00Z", "2026-02-13T00:00:00Z 2026-02-20T00:00:00Z"},
		{"29 February", "0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"},
		{"a time in the gap is at its end", "30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-29T01:00:00Z 2026-03-30T00:30:00Z"},
		{"several times in the gap are one", "*/20 2,3 * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:00:00Z 2026-03-29T01:20:00Z"},
		{"the end of the gap in the west", "30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", "2026-03-08T07:00:00Z 2026-03-09T06:30:00Z"},
		{"a repeated time is the first one", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z 2026-10-26T01:30:00Z"},
		{"a repeated hour is not repeated", "0,30 2,3 * * *", "Europe/Berlin", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z 2026-10-25T02:00:00Z"},
		{"within the second hour", "*/10 * * * *", "Europe/Berlin", "2026-10-25T01:05:00Z", "2026-10-25T02:00:00Z"},
		{"a change of half an hour, forward", "15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00:00Z", "2026-10-03T15:30:00Z 2026-10-04T15:15:00Z"},
		{"a change of half an hour, back", "45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", "2026-04-04T14:45:00Z 2026-04-05T15:15:00Z"},
		{"a day that was left out", "0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-30T10:00:00Z 2012-12-29T22:00:00Z"},
		{"midnight that does not exist", "0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T03:00:00Z 2018-11-05T02:00:00Z"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			table, err := cronjobs.Parse(tt.spec, zone(t, tt.zone))
			if err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339, tt.after)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for range strings.FieldsSeq(tt.want) {
				at = table.Next(at)
				got = append(got, at.UTC().Format(time.RFC3339))
			}
			if strings.Join(got, " ") != tt.want {
				t.Errorf("%s in %s after %s: %v, want %s", tt.spec, tt.zone, tt.after, got, tt.want)
			}
		})
	}
}

// Each day has its time, in every zone with changes and whatever the time.
func TestADailyTimeComesOnceADay(t *testing.T) {
	for _, name := range []string{"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "America/Sao_Paulo", "Asia/Tehran", "Pacific/Chatham"} {
		for minute := 0; minute < 24*60; minute += 30 {
			table, err := cronjobs.Parse(fmt.Sprintf("%d %d * * *", minute%60, minute/60), zone(t, name))
			if err != nil {
				t.Fatal(err)
			}
			at, n := time.Date(2018, 1, 1, 0, 0, 0, 0, zone(t, name)).Add(-time.Second), 0
			end := time.Date(2019, 1, 1, 0, 0, 0, 0, zone(t, name)).Add(-time.Second)
			for {
				next := table.Next(at)
				if !next.After(at) {
					t.Fatalf("%s: %v comes after %v", name, next, at)
				}
				if at = next; at.After(end) {
					break
				}
				n++
			}
			if n != 365 {
				t.Errorf("%s %02d:%02d came %d times in 2018", name, minute/60, minute%60, n)
			}
		}
	}
}

func TestWhatIsNotCronIsRefused(t *testing.T) {
	for _, spec := range []string{"", "x", "* * * *", "60 * * * *", "* 24 * * *", "*/0 * * * *", "5-1 * * * *", "TZ=UTC 0 0 * * *", "CRON_TZ=UTC * * * * *", "TZ=", "@every 1h", "@reboot"} {
		if table, err := cronjobs.Parse(spec, time.UTC); err == nil {
			t.Errorf("Parse(%q) = %v, want an error", spec, table)
		}
	}
}

func TestWhatNeverHappensHasNoNext(t *testing.T) {
	table, err := cronjobs.Parse("0 0 30 2 *", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	if next := table.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)); !next.IsZero() {
		t.Errorf("30 February is %v", next)
	}
}

func ExampleParse() {
	table, err := cronjobs.Parse("30 2 * * *", time.UTC)
	fmt.Println(table.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), err)
	// Output: 2026-01-01 02:30:00 +0000 UTC <nil>
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"30 9 * * MON-FRI", "@daily", "*/5 0-23/2 1,15 * ?", "59 59 23 31 12 7", "0 0 30 2 *"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, spec string) {
		table, err := cronjobs.Parse(spec, time.UTC)
		if err != nil {
			return
		}
		at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if next := table.Next(at); !next.IsZero() && !next.After(at) {
			t.Errorf("%q: %v comes after %v", spec, next, at)
		}
	})
}
