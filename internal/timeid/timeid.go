// Package timeid makes the integers by which rooms identify what they keep: positive,
// 64 bits, growing with time, so an index over them stays small and new rows land
// beside each other. Outside the process they are written as a prefix and 11 base62
// digits. It also tells stores in memory what instant it is, as databases tell theirs.
package timeid

import (
	"math/rand/v2"
	"sync"
	"time"
)

// An ID is 41 bits of milliseconds since 2025 and 22 bits of sequence.
const (
	digits   = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	length   = 11 // 62^11 > 2^63
	seqBits  = 22
	maxStart = 1 << (seqBits - 1)
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// Format returns the form used outside the process.
func Format(prefix string, id int64) string {
	b := make([]byte, len(prefix)+length)
	copy(b, prefix)
	n := uint64(id)
	for i := len(b) - 1; i >= len(prefix); i-- {
		b[i] = digits[n%62]
		n /= 62
	}
	return string(b)
}

// Parse reads the form that Format writes, and reports whether it is one.
func Parse(prefix, s string) (id int64, ok bool) {
	if len(s) != len(prefix)+length || s[:len(prefix)] != prefix {
		return 0, false
	}
	var n uint64
	for i := len(prefix); i < len(s); i++ {
		d := digit(s[i])
		if d > 61 || n > (1<<63-1-d)/62 {
			return 0, false
		}
		n = n*62 + d
	}
	return int64(n), true
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

// Time returns the millisecond that an ID begins with: when it was made, by the clock
// of the process that made it.
func Time(id int64) time.Time { return time.UnixMilli(id>>seqBits + epoch).UTC() }

// Source makes IDs that never repeat within a process and grow even when its clock
// steps back. A clock outside the years of an ID counts as the first or the last of
// their milliseconds. Each millisecond starts at a random place, so two processes
// rarely meet; where they do, the store reports the ID as taken and the caller asks
// for another. The zero value is ready for use.
type Source struct {
	mu   sync.Mutex
	last int64
}

// Next returns the next ID.
func (s *Source) Next(now time.Time) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	ms := min(max(now.UnixMilli()-epoch, 1), 1<<(63-seqBits)-1)
	if ms <= s.last>>seqBits {
		s.last++
	} else {
		s.last = ms<<seqBits | rand.Int64N(maxStart)
	}
	return s.last
}
