package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

// TouchInterval is the time between two records of a key's use at least.
const TouchInterval = time.Minute

const (
	// At most maxUses keys wait to be recorded; more are forgotten.
	maxUses = 10_000
	// A statement records usesBatch of them.
	usesBatch = 500
)

// uses are keys whose use is to be recorded.
type uses struct {
	mu     sync.Mutex
	ids    map[string]bool
	hashes map[string]Rehash // by the hash that is there
}

// note keeps the use of a key, unless one was recorded lately.
func (u *uses) note(key Key, at time.Time) {
	if at.Sub(key.LastUsedAt) < TouchInterval {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil {
		u.ids = map[string]bool{}
	}
	if len(u.ids) < maxUses {
		u.ids[key.ID] = true
	}
}

// noteHash keeps the hash that a key is to have.
func (u *uses) noteHash(r Rehash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.hashes == nil {
		u.hashes = map[string]Rehash{}
	}
	if len(u.hashes) < maxUses {
		u.hashes[string(r.From)] = r
	}
}

// take returns what was kept and forgets it.
func (u *uses) take() ([]string, []Rehash) {
	u.mu.Lock()
	defer u.mu.Unlock()
	ids, hashes := slices.Collect(maps.Keys(u.ids)), slices.Collect(maps.Values(u.hashes))
	clear(u.ids)
	clear(u.hashes)
	return ids, hashes
}

// RecordUses writes down when keys were last used, and hashes those anew by the current key of
// the [Hasher] that another one has hashed. Call it every few seconds: no
// request waits for it, and what a crash or an error loses is made up for by the next
// use. It does nothing while no key was used for the first time in a minute.
func (k *Keys) RecordUses(ctx context.Context) error {
	var errs []error
	used, hashes := k.uses.take()
	for ids := range slices.Chunk(used, usesBatch) {
		errs = append(errs, k.store.TouchKeys(ctx, ids, k.now()))
	}
	for all := range slices.Chunk(hashes, usesBatch) {
		errs = append(errs, k.store.RehashKeys(ctx, all))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("identity: record uses of keys: %w", err)
	}
	return nil
}
