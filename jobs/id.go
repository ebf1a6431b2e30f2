package jobs

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// ID identifies a job. It is a positive 64-bit integer that grows with time
// (41 bits of milliseconds since 2025, 22 bits of sequence), so an index over
// it stays small and new rows land beside each other. Outside the process it
// is written as "job_" and 11 base62 digits.
type ID int64

const (
	idPrefix   = "job_"
	idDigits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	idLength   = 11 // 62^11 > 2^63
	idSeqBits  = 22
	idMaxStart = 1 << (idSeqBits - 1)
)

var idEpoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// String returns the form used outside the process.
func (id ID) String() string {
	var b [len(idPrefix) + idLength]byte
	copy(b[:], idPrefix)
	n := uint64(id)
	for i := len(b) - 1; i >= len(idPrefix); i-- {
		b[i] = idDigits[n%62]
		n /= 62
	}
	return string(b[:])
}

// Time returns the millisecond that the ID begins with: when it was made, by the clock
// of the process that made it. That decides nothing; see [Info.CreatedAt].
func (id ID) Time() time.Time { return time.UnixMilli(int64(id)>>idSeqBits + idEpoch).UTC() }

// ParseID reads the form that String writes. Anything else is an ErrNotFound,
// since no job has such an ID.
func ParseID(s string) (ID, error) {
	if len(s) != len(idPrefix)+idLength || s[:len(idPrefix)] != idPrefix {
		return 0, fmt.Errorf("jobs: job ID: %w", ErrNotFound)
	}
	var n uint64
	for i := len(idPrefix); i < len(s); i++ {
		d := digit(s[i])
		if d > 61 || n > (1<<63-1-d)/62 {
			return 0, fmt.Errorf("jobs: job ID: %w", ErrNotFound)
		}
		n = n*62 + d
	}
	return ID(n), nil
}

func digit(c byte) uint64 {
	switch {
	case c >= '0' && c <= '9':
		return uint64(c - '0')
	case c >= 'A' && c <= 'Z':
		return uint64(c-'A') + 10
	case c >= 'a' && c <= 'z':
		return uint64(c-'a') + 36
	default:
		return 62
	}
}

// ids makes IDs that never repeat within a process and grow even when its clock
// steps back. A clock outside the years of an ID counts as the first or the last
// of their milliseconds. Each millisecond starts at a random place, so two processes rarely
// meet; where they do, the store reports the ID as taken and the queue asks for
// another.
type ids struct {
	mu   sync.Mutex
	last int64
}

func (s *ids) next(now time.Time) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := min(max(now.UnixMilli()-idEpoch, 1), 1<<(63-idSeqBits)-1)
	if ms <= s.last>>idSeqBits {
		s.last++
	} else {
		s.last = ms<<idSeqBits | rand.Int64N(idMaxStart)
	}
	return ID(s.last)
}
