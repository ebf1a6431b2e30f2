package timeid_test

import (
	"testing"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

func TestAnInstantIsAsDatabasesKeepIt(t *testing.T) {
	zone := time.FixedZone("", 3600)
	got := timeid.Instant(time.Date(2031, 5, 6, 8, 8, 9, 123456789, zone))
	if want := time.Date(2031, 5, 6, 7, 8, 9, 123456000, time.UTC); got != want {
		t.Errorf("Instant = %v, want %v", got, want)
	}
	before := time.Now().Truncate(time.Microsecond)
	if got := timeid.Instant(time.Time{}); got.Before(before) || got.After(time.Now()) || got.Location() != time.UTC {
		t.Errorf("Instant of the zero time = %v, want now, which was %v", got, before)
	}
}
