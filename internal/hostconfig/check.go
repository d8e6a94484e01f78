package hostconfig

import (
	"context"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

// Name of the check.
const Name = "hostconfig"

// Check judges what else of the host's configuration is documented.
type Check struct {
	root     *host.Root
	rules    []drift.Bound[Rule]
	recorded baseline.Scope
	bus      *units.Bus // nil where nobody listens to systemd
	prober   *prober    // nil where nothing is probed
	memory   *memory    // what earlier looks saw
}

// New returns the check. recorded is what its facts were when the node was
// accepted; nil where nothing is.
func New(root *host.Root, rules []drift.Bound[Rule], recorded baseline.Scope) *Check {
	return &Check{root: root, rules: rules, recorded: recorded, memory: newMemory()}
}

// WithUnits returns the check with a bus over which it hears of units.
func (c *Check) WithUnits(bus *units.Bus) *Check {
	with := *c
	with.bus = bus
	return &with
}

// WithProbes returns the check with probes of the API server and the cluster's DNS,
// which a rule may ask for; they run while the check watches.
func (c *Check) WithProbes() *Check {
	with := *c
	with.prober = newProber(c.root)
	return &with
}

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// BaselineOperations are the operations that cannot be judged without a baseline.
func (c *Check) BaselineOperations() []string {
	var ids []string
	for _, r := range c.rules {
		if r.Rule.Compare != "" && !slices.Contains(ids, r.Operation) {
			ids = append(ids, r.Operation)
		}
	}
	return ids
}

// Observe looks at all of it each time; big files that did not change since the
// last look are not read again, unless nothing is to be trusted.
func (c *Check) Observe(ctx context.Context, only []string) drift.Observation {
	if only == nil {
		c.memory.forget()
	}
	l := c.look(ctx)
	var o drift.Observation
	for _, bound := range c.rules {
		for _, in := range bound.Rule.places() {
			findings, gaps := l.judge(bound, l.table(bound.Rule, in))
			o.Findings, o.Gaps = append(o.Findings, findings...), append(o.Gaps, gaps...)
		}
	}
	o.Facts = l.facts(c.rules)
	return o.Sorted()
}

func (c *Check) look(ctx context.Context) *look {
	return &look{
		ctx: ctx, root: c.root, recorded: c.recorded, memory: c.memory, prober: c.prober, now: time.Now(),
		tables: map[string]*table{}, dirs: map[string]bool{},
	}
}

// WatchedDirectories are the host's directories in which a file that comes, goes
// or changes may change what is observed now, there or not.
func (c *Check) WatchedDirectories() []string {
	l := c.look(context.Background())
	for _, bound := range c.rules {
		for _, in := range bound.Rule.places() {
			l.table(bound.Rule, in)
		}
	}
	return l.directories()
}
