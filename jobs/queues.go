package jobs

import (
	"context"
	"errors"
	"fmt"
)

// Queues are the settings of the queues of a store. They hold for all tenants, so
// only the operator of a service may change them.
type Queues struct {
	store    LimitStore
	registry *Registry
	check    func(before QueueSettings) error // what Put asks first; nil for nothing
}

// NewQueues returns the settings that a store keeps.
func NewQueues(store LimitStore) *Queues { return &Queues{store: store, registry: NewRegistry(nil)} }

// ForRegistry returns the same settings, whose changes are told to the subscribers of
// a registry and to its workers, who look at once for what may start now.
func (q *Queues) ForRegistry(registry *Registry) *Queues {
	c := *q
	c.registry = registry
	return &c
}

// OnlyIf returns the same settings, of which Put replaces only those for which check
// returns nil, and else returns its error. Nobody changes them between the check and the
// change, so check is called again where somebody did. Put gives up with an ErrConflict
// where that was so a hundred times.
func (q *Queues) OnlyIf(check func(before QueueSettings) error) *Queues {
	c := *q
	c.check = check
	return &c
}

// Put stores the settings of a queue in the place of those that it has. It returns an
// ErrInvalid that names each wrong field.
func (q *Queues) Put(ctx context.Context, settings QueueSettings) error {
	err := settings.validate()
	switch {
	case err != nil:
	case q.check != nil:
		err = q.replace(ctx, settings)
	default:
		err = q.store.PutQueue(ctx, settings)
	}
	if err != nil {
		return fmt.Errorf("jobs: put queue: %w", err)
	}
	q.tell(EventQueueChanged, settings.Queue)
	return nil
}

// replace puts the settings of a queue in the place of those that were checked.
func (q *Queues) replace(ctx context.Context, settings QueueSettings) error {
	for range maxTries {
		before, err := q.store.GetQueue(ctx, settings.Queue)
		if err != nil {
			return err
		}
		if err := q.check(before); err != nil {
			return err
		}
		if err := q.store.ReplaceQueue(ctx, before, settings); !errors.Is(err, ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errMoved, ErrConflict)
}

func (q *Queues) tell(event EventType, queue string) {
	q.registry.events.queue(event, queue)
	if event != EventQueuePaused {
		q.registry.Wake(queue)
	}
}

// Get returns the settings of a queue, without any but its name where none were put.
func (q *Queues) Get(ctx context.Context, queue string) (QueueSettings, error) {
	settings, err := q.store.GetQueue(ctx, queue)
	if err != nil {
		return QueueSettings{}, fmt.Errorf("jobs: get queue: %w", err)
	}
	return settings, nil
}

// List returns the settings that were put, ordered by the queues' names.
func (q *Queues) List(ctx context.Context) ([]QueueSettings, error) {
	all, err := q.store.ListQueues(ctx)
	if err != nil {
		return nil, fmt.Errorf("jobs: list queues: %w", err)
	}
	return all, nil
}

// Pause keeps the jobs of a queue from starting, in all processes. Those that run go on,
// and so do those that workers have claimed ahead: what they start within 50 ms, at most
// 2,000 each.
func (q *Queues) Pause(ctx context.Context, queue string) error {
	return q.pause(ctx, "pause", queue, true)
}

// Resume lets the jobs of a paused queue start again.
func (q *Queues) Resume(ctx context.Context, queue string) error {
	return q.pause(ctx, "resume", queue, false)
}

func (q *Queues) pause(ctx context.Context, op, queue string, paused bool) error {
	settings := QueueSettings{Queue: queue}
	err := settings.validate()
	changed := false
	if err == nil {
		changed, err = q.store.PauseQueue(ctx, queue, paused)
	}
	switch {
	case err != nil:
		return fmt.Errorf("jobs: %s queue: %w", op, err)
	case changed && paused:
		q.tell(EventQueuePaused, queue)
	case changed:
		q.tell(EventQueueResumed, queue)
	}
	return nil
}
