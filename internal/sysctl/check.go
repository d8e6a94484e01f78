package sysctl

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Name of the check.
const Name = "sysctl"

// Check judges kernel parameters.
type Check struct {
	root      *host.Root
	rules     []drift.Bound[Rule]
	nodePorts string
	recorded  baseline.Scope

	files atomic.Pointer[files] // of the last full look
	held  held
	names names
	modes modes
}

// New returns the check. nodePorts is the configured NodePort range, "" where it
// is to be found out.
func New(root *host.Root, rules []drift.Bound[Rule], nodePorts string, recorded baseline.Scope) *Check {
	return &Check{root: root, rules: rules, nodePorts: nodePorts, recorded: recorded}
}

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// BaselineOperations are the operations that cannot be judged without a baseline.
func (c *Check) BaselineOperations() []string {
	var ids []string
	for _, r := range c.rules {
		if r.Rule.Settings != nil {
			ids = append(ids, r.Operation)
		}
	}
	return ids
}

// Observe implements drift.Check. What is in force is always read; what the files
// say, which takes a hundred times as long, only by a look at everything.
func (c *Check) Observe(_ context.Context, only []string) drift.Observation {
	l := newLook(c, c.filesFor(only))
	for _, r := range c.rules {
		if r.Rule.Settings == nil {
			scopes := l.scopes(r.Rule)
			l.judge(r, l.inForce(r, scopes))
			l.judge(r, l.pending(r, scopes))
		}
	}
	l.dropExplained(c.rules)
	for _, r := range c.rules {
		if r.Rule.Settings != nil {
			l.settings(r, c.rules, c.recorded)
		}
	}
	return l.out.Sorted()
}

// look is one look at all parameters.
type look struct {
	root       *host.Root
	held       *held
	names      *names
	network    error // why the network's parameters are not the host's
	interfaces interfaces
	ports      nodePorts
	boot       boot
	bootBlind  bool // some settings could not be read
	out        drift.Observation
}

func newLook(c *Check, f *files) *look {
	l := &look{root: c.root, held: &c.held, names: &c.names, network: c.root.CheckNetwork(), ports: f.ports, boot: f.boot, bootBlind: len(f.failed) > 0}
	if l.network == nil {
		l.readNetwork(c.rules)
	}
	for _, u := range f.failed {
		for _, op := range operations(c.rules) {
			l.gap(op, u.name, u.reason(), u.hint())
		}
	}
	return l
}

// readNetwork reads what several rules need of the host's network namespace.
func (l *look) readNetwork(rules []drift.Bound[Rule]) {
	var err error
	l.interfaces, err = findInterfaces(l.root)
	for _, r := range rules {
		if err != nil && len(r.Rule.Interfaces) > 0 && l.root.Live() {
			l.gap(r.Operation, r.Rule.subject(), err.Error(), "")
		}
	}
	if reserved, err := l.ports.reserve(l.root); err == nil {
		l.ports = reserved
	}
}

func operations(rules []drift.Bound[Rule]) []string {
	var ids []string
	for _, r := range rules {
		if !slices.Contains(ids, r.Operation) {
			ids = append(ids, r.Operation)
		}
	}
	return ids
}

func (l *look) gap(operation, subject, reason, hint string) {
	l.out.Gaps = append(l.out.Gaps, drift.Gap{Operation: operation, Subject: drift.Printable(subject), Reason: drift.Printable(reason), Hint: hint})
}

// dropExplained drops findings that another parameter's finding explains: with
// ip_forward off, no interface forwards.
func (l *look) dropExplained(rules []drift.Bound[Rule]) {
	for _, r := range rules {
		if r.Rule.UnlessOutOf == "" {
			continue
		}
		l.out.Findings = slices.DeleteFunc(l.out.Findings, func(f drift.Finding) bool {
			_, ofRule := interfaceOf(r.Rule, key(f.Subject))
			return ofRule && f.Operation == r.Operation && l.found(r.Rule.UnlessOutOf, f.State)
		})
	}
}

func (l *look) found(subject string, state drift.State) bool {
	return slices.ContainsFunc(l.out.Findings, func(f drift.Finding) bool { return f.Subject == subject && f.State == state })
}
