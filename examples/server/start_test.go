package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
)

// coldStart is how long a start may take on a file that is there.
const coldStart = 400 * time.Millisecond

// BenchmarkColdStart is the time from the start of the program on a SQLite file that is
// there until /readyz says yes, at the median. Run it with -benchtime 10x.
func BenchmarkColdStart(b *testing.B) {
	path, err := build()
	if err != nil {
		b.Fatal(err)
	}
	address := "127.0.0.1:" + freePort(b)
	env := append(os.Environ(), "LEVQOR_DATABASE_URL="+dbtest.SQLite(b), "LEVQOR_ADDR="+address)
	starting := func() time.Duration {
		cmd := exec.Command(path)
		cmd.Env = env
		begun := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		for time.Since(begun) < 30*time.Second {
			resp, err := http.Get("http://" + address + "/readyz")
			if err != nil {
				time.Sleep(time.Millisecond)
				continue
			}
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return time.Since(begun)
			}
		}
		b.Fatal("the server is not ready")
		return 0
	}
	starting() // makes the file
	var took []time.Duration
	for b.Loop() {
		took = append(took, starting())
	}
	slices.Sort(took)
	median := took[len(took)/2]
	b.ReportMetric(float64(median.Milliseconds()), "ms/start")
	if len(took) >= 10 && median > coldStart {
		b.Errorf("a start takes %v at the median, want at most %v", median, coldStart)
	}
}

// freePort returns a port that nobody listens on.
func freePort(tb testing.TB) string {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	return port
}
