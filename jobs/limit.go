package jobs

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"time"
)

// QueueSettings say how a queue is worked off, by all processes together. Zero fields
// do not restrict.
type QueueSettings struct {
	// Queue is the queue's name.
	Queue string
	// Paused keeps its jobs from starting; see [Queues.Pause].
	Paused bool
	// MaxRunning bounds the jobs of the queue that run at once, as the store sees them: one
	// that was cancelled or given up counts no more, though its handler may have yet to
	// notice, and so it is with the bounds that follow.
	MaxRunning int
	// MaxPerTenant bounds those of each tenant.
	MaxPerTenant int
	// MaxPerKey bounds those of each tenant with the same limit key; see
	// [EnqueueOptions.LimitKey].
	MaxPerKey int
	// Rate bounds how many jobs of the queue start.
	Rate Rate
	// RatePerKey bounds how many jobs of each tenant with the same limit key start.
	RatePerKey Rate
	// Weights are the shares of tenants where there is more work than places, in
	// relation to each other, 1 to 100. Default: 1.
	Weights map[string]int
}

// Rate is how many of something may happen: Count at once, and then one each time that
// the Count'th part of Per has passed (the generic cell rate algorithm). A zero Count
// does not restrict.
type Rate struct {
	// Count is 1 to 1,000,000.
	Count int
	// Per is a millisecond to 24 hours.
	Per time.Duration
}

// Allowance returns how many may happen at an instant. The theoretical arrival time
// is what After returned last, or the zero time; for stores.
func (r Rate) Allowance(arrival, now time.Time) int {
	if r.Count == 0 {
		return unlimited
	}
	ahead := max(0, arrival.Sub(now))
	if ahead >= r.Per {
		return 0
	}
	return int((r.Per - ahead) / r.step())
}

// After returns the theoretical arrival time after n have happened at an instant.
func (r Rate) After(arrival, now time.Time, n int) time.Time {
	return later(arrival, now).Add(time.Duration(n) * r.step())
}

func (r Rate) step() time.Duration { return max(1, r.Per/time.Duration(r.Count)) }

// Guarded reports whether starting a job takes more than that it is ready, for stores.
func (s *QueueSettings) Guarded() bool {
	return s.MaxRunning > 0 || s.MaxPerTenant > 0 || s.MaxPerKey > 0 || s.Rate.Count > 0 || s.RatePerKey.Count > 0 || len(s.Weights) > 0
}

// Equal reports whether two queues have the same name and settings, for stores.
func (s *QueueSettings) Equal(other QueueSettings) bool {
	a, b := *s, other
	a.Weights, b.Weights = nil, nil
	return reflect.DeepEqual(a, b) && maps.Equal(s.Weights, other.Weights)
}

// Lines returns what of the lines with ready jobs may start beside what runs, and how
// many jobs altogether, for stores. Rates are left out.
func (s *QueueSettings) Lines(ready []LineKey, running map[LineKey]int) (lines []Line, tenants map[string]TenantLoad, most int) {
	total := 0
	tenants = map[string]TenantLoad{}
	for key, n := range running {
		total += n
		load := tenants[key.Tenant]
		load.Running += n
		tenants[key.Tenant] = load
	}
	for _, key := range ready {
		load := tenants[key.Tenant]
		load.Most = left(s.MaxPerTenant, load.Running)
		load.Weight = max(1, s.Weights[key.Tenant])
		tenants[key.Tenant] = load
		line := Line{LineKey: key, Running: running[key], Most: unlimited}
		if key.Key != "" {
			line.Most = left(s.MaxPerKey, running[key])
		}
		if line.Most > 0 && load.Most > 0 {
			lines = append(lines, line)
		}
	}
	return lines, tenants, left(s.MaxRunning, total)
}

// left returns what a limit leaves; 0 is no limit.
func left(limit, used int) int {
	if limit == 0 {
		return unlimited
	}
	return max(0, limit-used)
}

func (s *QueueSettings) validate() error {
	errs := []error{checkName("/queue", s.Queue)}
	for _, f := range []struct {
		field string
		value int
	}{{"/max_running", s.MaxRunning}, {"/max_per_tenant", s.MaxPerTenant}, {"/max_per_key", s.MaxPerKey}} {
		if f.value != 0 {
			errs = append(errs, checkRange(f.field, f.value, 1_000_000))
		}
	}
	errs = append(errs, s.Rate.validate("/rate"), s.RatePerKey.validate("/rate_per_key"))
	for tenant, weight := range s.Weights {
		field := "/weights/" + pointerEscaper.Replace(tenant)
		errs = append(errs, checkOptional(field, tenant), checkRange(field, weight, 100))
	}
	return errors.Join(errs...)
}

func (r Rate) validate(field string) error {
	if r == (Rate{}) {
		return nil
	}
	err := checkRange(field+"/count", r.Count, 1_000_000)
	if r.Per < time.Millisecond || r.Per > 24*time.Hour {
		err = errors.Join(err, invalid(field+"/per_seconds", "out_of_range", "must be between a millisecond and a day"))
	}
	return err
}

// LimitStore is what a [Store] can do besides: keeping the settings of queues and
// claiming by them. A Claim of a queue with settings takes nothing while it is
// Paused and never more than its limits leave, counting the jobs that run for all
// nodes; its shares go by Weights. What holds for every method of a Store holds here
// too.
type LimitStore interface {
	// PutQueue stores the settings of a queue in the place of those that it has. They
	// hold for claims of all processes within a second.
	PutQueue(ctx context.Context, settings QueueSettings) error

	// ReplaceQueue does as PutQueue if the queue has the settings that are given as known,
	// none but its name for those of a queue without any, and else returns ErrConflict. Of
	// callers at once that know the same ones and put others, one does so.
	ReplaceQueue(ctx context.Context, known, settings QueueSettings) error

	// PauseQueue says whether a queue is paused, leaves its other settings as they are
	// whoever changes them meanwhile, and reports whether that is new.
	PauseQueue(ctx context.Context, queue string, paused bool) (changed bool, err error)

	// GetQueue returns the settings of a queue; without any but its name where none
	// were put.
	GetQueue(ctx context.Context, queue string) (QueueSettings, error)

	// ListQueues returns the settings that were put, in the order of the queues'
	// names by bytes.
	ListQueues(ctx context.Context) ([]QueueSettings, error)
}
