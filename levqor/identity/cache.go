package identity

import (
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

// CacheTTL is how long a process believes what the store said of a key: how long a
// key may go on to work that another process has revoked.
const CacheTTL = 30 * time.Second

// cacheSize bounds the tokens that are remembered. Past it, some make way.
const cacheSize = 4096

// digest stands for a token in memory, which holds no secret in clear.
type digest [sha256.Size]byte

// finding is what the store said of a token that was right.
type finding struct {
	key Key
	old bool      // its secret is the one from before the last rotation
	at  time.Time // when, by the store's clock
	// asked is when, by the clock of this process: just before, so that no key
	// outlives its end by what the answer took.
	asked time.Time
}

// instant returns the store's instant at a time of this process.
func (f finding) instant(now time.Time) time.Time { return f.at.Add(max(0, now.Sub(f.asked))) }

// works reports whether the token gives access at an instant.
func (f finding) works(at time.Time) bool {
	if f.old {
		return f.key.Retiring(at)
	}
	return f.key.Current(at)
}

// fresh reports whether the finding may still be believed. The clock of a process
// can stand still while its machine sleeps, so the time of day counts too.
func (f finding) fresh(now time.Time) bool {
	return now.Sub(f.asked) < CacheTTL && now.Round(0).Sub(f.asked.Round(0)) < CacheTTL
}

// cache remembers findings. What is not found is not remembered.
type cache struct {
	mu      sync.Mutex
	found   map[digest]finding
	changes uint64 // counts the keys that were forgotten
}

// get returns a finding that is fresh, or how many changes there were so far.
func (c *cache) get(d digest, now time.Time) (f finding, ok bool, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok = c.found[d]
	if ok && !f.fresh(now) {
		delete(c.found, d)
		ok = false
	}
	return f, ok, c.changes
}

// put remembers a finding unless a key was changed since, perhaps this one after the
// store was asked.
func (c *cache) put(d digest, f finding, changes uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return
	}
	if c.found == nil {
		c.found = map[digest]finding{}
	}
	for other := range c.found { // in no order
		if len(c.found) < cacheSize {
			break
		}
		delete(c.found, other)
	}
	c.found[d] = f
}

// forget drops what is known of a key.
func (c *cache) forget(id string) { c.drop(func(key Key) bool { return key.ID == id }) }

// forgetTenant drops what is known of a tenant's keys.
func (c *cache) forgetTenant(tenant string) {
	c.drop(func(key Key) bool { return key.Tenant == tenant })
}

func (c *cache) drop(which func(Key) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	maps.DeleteFunc(c.found, func(_ digest, f finding) bool { return which(f.key) })
}
