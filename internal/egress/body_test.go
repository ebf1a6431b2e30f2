package egress_test

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/levqor/sdk/internal/egress"
)

func TestReadBody(t *testing.T) {
	for _, c := range []struct {
		name      string
		n         int64
		want      string
		truncated bool
	}{
		{"a body below the limit is whole", 6, "hello", false},
		{"a body at the limit is whole", 5, "hello", false},
		{"a body above the limit is cut", 4, "hell", true},
		{"a limit of 0 reads nothing", 0, "", true},
		{"a negative limit reads nothing", -1, "", true},
		{"the largest limit does not overflow", math.MaxInt64, "hello", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, truncated, err := egress.ReadBody(iotest.OneByteReader(strings.NewReader("hello")), c.n)
			if err != nil || string(got) != c.want || truncated != c.truncated {
				t.Errorf("ReadBody = %q, %v, %v, want %q, %v, nil", got, truncated, err, c.want, c.truncated)
			}
		})
	}
	t.Run("an empty body at a limit of 0 is whole", func(t *testing.T) {
		got, truncated, err := egress.ReadBody(strings.NewReader(""), 0)
		if err != nil || len(got) != 0 || truncated {
			t.Errorf("ReadBody = %q, %v, %v, want empty, false, nil", got, truncated, err)
		}
	})
	t.Run("an endless body is read only to one byte beyond the limit", func(t *testing.T) {
		r := &io.LimitedReader{R: zeros{}, N: 1 << 30}
		got, truncated, err := egress.ReadBody(r, 1000)
		if err != nil || len(got) != 1000 || !truncated {
			t.Errorf("ReadBody = %d bytes, %v, %v, want 1000, true, nil", len(got), truncated, err)
		}
		if read := 1<<30 - r.N; read != 1001 {
			t.Errorf("read %d bytes, want 1001", read)
		}
	})
}

func TestReadBodyErrors(t *testing.T) {
	for _, n := range []int64{5, 9} {
		t.Run("an error keeps its cause and the bytes before it", func(t *testing.T) {
			cause := errors.New("cause")
			r := io.MultiReader(strings.NewReader("hello"), iotest.ErrReader(cause))
			got, _, err := egress.ReadBody(r, n)
			if !errors.Is(err, cause) || string(got) != "hello" {
				t.Errorf("ReadBody(%d) = %q, %v, want hello and the cause", n, got, err)
			}
		})
	}
	for cause, want := range map[error]string{context.Canceled: unreachable, context.DeadlineExceeded: late} {
		t.Run("a read ended by "+cause.Error()+" is not the target's fault", func(t *testing.T) {
			_, _, err := egress.ReadBody(iotest.ErrReader(cause), 9)
			if got := egress.Public(err); !errors.Is(err, cause) || got != want {
				t.Errorf("ReadBody = %v, reads %q, want %v and %q", err, got, cause, want)
			}
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
