package identity

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
)

// Name of the check.
const Name = "identity"

const (
	// settles is how long a network may be on its way from one state to the same:
	// a DHCP client that starts anew takes its address away and puts it back.
	settles = 2 * time.Second
	// absence is how long a Node may be away while its kubelet runs: one that is
	// being scaled down loses its machine meanwhile.
	absence = 5 * time.Minute
	// registers is how long a kubelet that has just started may take until its Node is
	// there, and how long a Node that nobody has seen may be missing under one that runs.
	registers = time.Minute
)

// Check compares the node with what was recorded of it and with what its provider
// asks of it.
type Check struct {
	root     *host.Root
	rules    []drift.Bound[Rule]
	recorded baseline.Scope
	node     *node.Source

	pause     func(context.Context, time.Duration) bool
	now       func() time.Time
	confirmed atomic.Pointer[[]string] // network findings that lasted
	gone      atomic.Pointer[time.Time]
	listening atomic.Bool
}

// New returns the check. nodes is where the own Node comes from; nil where there is
// none to ask.
func New(root *host.Root, rules []drift.Bound[Rule], nodes *node.Source, recorded baseline.Scope) *Check {
	return &Check{root: root, rules: rules, recorded: recorded, node: nodes, pause: wait, now: time.Now}
}

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// BaselineOperations are the operations that cannot be judged without a baseline.
func (c *Check) BaselineOperations() []string {
	var ids []string
	for _, r := range c.rules {
		if r.Rule.baselined() && !slices.Contains(ids, r.Operation) {
			ids = append(ids, r.Operation)
		}
	}
	return ids
}

// Observe implements drift.Check. It looks at everything each time, which takes a few
// milliseconds. A network that differs is looked at twice.
func (c *Check) Observe(ctx context.Context, _ []string) drift.Observation {
	s := c.look(ctx)
	if c.lasting(s.shaky) || !c.pause(ctx, settles) {
		return s.out.Sorted()
	}
	s = c.look(ctx)
	c.lasted(s.shaky)
	return s.out.Sorted()
}

// lasting tells whether what differs has done so before; nothing does by itself.
func (c *Check) lasting(shaky []string) bool {
	before := c.confirmed.Load()
	if len(shaky) == 0 {
		c.lasted(nil)
		return true
	}
	return !c.root.Live() || before != nil && !slices.ContainsFunc(shaky, func(s string) bool { return !slices.Contains(*before, s) })
}

func (c *Check) lasted(shaky []string) { c.confirmed.Store(&shaky) }

// wait tells whether the time has passed and ctx has not ended.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// aboutNetwork tells whether any rule needs the network.
func (c *Check) aboutNetwork() bool {
	return asks(c.rules, Address, DefaultRoute, Interface, MAC, LinkMTU, DHCP) ||
		slices.ContainsFunc(c.rules, func(r drift.Bound[Rule]) bool { return r.Rule.MTU != nil || r.Rule.PolicyRoutes != "" })
}

// look is one look at all of it.
func (c *Check) look(ctx context.Context) *scene {
	s := &scene{Check: c}
	s.known, s.hasNode = c.node.Get()
	s.missing = c.node.Missing()
	if asks(c.rules, Address, NodeObject) {
		s.readKubelet()
	}
	if c.aboutNetwork() {
		s.readNetwork(ctx)
	}
	items := s.items()
	for _, r := range c.rules {
		s.judge(r, items)
	}
	s.keepFacts(items)
	return s
}
