package bunlevqor

import (
	"sync"

	"github.com/levqor/sdk/jobs"
	"github.com/levqor/sdk/jobs/bunjobs"
	"github.com/levqor/sdk/levqor/identity"
)

// commit holds what is to happen when a transaction has committed.
type commit struct {
	mu    sync.Mutex
	after []func()
}

func (c *commit) add(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.after = append(c.after, fn)
}

// pass lets it happen, or leaves it to the transaction around this one.
func (c *commit) pass(outer *commit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, fn := range c.after {
		if outer != nil {
			outer.add(fn)
		} else {
			fn()
		}
	}
}

// committer is the store of jobs within a transaction.
type committer struct {
	*bunjobs.Store
	commit *commit
}

var _ jobs.Committer = (*committer)(nil)

// AfterCommit implements [jobs.Committer].
func (c *committer) AfterCommit(fn func()) { c.commit.add(fn) }

// keyCommitter is the store of API keys within a transaction.
type keyCommitter struct {
	identity.KeyStore
	commit *commit
}

var _ identity.Committer = (*keyCommitter)(nil)

// AfterCommit implements [identity.Committer].
func (c *keyCommitter) AfterCommit(fn func()) { c.commit.add(fn) }
