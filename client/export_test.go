package client

import "io"

// MaxEvent bounds an event that a test reads.
const MaxEvent = 1 << 20

// ReadEvent is an event as a test sees it.
type ReadEvent struct{ Name, Data, ID string }

// EachEvent calls fn for each event until one cannot be read, and returns that error.
func EachEvent(r io.Reader, fn func(ReadEvent)) error {
	_, _, err := eachEvent(r, fn)
	return err
}

// ReadEvents returns the events until one cannot be read, with that error and what was
// learned on the way.
func ReadEvents(r io.Reader) (all []ReadEvent, lastID string, retryMS int64, err error) {
	lastID, retryMS, err = eachEvent(r, func(ev ReadEvent) { all = append(all, ev) })
	return all, lastID, retryMS, err
}

func eachEvent(r io.Reader, fn func(ReadEvent)) (lastID string, retryMS int64, err error) {
	events := newEventReader(r, "", func() {})
	events.limit = MaxEvent
	for {
		ev, err := events.next()
		if err != nil {
			return events.lastID, events.retry.Milliseconds(), err
		}
		fn(ReadEvent{ev.name, string(ev.data), events.lastID})
	}
}
