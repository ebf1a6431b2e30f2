package timeid_test

import (
	"math"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

func TestWhatIsFormattedIsParsed(t *testing.T) {
	for _, id := range []int64{0, 1, 61, 62, 1 << 40, math.MaxInt64} {
		text := timeid.Format("x_", id)
		if got, ok := timeid.Parse("x_", text); !ok || got != id || len(text) != 13 {
			t.Errorf("Parse(%q) = %d, %v; want %d", text, got, ok, id)
		}
	}
	for _, text := range []string{"", "x_", "y_00000000001", "x_0000000001", "x_000000000001", "x_0000000000-", "x_zzzzzzzzzzz", "x_AzL8n0Y58m8"} {
		if id, ok := timeid.Parse("x_", text); ok {
			t.Errorf("Parse(%q) = %d, want none", text, id)
		}
	}
}

func TestIDsGrowAndBeginWithTheirTime(t *testing.T) {
	var source timeid.Source
	now := time.Date(2031, 5, 6, 7, 8, 9, 123000000, time.UTC)
	first := source.Next(now)
	if !timeid.Time(first).Equal(now) {
		t.Errorf("Time = %v, want %v", timeid.Time(first), now)
	}
	last := first
	for _, at := range []time.Time{now, now.Add(-time.Hour), {}, now.Add(time.Second), now.AddDate(1000, 0, 0)} {
		id := source.Next(at)
		if id <= last {
			t.Errorf("Next(%v) = %d after %d", at, id, last)
		}
		last = id
	}
}
