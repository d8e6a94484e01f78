package components

import (
	"context"
	"fmt"
	"slices"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
	"github.com/nodeguard/nodeguard/internal/packages"
	"github.com/nodeguard/nodeguard/internal/units"
)

// Check compares what the node's components run with to what was recorded and to
// what their documents say.
type Check struct {
	root      *host.Root
	rules     []drift.Bound[Rule]
	recorded  baseline.Scope
	units     *units.Bus        // nil where nobody listens to systemd
	node      *node.Source      // nil where there is no cluster
	last      map[string]string // versions by subject, as they were before anybody saw the Node
	packages  *packages.Database
	inventory *packages.Inventory // nil where nobody asks whose the files are
	seen      chan processes      // what Observe last found, for Watch
}

// New returns the check of the host's components. recorded is what this check's
// facts were when the node was accepted; nil where nothing is.
func New(root *host.Root, rules []drift.Bound[Rule], recorded baseline.Scope) *Check {
	return &Check{root: root, rules: rules, recorded: recorded, packages: &packages.Database{}, seen: make(chan processes, 1)}
}

// Name of the check.
const Name = "components"

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// BaselineOperations are the operations that cannot be judged without a baseline.
func (c *Check) BaselineOperations() []string {
	var ids []string
	for _, r := range c.rules {
		if r.Rule.recorded() && !slices.Contains(ids, r.Operation) {
			ids = append(ids, r.Operation)
		}
	}
	return ids
}

// Observe looks at all of it each time: it is a few processes and small files.
func (c *Check) Observe(ctx context.Context, _ []string) drift.Observation {
	s := look(c.root, c.recorded)
	s.lookAtReleases(c.node, c.last)
	s.packages = c.packages
	s.lookAtOwned(ctx, c.inventory)
	s.own, _ = c.node.Get()
	if s.unlisted == nil {
		c.tell(s.processes)
	}
	var o drift.Observation
	var compared []Rule
	for _, rule := range c.rules {
		findings, gaps := s.judge(rule)
		o.Findings = append(o.Findings, findings...)
		o.Gaps = append(o.Gaps, gaps...)
		if rule.Rule.recorded() {
			compared = append(compared, rule.Rule)
		}
	}
	if len(compared) > 0 {
		o.Facts = s.facts(compared)
	}
	return o.Sorted()
}

func (s *scene) judge(rule drift.Bound[Rule]) (findings []drift.Finding, gaps []drift.Gap) {
	switch r := rule.Rule; {
	case r.Compare != "":
		return s.compare(rule.Operation, r)
	case r.Policy != "":
		return s.policy(rule.Operation, r)
	case r.CgroupDrivers != "":
		return s.cgroupDrivers(rule.Operation)
	case r.Version != "":
		return s.upgraded(rule.Operation, r.Absorb)
	case r.Skew != "":
		return s.skewed(rule.Operation), nil
	}
	for _, c := range components {
		if rule.Rule.about(c) {
			f, g := s.binary(rule.Operation, c)
			findings, gaps = append(findings, f...), append(gaps, g...)
		}
	}
	return findings, gaps
}

// seesHost tells whether the process has the mounts of the host's pid 1, so that
// its paths are the host's.
func (s *scene) seesHost(p host.Process) bool {
	own, err := s.root.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", p.PID))
	if err != nil {
		return false
	}
	first, err := s.root.Readlink("/proc/1/ns/mnt")
	return err == nil && own == first
}
