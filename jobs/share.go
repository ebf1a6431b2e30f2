package jobs

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// PriorityStep is how long a job has to wait to overtake younger ones whose
// priority is better by one. A job's turn is RunAt plus Priority times PriorityStep:
// so no job starves, however many better ones come.
const PriorityStep = 10 * time.Minute

// Turn returns the instant by which stores order the ready jobs of one tenant.
func (j Info) Turn() time.Time { return j.RunAt.Add(time.Duration(j.Priority) * PriorityStep) }

// SortByTurn sorts jobs by their turn and then by ID, for stores.
func SortByTurn(infos []Info) {
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Or(a.Turn().Compare(b.Turn()), cmp.Compare(a.ID, b.ID)) })
}

// LineKey names a line of ready work: the jobs of one queue and tenant with the same
// limit key, or with none.
type LineKey struct {
	// Tenant owns the jobs.
	Tenant string
	// Key is their limit key; empty for the jobs without one.
	Key string
}

// Line is ready work that shares the places of a claim with others.
type Line struct {
	LineKey
	// Running is how many jobs of the line run.
	Running int
	// Most is how many more of them may start.
	Most int
}

// TenantLoad is what a tenant's lines have in common.
type TenantLoad struct {
	// Running is how many of the tenant's jobs run.
	Running int
	// Most is how many more of them may start.
	Most int
	// Weight is the tenant's share in relation to those of others.
	Weight int
}

// LineShare is how many jobs of a line a claim may take.
type LineShare struct {
	LineKey
	// Limit is the highest number of them, at least 1.
	Limit int
}

// Share gives out the places of a claim among lines, for stores: each to the tenant
// that has the least for its weight, and among its lines to the one that has the
// least; who comes first in lines wins a tie. It calls take with the shares; what take
// says that lines did not use goes to the others. A tenant that tenants lacks has
// nothing running, no limit and the weight 1.
func Share(lines []Line, tenants map[string]TenantLoad, places int, take func([]LineShare) (map[LineKey]int, error)) error {
	sharing := newSharing(lines, tenants)
	for {
		shares := sharing.next(places)
		if len(shares) == 0 {
			return nil
		}
		got, err := take(shares)
		if err != nil {
			return err
		}
		for _, share := range shares {
			places -= got[share.LineKey]
			sharing.took(share, got[share.LineKey])
		}
	}
}

// sharing is the state of one [Share].
type sharing struct {
	tenants []*tenantLines // in the order of their first lines
}

type tenantLines struct {
	TenantLoad
	lines []*sharingLine
	given int // in this round
}

type sharingLine struct {
	Line
	given int // in this round
}

const unlimited = math.MaxInt

func newSharing(lines []Line, loads map[string]TenantLoad) *sharing {
	s := &sharing{}
	byName := map[string]*tenantLines{}
	for _, line := range lines {
		t := byName[line.Tenant]
		if t == nil {
			t = &tenantLines{TenantLoad: TenantLoad{Most: unlimited, Weight: 1}}
			if load, ok := loads[line.Tenant]; ok {
				t.TenantLoad = load
			}
			byName[line.Tenant] = t
			s.tenants = append(s.tenants, t)
		}
		t.lines = append(t.lines, &sharingLine{Line: line})
	}
	return s
}

// next gives out places as if each share were used in full.
func (s *sharing) next(places int) []LineShare {
	for range places {
		tenant, line := s.least()
		if line == nil {
			break
		}
		line.given++
		tenant.given++
	}
	var shares []LineShare
	for _, t := range s.tenants {
		t.given = 0
		for _, line := range t.lines {
			if line.given > 0 {
				shares = append(shares, LineShare{line.LineKey, line.given})
			}
			line.given = 0
		}
	}
	return shares
}

// least returns who gets the next place.
func (s *sharing) least() (tenant *tenantLines, line *sharingLine) {
	for _, t := range s.tenants {
		if t.given >= t.Most || tenant != nil && (t.Running+t.given)*tenant.Weight >= (tenant.Running+tenant.given)*t.Weight {
			continue
		}
		if own := t.least(); own != nil {
			tenant, line = t, own
		}
	}
	return tenant, line
}

func (t *tenantLines) least() (line *sharingLine) {
	for _, l := range t.lines {
		if l.given < l.Most && (line == nil || l.Running+l.given < line.Running+line.given) {
			line = l
		}
	}
	return line
}

// took takes note of what a line used of its share. One that did not use all of it has
// no more.
func (s *sharing) took(share LineShare, n int) {
	for _, t := range s.tenants {
		for _, line := range t.lines {
			if line.LineKey != share.LineKey {
				continue
			}
			t.Running += n
			line.Running += n
			if t.Most != unlimited {
				t.Most -= n
			}
			if line.Most != unlimited {
				line.Most -= n
			}
			if n < share.Limit {
				line.Most = 0
			}
		}
	}
}

// Turns picks the jobs of a claim for stores that hold all of them in memory. It
// remembers for each queue which line a claim ended with, so the next one goes on
// behind it. The zero value is ready; it is not safe for concurrent use.
type Turns struct{ last map[string]LineKey }

// Pick returns those of a queue's ready jobs that a claim takes, in their order.
func (t *Turns) Pick(queue string, ready []Info, limit int) []Info {
	return t.pick(queue, ready, limit, func(keys []LineKey) ([]Line, map[string]TenantLoad, int) {
		return (&QueueSettings{}).Lines(keys, nil)
	})
}

// pick lets plan say what may start.
func (t *Turns) pick(queue string, ready []Info, limit int, plan func([]LineKey) ([]Line, map[string]TenantLoad, int)) []Info {
	SortByTurn(ready)
	waiting := map[LineKey][]Info{}
	for _, job := range ready {
		waiting[job.Line()] = append(waiting[job.Line()], job)
	}
	lines, loads, most := plan(t.next(queue, slices.SortedFunc(maps.Keys(waiting), compareLines)))
	var picked []Info
	_ = Share(lines, loads, min(limit, most), func(shares []LineShare) (map[LineKey]int, error) {
		got := map[LineKey]int{}
		for _, share := range shares {
			all := waiting[share.LineKey]
			n := min(len(all), share.Limit)
			picked, waiting[share.LineKey], got[share.LineKey] = append(picked, all[:n]...), all[n:], n
			if n > 0 {
				t.last[queue] = share.LineKey
			}
		}
		return got, nil
	})
	SortByTurn(picked)
	return picked
}

// next returns the sorted lines, beginning with the one whose turn it is.
func (t *Turns) next(queue string, lines []LineKey) []LineKey {
	if t.last == nil {
		t.last = map[string]LineKey{}
	}
	last, served := t.last[queue]
	i, found := slices.BinarySearchFunc(lines, last, compareLines)
	if found && served {
		i++
	}
	return append(slices.Clone(lines[i:]), lines[:i]...)
}

func compareLines(a, b LineKey) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Key, b.Key))
}

// Line returns the line that the job stands in.
func (j Info) Line() LineKey { return LineKey{j.Tenant, j.LimitKey} }
