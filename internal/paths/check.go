package paths

import (
	"context"
	"slices"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Name of the check.
const Name = "paths"

// Check compares the protected paths with what was recorded of them.
type Check struct {
	root     *host.Root
	rules    []drift.Bound[Rule]
	recorded baseline.Scope
	progress *Progress
}

// New returns the check. Without a recorded scope it finds nothing and its facts
// are what to record. progress may be watched while Observe runs.
func New(root *host.Root, rules []drift.Bound[Rule], recorded baseline.Scope, progress *Progress) *Check {
	return &Check{root: root, rules: rules, recorded: recorded, progress: progress}
}

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// BaselineOperations are the operations that cannot be judged without a baseline.
func (c *Check) BaselineOperations() []string {
	var ids []string
	for _, r := range c.rules {
		ids = append(ids, r.Operation)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Observe implements drift.Check. It looks at all paths whatever only says: one
// walk costs less than keeping parts of the last one.
func (c *Check) Observe(ctx context.Context, _ []string) drift.Observation {
	l := newLook(ctx, c.root, c.rules, c.progress)
	l.all()
	return l.compare(c.recorded).Sorted()
}
