package jobs

import (
	"bytes"
	"cmp"
	"context"
	"slices"
)

var _ SealedStore = (*MemStore)(nil)

// ListSealed implements [SealedStore].
func (s *MemStore) ListSealed(ctx context.Context, of SealedKind, after ID, limit int) (found []SealedArgs, last ID, err error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	defer s.lock()()
	var all []SealedArgs
	if of == SealedSchedules {
		for _, schedule := range s.schedules {
			all = append(all, SealedArgs{ID(schedule.ID), schedule.Kind, schedule.Args})
		}
	} else {
		for _, job := range s.jobs {
			args := job.Args
			if job.State == Completed {
				args = nil
			}
			all = append(all, SealedArgs{job.ID, job.Kind, args})
		}
	}
	all = slices.DeleteFunc(all, func(a SealedArgs) bool { return a.ID <= after })
	slices.SortFunc(all, func(a, b SealedArgs) int { return cmp.Compare(a.ID, b.ID) })
	for _, a := range all[:min(len(all), limit)] {
		last = a.ID
		if bytes.Contains(a.Args, []byte(sealedMark)) {
			a.Args = slices.Clone(a.Args)
			found = append(found, a)
		}
	}
	return found, last, nil
}

// ReplaceArgs implements [SealedStore].
func (s *MemStore) ReplaceArgs(ctx context.Context, of SealedKind, changes []ArgsChange) (replaced int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	defer s.lock()()
	for _, c := range changes {
		if of == SealedSchedules {
			schedule, ok := s.schedules[ScheduleID(c.ID)]
			if ok && bytes.Equal(schedule.Args, c.Before) {
				schedule.Args = slices.Clone(c.After)
				schedule.Version++
				set(s.memState, s.schedules, schedule.ID, schedule)
				replaced++
			}
			continue
		}
		job, ok := s.jobs[c.ID]
		if ok && bytes.Equal(job.Args, c.Before) {
			job.Args = slices.Clone(c.After)
			s.put(job)
			replaced++
		}
	}
	return replaced, nil
}
