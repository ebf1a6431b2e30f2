package timeid

import "time"

// Instant returns the instant that a call of a store in memory works with, as databases
// would keep it: now, or for the zero time the clock of this process.
func Instant(now time.Time) time.Time {
	if now.IsZero() {
		now = time.Now() //nolint:forbidigo // the clock of stores in memory
	}
	return now.UTC().Truncate(time.Microsecond)
}
