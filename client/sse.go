package client

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"time"
)

// maxEvent bounds an event, in bytes: more than a job with its result can have.
const maxEvent = 64 << 20

var errEventTooLong = errors.New("an event is too long")

// event is what a server sent.
type event struct {
	name string // "message" unless the server says
	data []byte
}

// eventReader reads server-sent events as section 9.2 of the HTML standard interprets
// them.
type eventReader struct {
	r     *bufio.Reader
	limit int // the bytes of an event
	begun bool
	cr    bool // the last line ended with CR, so an LF belongs to it

	lastID string        // the last event ID, which outlives the event
	id     string        // what lastID becomes with the next event
	retry  time.Duration // how soon to reconnect; 0 if the server did not say
	// heard is called for each line, also comments.
	heard func()
}

func newEventReader(r io.Reader, lastID string, heard func()) *eventReader {
	return &eventReader{r: bufio.NewReader(r), limit: maxEvent, lastID: lastID, id: lastID, heard: heard}
}

// next returns the next event that has data. It returns [io.EOF] at the end, where an
// event without its empty line is dropped.
func (e *eventReader) next() (event, error) {
	var ev event
	for size := 0; ; {
		line, err := e.line()
		if err != nil {
			return event{}, err
		}
		e.heard()
		if size += len(line); size > e.limit {
			return event{}, errEventTooLong
		}
		if len(line) > 0 {
			e.field(&ev, line)
			continue
		}
		e.lastID = e.id
		if ev.data == nil {
			ev, size = event{}, 0
			continue
		}
		ev.data = ev.data[:len(ev.data)-1] // the line end of its last line
		if ev.name == "" {
			ev.name = "message"
		}
		return ev, nil
	}
}

// field takes a line that is not empty.
func (e *eventReader) field(ev *event, line []byte) {
	name, value, _ := bytes.Cut(line, []byte(":")) // of a comment the name is empty
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		ev.name = string(value)
	case "data":
		ev.data = append(append(ev.data, value...), '\n')
	case "id":
		if !bytes.Contains(value, []byte{0}) {
			e.id = string(value)
		}
	case "retry":
		if ms, err := strconv.ParseUint(string(value), 10, 31); err == nil {
			e.retry = time.Duration(ms) * time.Millisecond
		}
	}
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// line returns the next line without its end, which is CRLF, LF or CR. A line is
// returned as soon as its CR has come.
func (e *eventReader) line() ([]byte, error) {
	var line []byte
	for {
		c, err := e.r.ReadByte()
		if err != nil {
			return nil, err // a line without an end does not count
		}
		afterCR := e.cr
		e.cr = c == '\r'
		switch {
		case c == '\n' && afterCR:
			continue
		case c == '\n' || c == '\r':
			if !e.begun {
				e.begun = true
				line = bytes.TrimPrefix(line, byteOrderMark)
			}
			return bytes.ToValidUTF8(line, []byte("\uFFFD")), nil
		}
		if len(line) == e.limit {
			return nil, errEventTooLong
		}
		line = append(line, c)
	}
}
