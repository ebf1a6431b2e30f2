package jobs

import (
	"cmp"
	"maps"
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

// TenantShare is how many jobs of a tenant a claim may take.
type TenantShare struct {
	// Tenant owns the jobs.
	Tenant string
	// Limit is the highest number of them, at least 1.
	Limit int
}

// Share gives out the places of a claim among the tenants with ready jobs, for
// stores. It calls take with equal shares, the first tenants getting what is left
// over; what take says that tenants did not use goes to those that used all of
// theirs.
func Share(tenants []string, places int, take func([]TenantShare) (map[string]int, error)) error {
	for places > 0 && len(tenants) > 0 {
		shares := make([]TenantShare, 0, len(tenants))
		for i, tenant := range tenants {
			limit := places / len(tenants)
			if i < places%len(tenants) {
				limit++
			}
			if limit > 0 {
				shares = append(shares, TenantShare{tenant, limit})
			}
		}
		got, err := take(shares)
		if err != nil {
			return err
		}
		tenants = tenants[:0:0]
		for _, share := range shares {
			places -= got[share.Tenant]
			if got[share.Tenant] == share.Limit {
				tenants = append(tenants, share.Tenant)
			}
		}
	}
	return nil
}

// Turns picks the jobs of a claim for stores that hold all of them in memory. It
// remembers for each queue which tenant a claim ended with, so the next one goes on
// behind it. The zero value is ready; it is not safe for concurrent use.
type Turns struct{ last map[string]string }

// Pick returns those of a queue's ready jobs that a claim takes, in their order.
func (t *Turns) Pick(queue string, ready []Info, limit int) []Info {
	SortByTurn(ready)
	waiting := map[string][]Info{}
	for _, job := range ready {
		waiting[job.Tenant] = append(waiting[job.Tenant], job)
	}
	var picked []Info
	_ = Share(t.next(queue, slices.Sorted(maps.Keys(waiting)), limit), limit, func(shares []TenantShare) (map[string]int, error) {
		got := map[string]int{}
		for _, share := range shares {
			all := waiting[share.Tenant]
			n := min(len(all), share.Limit)
			picked, waiting[share.Tenant], got[share.Tenant] = append(picked, all[:n]...), all[n:], n
		}
		return got, nil
	})
	SortByTurn(picked)
	return picked
}

// next returns those of the sorted tenants whose turn it is, at most limit.
func (t *Turns) next(queue string, tenants []string, limit int) []string {
	i, found := slices.BinarySearch(tenants, t.last[queue])
	if found {
		i++
	}
	tenants = append(slices.Clone(tenants[i:]), tenants[:i]...)
	tenants = tenants[:min(len(tenants), limit)]
	if t.last == nil {
		t.last = map[string]string{}
	}
	if len(tenants) > 0 {
		t.last[queue] = tenants[len(tenants)-1]
	}
	return tenants
}
