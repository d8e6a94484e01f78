package volumes

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/probe"
)

// Name of the check.
const Name = "volumes"

// Check looks at the volumes of this node's pods.
type Check struct {
	root     *host.Root
	rules    []drift.Bound[Rule]
	recorded baseline.Scope
	mounts   *probe.Mounts
	watched  chan struct{} // closed when somebody will look again: no need to wait then
	armed    *state
}

// New returns the check. mounts is who asks mounts that may not answer; it should
// outlive a reload, as who hangs does. recorded is what this check's facts were when
// the node was accepted; nil where nothing is.
func New(root *host.Root, rules []drift.Bound[Rule], mounts *probe.Mounts, recorded baseline.Scope) *Check {
	return &Check{root: root, rules: rules, recorded: recorded, mounts: mounts, watched: make(chan struct{}), armed: &state{}}
}

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// BaselineOperations are the operations that cannot be judged without a baseline.
func (c *Check) BaselineOperations() []string {
	var ids []string
	for _, r := range c.rules {
		if r.Rule.Find == helpers {
			ids = append(ids, r.Operation)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Observe looks at all of it each time. With nil it also asks every mount anew
// that may not answer; else an answer counts for a while.
func (c *Check) Observe(ctx context.Context, only []string) drift.Observation {
	s := look(c.root)
	c.armed.saw(s, c.rules)
	j := &judge{scene: s, recorded: c.recorded, live: c.root.Live(), answers: c.ask(ctx, s, only == nil)}
	var o drift.Observation
	for _, bound := range c.rules {
		j.operation, j.rule = bound.Operation, bound.Rule
		if bound.Rule.Find == helpers {
			j.helpers()
		} else if s.seesMounts() {
			j.find()
		}
	}
	o.Findings, o.Gaps, o.Facts = j.findings, slices.Concat(s.gaps, j.gaps), j.facts
	return o.Sorted()
}

// judge goes through the rules, one after the other.
type judge struct {
	*scene
	operation string
	rule      Rule
	recorded  baseline.Scope
	live      bool // a running host, whose mounts can be asked
	answers   func(m probe.Mount) probe.Answer

	findings []drift.Finding
	gaps     []drift.Gap
	facts    map[string]drift.Fact
}

func (j *judge) find() {
	switch j.rule.Find {
	case unmounted:
		j.unmounted()
	case detached:
		j.detached()
	case foreign:
		j.foreign()
	case shared:
		j.shared(time.Now())
	case deleted:
		j.deleted()
	case denied:
		j.answering([]unix.Errno{unix.EACCES, unix.EPERM}, "lets this node in")
	case hung:
		j.hung(time.Now())
	case systemDisk:
		j.systemDisk()
	case unmounting:
		j.unmounting()
	}
}

func (j *judge) add(tier, subject, observed, supported, path string) {
	j.findings = append(j.findings, drift.Finding{
		Operation: j.operation, Subject: subject, Tier: tier, Observed: observed, Supported: supported,
		State: drift.Active, Args: map[string]string{"path": drift.Printable(path)},
	})
}

func (j *judge) blind(subject, reason, hint string) {
	j.gaps = append(j.gaps, drift.Gap{Operation: j.operation, Subject: subject, Reason: reason, Hint: hint})
}

// lasting are volumes that the rule is about, of data that outlives the pod.
func (j *judge) lasting() []*volume {
	return j.volumes(func(v *volume) bool { return v.lasting() && j.rule.counts(v.driver) })
}

func (s *scene) sortedPods() []*pod {
	return slices.SortedFunc(maps.Values(s.pods), func(a, b *pod) int { return cmp.Compare(a.uid, b.uid) })
}
