package jobs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// KeyedSealer is a [Sealer] with several keys: one seals, all of them open.
type KeyedSealer interface {
	Sealer
	// Sealed reports whether a key of the sealer has sealed a text, and whether it is
	// the one that Seal uses. It looks at the name of the key alone.
	Sealed(sealed string) (known, current bool)
}

// SealedStore is the ability of a store to show sealed secrets and to replace them. It
// serves every tenant. What holds for every method of a [Store] holds here too.
type SealedStore interface {
	// ListSealed looks at up to limit jobs or schedules whose IDs come after a given
	// one, in the order of their IDs. It returns those whose Args hold [SealedMark],
	// except Completed jobs, which no handler reads again; and the last ID that it
	// looked at, 0 if there was none.
	ListSealed(ctx context.Context, of SealedKind, after ID, limit int) (found []SealedArgs, last ID, err error)

	// ReplaceArgs puts After in the place of the Args of each job or schedule that are
	// still Before, byte for byte, and returns how many it replaced. Others it leaves
	// alone. Nothing else of a job changes, whatever its state; the Version of a
	// schedule grows by one.
	ReplaceArgs(ctx context.Context, of SealedKind, changes []ArgsChange) (replaced int, err error)
}

// SealedKind says what holds sealed secrets.
type SealedKind uint8

// What holds sealed secrets.
const (
	SealedJobs SealedKind = iota
	SealedSchedules
)

// SealedMark begins every sealed secret within stored Args.
const SealedMark = sealedMark

// SealedArgs are the stored Args of a job or a schedule.
type SealedArgs struct {
	// ID is that of the job or the schedule.
	ID ID
	// Kind is the kind of the job.
	Kind string
	// Args are as stored.
	Args []byte
}

// ArgsChange says what to put in the place of stored Args.
type ArgsChange struct {
	// ID is that of the job or the schedule.
	ID ID
	// Before are the Args that were seen, After those to store.
	Before, After []byte
}

// ResealReport says what [Registry.Reseal] has done.
type ResealReport struct {
	// Resealed is how many jobs and schedules it has sealed anew.
	Resealed int
	// Unreadable is how many hold what no key opens: sealed by a key that is gone, or
	// a text of a caller's that looks sealed. They are as they were.
	Unreadable int
}

// resealBatch bounds what is read and changed at once.
const resealBatch = 200

// Reseal seals with the current key of the registry's [Sealer], which must be a
// [KeyedSealer], what another key sealed: the secrets of all jobs that may still run or be
// retried, and of all schedules, of every tenant and of kinds that this process does not
// know as well. Afterwards they open without the other keys.
//
// Workers may run meanwhile, and a job that runs is not disturbed. Each job changes as a
// whole or not at all, so a Reseal that was interrupted is called again. What is stored by
// processes that seal with another key while it runs may stay as it is. Tell gets the
// report so far after each batch; it may be nil.
func (r *Registry) Reseal(ctx context.Context, store SealedStore, tell func(ResealReport)) (ResealReport, error) {
	var report ResealReport
	sealer, ok := r.opts.Sealer.(KeyedSealer)
	if !ok {
		return report, fmt.Errorf("jobs: reseal: %w", invalid("", "no_keyed_sealer", "the registry has no Sealer with several keys"))
	}
	if tell == nil {
		tell = func(ResealReport) {}
	}
	for _, of := range []SealedKind{SealedJobs, SealedSchedules} {
		for last := ID(0); ; {
			next, err := resealNext(ctx, store, sealer, of, last, &report)
			if err != nil {
				return report, fmt.Errorf("jobs: reseal: %w", err)
			}
			if next == 0 {
				break
			}
			tell(report)
			last = next
		}
	}
	return report, nil
}

// resealNext seals the next batch and returns where it ended, 0 if there was none. What
// others have changed since it was read is read again: a change can miss a job that moves
// to the history or back.
func resealNext(ctx context.Context, store SealedStore, sealer KeyedSealer, of SealedKind, after ID, report *ResealReport) (ID, error) {
	for range maxTries {
		found, last, err := store.ListSealed(ctx, of, after, resealBatch)
		if err != nil || last == 0 {
			return 0, err
		}
		changes, unreadable, err := resealAll(sealer, found)
		if err != nil {
			return 0, err
		}
		replaced := 0
		if len(changes) > 0 {
			replaced, err = store.ReplaceArgs(ctx, of, changes)
		}
		if err != nil {
			return 0, err
		}
		report.Resealed += replaced
		if replaced == len(changes) {
			report.Unreadable += unreadable
			return last, nil
		}
	}
	return 0, fmt.Errorf("what is sealed is changed all the time: %w", ErrConflict)
}

// resealAll returns what becomes of those whose secrets another key has sealed, and how
// many hold what no key opens.
func resealAll(sealer KeyedSealer, found []SealedArgs) (changes []ArgsChange, unreadable int, err error) {
	for _, s := range found {
		after, readable, err := resealArgs(sealer, s)
		if err != nil {
			return nil, 0, err
		}
		if !readable {
			unreadable++
		}
		if !bytes.Equal(after, s.Args) {
			changes = append(changes, ArgsChange{s.ID, s.Args, after})
		}
	}
	return changes, unreadable, nil
}

// resealArgs returns the Args with each secret sealed by the current key. It knows
// nothing of the kind: the place of a secret is the one at which it opens.
func resealArgs(sealer KeyedSealer, s SealedArgs) (after []byte, readable bool, err error) {
	values := sealedValue.FindAll(s.Args, -1)
	places := 0
	for _, v := range values {
		if known, _ := sealer.Sealed(sealedText(v)); known {
			places++
		}
	}
	readable = true
	after = sealedValue.ReplaceAllFunc(s.Args, func(v []byte) []byte {
		known, current := sealer.Sealed(sealedText(v))
		if current {
			return v
		}
		for i := range places {
			if !known {
				break
			}
			place := secretPlace(s.Kind, s.ID, i)
			plain, openErr := sealer.Open(sealedText(v), place)
			if openErr != nil {
				continue
			}
			sealed, sealErr := sealer.Seal(plain, place)
			err = errors.Join(err, sealErr)
			return []byte(`"` + sealedMark + sealed + `"`)
		}
		readable = false
		return v
	})
	return after, readable, err
}

// sealedText returns what the sealer made of a secret, from its place in JSON.
func sealedText(value []byte) string {
	return string(value[len(sealedMark)+1 : len(value)-1])
}
