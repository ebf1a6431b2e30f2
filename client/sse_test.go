package client_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/levqor/sdk/client"
)

// The cases of section 9.2.6 of the HTML standard, and those around them.
func TestEventsAreReadAsTheStandardSays(t *testing.T) {
	tests := []struct {
		name, stream, want string
	}{
		{"lines of data are joined", "data: YHOO\ndata: +2\ndata: 10\n\n", `{message "YHOO\n+2\n10" ""}`},
		{
			"comments, IDs and an event that does not end", ": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n",
			`{message "first event" "1"} {message "second event" ""}`,
		},
		{"empty data", "data\n\ndata\ndata\n\ndata:", `{message "" ""} {message "\n" ""}`},
		{"one space is left out", "data:test\n\ndata: test\n\ndata:  test\n\n", `{message "test" ""} {message "test" ""} {message " test" ""}`},
		{"all line ends", "data: a\rdata: b\r\ndata: c\n\r\ndata: d\r\r", `{message "a\nb\nc" ""} {message "d" ""}`},
		{"a byte order mark", "\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", `{message "a" ""}`},
		{"names", "event: log\ndata: a\n\ndata: b\n\nevent: x\n\ndata: c\n\n", `{log "a" ""} {message "b" ""} {message "c" ""}`},
		{"an ID outlives its event", "id: 7\nevent: log\ndata: a\n\ndata: b\n\n", `{log "a" "7"} {message "b" "7"}`},
		{"an ID with NUL is none", "id: 7\ndata: a\n\nid: \x00\ndata: b\n\n", `{message "a" "7"} {message "b" "7"}`},
		{"an ID of an event without data", "id: 7\n\ndata: b\n\n", `{message "b" "7"}`},
		{"unknown fields", "foo: bar\nDATA: x\n data: y\ndata : z\ndata: a\n\n", `{message "a" ""}`},
		{"colons in values", "data: {\"a\": 1}\n\n", `{message "{\"a\": 1}" ""}`},
		{"bytes that are not UTF-8", "data: a\xffb\n\n", `{message "a` + "\uFFFD" + `b" ""}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all, _, _, err := client.ReadEvents(strings.NewReader(tt.stream))
			var got []string
			for _, ev := range all {
				got = append(got, fmt.Sprintf("{%s %q %q}", ev.Name, ev.Data, ev.ID))
			}
			if strings.Join(got, " ") != tt.want || !errors.Is(err, io.EOF) {
				t.Errorf("the events are %s, %v; want %s", got, err, tt.want)
			}
		})
	}
}

func TestRetryIsReadIfItIsANumber(t *testing.T) {
	for stream, want := range map[string]int64{"retry: 10\n": 10, "retry: 10\nretry: 1x\nretry: -1\nretry\nretry: 99999999999\n": 10, "retry: +5\n": 0} {
		if _, _, got, _ := client.ReadEvents(strings.NewReader(stream)); got != want {
			t.Errorf("%q gives %d, want %d", stream, got, want)
		}
	}
}

// An event that ends with CR is not held back until somebody sends another byte.
func TestAnEventIsReadAsSoonAsItHasEnded(t *testing.T) {
	r, w := io.Pipe()
	go func() {
		_, _ = io.WriteString(w, "data: a\r\r")
		_, _ = io.WriteString(w, "") // nothing follows
		<-t.Context().Done()
		_ = w.Close()
	}()
	got := make(chan client.ReadEvent, 1)
	go client.EachEvent(r, func(ev client.ReadEvent) { got <- ev })
	if ev := <-got; ev.Data != "a" {
		t.Errorf("the event is %+v", ev)
	}
}

func TestAnEndlessEventIsRefused(t *testing.T) {
	for name, stream := range map[string]io.Reader{
		"a line":   endless("data: x"),
		"an event": endless("data: x\n"),
		"comments": endless(": x\n"),
	} {
		read := &counter{r: stream}
		_, _, _, err := client.ReadEvents(read)
		if err == nil || errors.Is(err, io.EOF) || read.n > client.MaxEvent*5 {
			t.Errorf("%s: %v after %d bytes", name, err, read.n)
		}
	}
}

// endless repeats a text.
func endless(text string) io.Reader { return &repeater{text: bytes.Repeat([]byte(text), 1000)} }

type repeater struct{ text []byte }

func (r *repeater) Read(b []byte) (int, error) { return copy(b, r.text), nil }

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += n
	return n, err
}

// FuzzEvents compares the reader with one that has the whole stream before it, and with
// itself on a stream that comes byte by byte.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		"data: YHOO\ndata: +2\n\n", "id: 1\r\nevent: log\r\ndata\r\n\r\n", "\xef\xbb\xbf:\r\rretry: 10\ndata: \xff\n\n", "id: \x00\n\ndata:x\n\n", "\n\r\n\r\r\ndata",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, id, retry, err := client.ReadEvents(bytes.NewReader(raw))
		if !errors.Is(err, io.EOF) {
			t.Fatalf("%q gives %v", raw, err)
		}
		slow, slowID, slowRetry, _ := client.ReadEvents(iotest.OneByteReader(bytes.NewReader(raw)))
		if !slices.Equal(got, slow) || id != slowID || retry != slowRetry {
			t.Fatalf("%q gives %q, and byte by byte %q", raw, got, slow)
		}
		if want := wholeStream(string(raw)); !slices.Equal(got, want) {
			t.Fatalf("%q gives %q, want %q", raw, got, want)
		}
	})
}

// wholeStream reads events the simple way.
func wholeStream(s string) (all []client.ReadEvent) {
	s = strings.TrimPrefix(s, "\xef\xbb\xbf")
	s = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s)
	lines := strings.Split(s, "\n")
	name, id, data := "", "", []string(nil)
	for _, line := range lines[:len(lines)-1] {
		line = strings.ToValidUTF8(line, "\uFFFD")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "" && data != nil:
			if name == "" {
				name = "message"
			}
			all = append(all, client.ReadEvent{Name: name, Data: strings.Join(data, "\n"), ID: id})
			name, data = "", nil
		case line == "":
			name = ""
		case field == "event":
			name = value
		case field == "data":
			data = append(data, value)
		case field == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
	}
	return all
}
