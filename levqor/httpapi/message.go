package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// A caller that reads nothing for so long is left.
	sendTimeout = 10 * time.Second
	// Callers whose stream was cut off should come back after that.
	reconnectAfter = 2 * time.Second
)

// message is an event of a stream, see section 9.2 of the HTML standard.
type message struct {
	event string
	id    string // where to go on after it; empty for where the one before says
	data  any
}

// eventWriter writes messages to a caller. Its methods report whether the caller may
// get more.
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

// begin frees the answer from the time limits of the server, which are for answers
// that end by themselves, and begins it.
func (e eventWriter) begin(req streamed) bool {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	if req.ProtoMajor == 1 {
		h.Set("Connection", "close") // its deadlines are not those of the server any more
	}
	if err := e.rc.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	e.w.WriteHeader(http.StatusOK)
	return e.write(fmt.Appendf(nil, "retry: %d\n\n", reconnectAfter.Milliseconds()))
}

// message writes a message. JSON text has no line ends, so one line takes it.
func (e eventWriter) message(m message) bool {
	data, err := json.Marshal(m.data)
	if err != nil {
		panic(err) // wire types are JSON
	}
	var b bytes.Buffer
	if m.id != "" {
		fmt.Fprintf(&b, "id: %s\n", m.id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", m.event, data)
	return e.write(b.Bytes())
}

func (e eventWriter) write(b []byte) bool {
	deadline := time.Now().Add(sendTimeout) //nolint:forbidigo // of a connection
	if err := e.rc.SetWriteDeadline(deadline); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return false
	}
	_, err := e.w.Write(b)
	return err == nil && e.rc.Flush() == nil
}
