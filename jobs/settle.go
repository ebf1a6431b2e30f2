package jobs

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// settleBatch bounds the outcomes recorded by one call of the store.
const settleBatch = 1000

// settle records outcomes until all are recorded. It takes all that have come in
// while the store was busy with the last batch, so a single outcome is recorded
// at once and a flood in large batches, without any timer. While it records a full
// one, a second goroutine records what waits behind that. It returns an error if ctx
// ends before.
func (r *run) settle(ctx context.Context) error {
	more, beside := make(chan struct{}, 1), make(chan error, 1)
	go func() { beside <- r.settleBeside(ctx, more) }()
	err := r.settleAll(ctx, more)
	close(more)
	other := <-beside
	if err = cmp.Or(err, other); err != nil {
		return fmt.Errorf("jobs: settle: %w", err)
	}
	return nil
}

// settleAll records outcomes until no further ones will come, and tells more of each full
// batch.
func (r *run) settleAll(ctx context.Context, more chan<- struct{}) error {
	var batch []Outcome // the same memory each time
	for {
		if batch = r.gather(batch[:0]); len(batch) == 0 {
			return nil
		}
		if len(batch) == settleBatch {
			select {
			case more <- struct{}{}:
			default:
			}
		}
		if err := r.record(ctx, batch); err != nil {
			return err
		}
		clear(batch) // which may hold large results
	}
}

// settleBeside records a batch whenever it is told that there may be more than settleAll
// took.
func (r *run) settleBeside(ctx context.Context, more <-chan struct{}) error {
	var batch []Outcome
	for range more {
		if batch = r.collect(batch[:0]); len(batch) == 0 {
			continue
		}
		if err := r.record(ctx, batch); err != nil {
			return err
		}
		clear(batch)
	}
	return nil
}

// gather waits for an outcome and appends it and those that wait with it to batch. It
// adds none when no further outcome will come.
func (r *run) gather(batch []Outcome) []Outcome {
	select {
	case out := <-r.outcomes:
		batch = append(batch, out)
	case <-r.complete:
	}
	return r.collect(batch)
}

// collect appends the outcomes that wait to batch, as many as it has room for.
func (r *run) collect(batch []Outcome) []Outcome {
	for len(batch) < settleBatch {
		select {
		case out := <-r.outcomes:
			batch = append(batch, out)
		default:
			return batch
		}
	}
	return batch
}

// record stores a batch, waiting for a store that is away. If the store refuses
// the batch for another reason, each outcome is tried alone, so that a bad one
// harms no other.
func (r *run) record(ctx context.Context, batch []Outcome) error {
	var results []error
	var refused error
	err := r.persist(ctx, "settle", func(ctx context.Context) (err error) {
		results, err = r.store.Settle(ctx, batch, r.now())
		if err != nil && !outage(err) {
			refused, err = err, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	if refused == nil {
		r.settled(ctx, batch, results)
		return nil
	}
	if len(batch) > 1 {
		for _, out := range batch {
			if err := r.record(ctx, []Outcome{out}); err != nil {
				return err
			}
		}
		return nil
	}
	return r.recordRefused(ctx, batch[0], refused)
}

// outage reports whether a call that failed with err may succeed later. Drivers
// report a connection that is slow to come up as the end of a context.
func outage(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled)
}

const notStorable = "the outcome could not be stored"

// recordRefused records a failure in the place of an outcome that the store does
// not accept. If it refuses that too, the attempt is forgotten, and the store
// hands the job back when it misses it among those that the node holds.
func (r *run) recordRefused(ctx context.Context, out Outcome, refused error) error {
	r.report(ctx, "settle", refused)
	a := r.attempt(out.Lease)
	if a == nil {
		return nil
	}
	if out.Error == notStorable {
		r.drop(a)
		return nil
	}
	instead := a.named(r.failure(a, refused))
	instead.Error, instead.Durable = notStorable, out.Durable
	return r.record(ctx, []Outcome{instead})
}

// settled forgets recorded attempts.
func (r *run) settled(ctx context.Context, batch []Outcome, results []error) {
	ended := map[string]bool{} // queues in which there is something to claim now
	defer func() {
		for queue := range ended {
			r.registry.wakes.wake(queue)
		}
	}()
	for i, err := range results {
		own := false // the handler completed the job itself, and the store is right
		if a := r.attempt(batch[i].Lease); a != nil {
			r.drop(a)
			own = a.settled.Load()
			r.tell(a, &batch[i], err)
			if a.lane.guarded.Load() {
				ended[a.lane.queue] = true
			}
			if batch[i].State == Ready {
				ended[a.lane.queue] = true // handed back, for others
				r.registry.signal(verbReady, a.lane.queue)
			}
		}
		if err == nil || own {
			continue
		}
		r.opts.Logger.WarnContext(ctx, "jobs: the outcome of a lost lease was refused", slog.String("job", batch[i].Lease.ID.String()))
	}
}

// flush waits until all outcomes are recorded, at most for a lease: after that
// other workers take the jobs over anyway.
func (r *run) flush(stop context.CancelFunc, settled <-chan error) error {
	close(r.complete)
	late := time.AfterFunc(r.opts.Lease, stop)
	defer late.Stop()
	return <-settled
}
