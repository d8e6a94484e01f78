package paths

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// Name of the check.
const Name = "paths"

// Check compares the protected paths with what was recorded of them.
type Check struct {
	root     *host.Root
	rules    []drift.Bound[Rule]
	recorded baseline.Scope
	progress *Progress

	inventory *packages.Inventory // nil: nobody asks for packages
	former    map[string]string
	runtime   func() string // nil: nobody tells

	files    Files
	poll     atomic.Bool            // the event source is not to be relied on
	last     atomic.Pointer[memory] // what the last whole look saw
	demanded atomic.Pointer[demanded]
	wait     chan struct{} // the package manager is to be waited for

	recalled atomic.Pointer[Seen] // by a check before this one, until the first look
	trusted  chan struct{}        // that look trusted what another run saw
	unread   atomic.Bool          // and no content has been read since
}

// New returns the check. Without a recorded scope it finds nothing and its facts
// are what to record. progress may be watched while Observe runs.
func New(root *host.Root, rules []drift.Bound[Rule], recorded baseline.Scope, progress *Progress) *Check {
	return &Check{root: root, rules: rules, recorded: recorded, progress: progress, wait: make(chan struct{}, 1), trusted: make(chan struct{}, 1)}
}

// WithFiles gives the check the file watcher that tells it when to look.
func (c *Check) WithFiles(files Files) *Check {
	c.files = files
	return c
}

// WithRuntime gives the check what tells which container runtime the kubelet uses; ""
// where that is not known.
func (c *Check) WithRuntime(runtime func() string) *Check {
	c.runtime = runtime
	return c
}

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// BaselineOperations are the operations that cannot be judged without a baseline.
func (c *Check) BaselineOperations() []string {
	var ids []string
	for _, r := range c.rules {
		if r.Rule.Must == nil {
			ids = append(ids, r.Operation)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Observe implements drift.Check. With nil it reads every content, but for the first
// look of a check that recalls what was seen before. With subjects
// it looks again at the targets that they concern, with none of them at all
// targets, and reads only the files whose metadata changed since the last look.
func (c *Check) Observe(ctx context.Context, only []string) drift.Observation {
	before, recalled := c.last.Load(), c.recalled.Swap(nil)
	l := newLook(ctx, c)
	switch {
	case only != nil && before != nil:
		l.trust(before, only)
	case before == nil && recalled != nil:
		l.recall(recalled)
	}
	l.all()
	now := l.conclude(before)
	if now.busy {
		c.await()
	}
	switch {
	case before == nil && recalled != nil && !recalled.verified:
		c.unread.Store(true)
		c.trusted <- struct{}{}
	case only == nil && ctx.Err() == nil:
		c.unread.Store(false)
	}
	if ctx.Err() == nil {
		c.last.CompareAndSwap(before, now) // a look that was overtaken is forgotten
	}
	var demandedBefore demanded
	if last := c.demanded.Load(); last != nil {
		demandedBefore = *last
	}
	demandedNow := l.must(c.rules, demandedBefore)
	c.demanded.Store(&demandedNow)
	return demandedNow.with(now.out)
}
