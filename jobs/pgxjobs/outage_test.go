package pgxjobs_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/levqor/sdk/internal/dbtest"
	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/pgxjobs"
)

// The server cuts the connections of all signals again and again.
func TestSignalsOutliveCutConnections(t *testing.T) {
	const cuts = 8
	address := dbtest.Postgres(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	name := "signals_of_" + u.Query().Get("search_path")
	cut := address + "&application_name=" + name
	heard := &watched{Signals: signals(t, cut, nil)}
	a, b := newProcess(t, address, signals(t, cut, nil)), newProcess(t, address, heard)
	a.sends()
	b.work(patient)
	idle(t, heard, b)
	admin := dbtest.Open(t, address)
	connections := 0
	for range cuts {
		began := heard.began.Load()
		var n int
		err := admin.NewRaw("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = ?", name).Scan(t.Context(), &n)
		if err != nil {
			t.Fatal(err)
		}
		connections += n
		a.enqueue() // while nobody listens, or just before
		if wait := b.next(); wait > 5*time.Second {
			t.Errorf("a job waited for %s", wait)
		}
		until(t, "listening again", func() bool { return heard.began.Load() > began })
		a.enqueue()
		if wait := b.next(); wait > 5*time.Second {
			t.Errorf("a job waited for %s after the worker listened again", wait)
		}
	}
	if connections < cuts {
		t.Errorf("%d connections were cut in %d goes", connections, cuts)
	}
	if !b.log.has("signals are not heard") {
		t.Error("the worker logged nothing")
	}
}

// A proxy that stops forwarding says nothing: jobs are found by looking meanwhile.
func TestSignalsNoticeABlackHole(t *testing.T) {
	address := dbtest.Postgres(t)
	hole := newProxy(t, address)
	opts := &pgxjobs.Options{Timeout: 300 * time.Millisecond}
	heard := &watched{Signals: signals(t, hole.url, opts)}
	a, b := newProcess(t, address, signals(t, hole.url, opts)), newProcess(t, address, heard)
	a.sends()
	b.work(jobs.WorkerOptions{Poll: 3 * time.Second, Lease: 4 * time.Second})
	idle(t, heard, b)
	a.enqueue()
	if wait := b.next(); wait > time.Second {
		t.Errorf("a job waited for %s before the hole", wait)
	}

	hole.open.Store(false)
	a.enqueue()
	if wait := b.next(); wait > 10*time.Second {
		t.Errorf("a job waited for %s in the hole", wait)
	}
	until(t, "noticing", func() bool { return b.log.has("signals are not heard") && a.log.has("signals were not sent") })
	a.enqueue()
	b.next()

	began := heard.began.Load()
	hole.open.Store(true)
	until(t, "listening again", func() bool { return heard.began.Load() > began })
	soon := 0
	for range 5 {
		a.enqueue()
		if b.next() < time.Second {
			soon++
		}
	}
	if soon < 4 { // the sender may still rest after its failures
		t.Errorf("only %d of 5 jobs were signalled after the hole", soon)
	}
}

// proxy forwards TCP connections while it is open, and else swallows what comes.
type proxy struct {
	url  string
	open atomic.Bool
}

func newProxy(t *testing.T, address string) *proxy {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	server := u.Host
	if u.Port() == "" {
		server = net.JoinHostPort(u.Hostname(), "5432")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	p.open.Store(true)
	var conns sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); listener.Close(); conns.Wait() })
	conns.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			context.AfterFunc(ctx, func() { client.Close(); upstream.Close() })
			conns.Go(func() { p.copy(upstream, client) })
			conns.Go(func() { p.copy(client, upstream) })
		}
	})
	u.Host = listener.Addr().String()
	p.url = u.String()
	return p
}

func (p *proxy) copy(to, from net.Conn) {
	buf := make([]byte, 4096)
	swallowed := false
	for {
		n, err := from.Read(buf)
		if swallowed = swallowed || !p.open.Load(); !swallowed && n > 0 {
			_, _ = to.Write(buf[:n])
		}
		if err != nil {
			if errors.Is(err, io.EOF) && !swallowed {
				to.Close()
			}
			return
		}
	}
}

// Whatever is wrong with the signals, jobs are enqueued, run and cancelled.
func TestSignalsNeverMakeAnEnqueueFail(t *testing.T) {
	address := dbtest.Postgres(t)
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	refused := *u
	refused.Host = "127.0.0.1:1"
	stranger := *u
	stranger.User = url.User("levqor_nobody")
	lost := *u
	lost.RawQuery = "sslmode=disable&search_path=levqor_no_such_schema"
	for name, u := range map[string]url.URL{"connection refused": refused, "no such role": stranger, "no such schema": lost} {
		t.Run(name, func(t *testing.T) {
			b := newProcess(t, dbtest.Postgres(t), signals(t, u.String(), nil))
			b.work(jobs.WorkerOptions{Poll: 50 * time.Millisecond})
			b.enqueue()
			b.next()
			until(t, "logging", func() bool { return b.log.has("signals were not sent") && b.log.has("signals are not heard") })
		})
	}
}
