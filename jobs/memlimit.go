package jobs

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"
)

// memLimits are the settings of queues of a [MemStore].
type memLimits struct {
	queues   map[string]QueueSettings
	arrivals map[rated]time.Time
}

// rated is what a rate counts for: a queue, or a line of it.
type rated struct {
	queue string
	line  LineKey
}

var _ LimitStore = (*MemStore)(nil)

// PutQueue implements [LimitStore].
func (s *MemStore) PutQueue(ctx context.Context, settings QueueSettings) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	settings.Weights = maps.Clone(settings.Weights)
	set(s.memState, s.queues, settings.Queue, settings)
	return nil
}

// ReplaceQueue implements [LimitStore].
func (s *MemStore) ReplaceQueue(ctx context.Context, known, settings QueueSettings) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	defer s.lock()()
	before := s.queues[settings.Queue]
	before.Queue = settings.Queue
	if !before.Equal(known) {
		return ErrConflict
	}
	settings.Weights = maps.Clone(settings.Weights)
	set(s.memState, s.queues, settings.Queue, settings)
	return nil
}

// PauseQueue implements [LimitStore].
func (s *MemStore) PauseQueue(ctx context.Context, queue string, paused bool) (changed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	defer s.lock()()
	settings := s.queues[queue]
	if settings.Paused == paused {
		return false, nil
	}
	settings.Queue, settings.Paused = queue, paused
	set(s.memState, s.queues, queue, settings)
	return true, nil
}

// GetQueue implements [LimitStore].
func (s *MemStore) GetQueue(ctx context.Context, queue string) (QueueSettings, error) {
	if err := ctx.Err(); err != nil {
		return QueueSettings{}, err
	}
	defer s.lock()()
	settings := s.queues[queue]
	settings.Queue, settings.Weights = queue, maps.Clone(settings.Weights)
	return settings, nil
}

// ListQueues implements [LimitStore].
func (s *MemStore) ListQueues(ctx context.Context) ([]QueueSettings, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	defer s.lock()()
	all := slices.SortedFunc(maps.Values(s.queues), func(a, b QueueSettings) int { return strings.Compare(a.Queue, b.Queue) })
	for i := range all {
		all[i].Weights = maps.Clone(all[i].Weights)
	}
	return all, nil
}

// pick returns those of a queue's ready jobs that may start.
func (s *MemStore) pick(queue string, ready []Info, limit int, now time.Time) []Info {
	settings := s.queues[queue]
	if settings.Paused {
		return nil
	}
	running := map[LineKey]int{}
	for _, job := range s.jobs {
		if job.State == Running && job.Queue == queue {
			running[job.Line()]++
		}
	}
	picked := s.turns.pick(queue, ready, limit, func(keys []LineKey) ([]Line, map[string]TenantLoad, int) {
		lines, loads, most := settings.Lines(keys, running)
		for i, line := range lines {
			if line.Key != "" {
				lines[i].Most = min(line.Most, settings.RatePerKey.Allowance(s.arrivals[rated{queue, line.LineKey}], now))
			}
		}
		return lines, loads, min(most, settings.Rate.Allowance(s.arrivals[rated{queue: queue}], now))
	})
	for _, job := range picked {
		s.started(rated{queue: queue}, settings.Rate, now)
		if job.LimitKey != "" {
			s.started(rated{queue, job.Line()}, settings.RatePerKey, now)
		}
	}
	return picked
}

// started takes note of a start where a rate counts them.
func (s *MemStore) started(what rated, rate Rate, now time.Time) {
	if rate.Count > 0 {
		set(s.memState, s.arrivals, what, rate.After(s.arrivals[what], now, 1))
	}
}
