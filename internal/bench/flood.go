package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	connections = 16
	warmUp      = time.Second
)

// flood sends requests over 16 connections, each as soon as the one before is answered, and
// returns how many a second are answered with a status, and what CPU each costs the server,
// which says more on a machine that is busy with other things. It reads no more of an
// answer than it must: it shares the machine with the server.
func (p *program) flood(ctx context.Context, address string, window time.Duration, status string, next func() []byte) (figures, error) {
	var answered atomic.Int64
	var ended atomic.Bool
	errs := make([]error, connections)
	var all sync.WaitGroup
	for i := range connections {
		all.Go(func() {
			errs[i] = converse(address, status, next, &answered, &ended)
		})
	}
	wait := func(d time.Duration) error { return pause(ctx, d) }
	err := wait(warmUp)
	before, begun, idle := answered.Load(), time.Now(), p.used()
	if err == nil {
		err = wait(window)
	}
	n, took, used := answered.Load()-before, time.Since(begun), p.used()-idle
	ended.Store(true)
	all.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return figures{
		{"", float64(n) / took.Seconds(), "req/s"},
		{".cpu", used.Seconds() * 1e6 / float64(n), "µs/req"},
	}, nil
}

// converse sends requests over one connection until the flood has ended.
func converse(address, status string, next func() []byte, answered *atomic.Int64, ended *atomic.Bool) error {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for !ended.Load() {
		if _, err := conn.Write(next()); err != nil {
			return err
		}
		if err := readAnswer(answers, status); err != nil {
			return err
		}
		answered.Add(1)
	}
	return nil
}

// readAnswer reads an answer that has a length, and passes over all but its status.
func readAnswer(r *bufio.Reader, status string) error {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return err
	}
	if want := "HTTP/1.1 " + status; strings.TrimSpace(string(line)) != want {
		return fmt.Errorf("the answer is %q, want %q", line, want)
	}
	length := 0
	for {
		line, err = r.ReadSlice('\n')
		if err != nil {
			return err
		}
		if value, is := bytes.CutPrefix(line, []byte("Content-Length: ")); is {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(value)))
		}
		if len(line) <= 2 {
			_, err = r.Discard(length)
			return err
		}
	}
}

// post returns a request.
func post(address, path, headers, body string) []byte {
	return fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, address, headers, len(body), body)
}

// program is a server that runs.
type program struct{ cmd *exec.Cmd }

// launch starts a command, its words apart, and returns when a path answers.
func launch(ctx context.Context, address, path, command string, env ...string) (*program, error) {
	words := strings.Fields(command)
	p := &program{exec.CommandContext(ctx, words[0], words[1:]...)}
	p.cmd.Env = append(os.Environ(), env...)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	for {
		resp, err := http.Get("http://" + address + path)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return p, nil
			}
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			p.end()
			return nil, fmt.Errorf("%s is not ready: %w", words[0], err)
		}
	}
}

// used returns what CPU time the program has used.
func (p *program) used() time.Duration { return stat(strconv.Itoa(p.cmd.Process.Pid)).used }

// end kills the program.
func (p *program) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// freeAddress returns an address that nobody listens on.
func freeAddress() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}
