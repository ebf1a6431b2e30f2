package jobs

import (
	"fmt"
	"time"

	"github.com/levqor/sdk/internal/timeid"
)

// ID identifies a job. It is a positive 64-bit integer that grows with time
// (41 bits of milliseconds since 2025, 22 bits of sequence), so an index over
// it stays small and new rows land beside each other. Outside the process it
// is written as "job_" and 11 base62 digits.
type ID int64

const idPrefix = "job_"

// String returns the form used outside the process.
func (id ID) String() string { return timeid.Format(idPrefix, int64(id)) }

// Time returns the millisecond that the ID begins with: when it was made, by the clock
// of the process that made it. That decides nothing; see [Info.CreatedAt].
func (id ID) Time() time.Time { return timeid.Time(int64(id)) }

// ParseID reads the form that String writes. Anything else is an ErrNotFound,
// since no job has such an ID.
func ParseID(s string) (ID, error) {
	id, ok := timeid.Parse(idPrefix, s)
	if !ok {
		return 0, fmt.Errorf("jobs: job ID: %w", ErrNotFound)
	}
	return ID(id), nil
}

// ids makes IDs. Where two processes make the same one, the store reports it as taken and
// the queue asks for another.
type ids struct{ timeid.Source }

func (s *ids) next(now time.Time) ID { return ID(s.Next(now)) }
