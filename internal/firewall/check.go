package firewall

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

// patience is how long systemd and the kernel have to answer.
const patience = 2 * time.Second

// Check looks for firewalls.
type Check struct {
	root  *host.Root
	rules []drift.Bound[Rule]
	units *units.Bus // nil where nobody listens to systemd
	last  *lately
}

// New returns the check of these rules.
func New(root *host.Root, rules []drift.Bound[Rule]) *Check {
	return &Check{root: root, rules: rules, last: &lately{}}
}

// Name of the check.
const Name = "firewall"

// Name implements drift.Check.
func (c *Check) Name() string { return Name }

// Observe implements drift.Check. It looks at everything each time: all of it is
// a few milliseconds.
func (c *Check) Observe(ctx context.Context, _ []string) drift.Observation {
	var out drift.Observation
	if len(c.rules) == 0 {
		return out
	}
	f := c.gather(ctx)
	if f.changing {
		if seen, ok := c.last.stillHolds(time.Now()); ok {
			return seen
		}
	}
	for _, bound := range c.rules {
		seen := judge(bound.Operation, bound.Rule, f)
		out.Findings = append(out.Findings, seen.Findings...)
		out.Gaps = append(out.Gaps, seen.Gaps...)
	}
	out = out.Sorted()
	if !f.changing {
		c.last.keep(out, time.Now())
	}
	return out
}

// gather asks every source; each fails for itself alone. The kernel and systemd
// have nothing to say of a tree that is not a running host.
func (c *Check) gather(ctx context.Context) facts {
	f := facts{traces: map[string]trace{}}
	c.gatherFiles(&f)
	c.gatherTunnels(&f)
	if !c.root.Live() {
		return f
	}
	c.gatherKernel(ctx, &f)
	if c.root.Systemd() {
		c.gatherUnits(ctx, &f)
	}
	return f
}

func (c *Check) gatherFiles(f *facts) {
	for _, s := range services {
		if !c.wants(s.name) {
			continue
		}
		t, err := files{root: c.root}.trace(s)
		if err != nil {
			f.gaps = append(f.gaps, gap{s.name, "its files cannot be read: " + cause(err), "reading them takes root; look at them on the host"})
		}
		if t.present || t.masked {
			f.traces[s.name] = t
		}
	}
}

func (c *Check) gatherTunnels(f *facts) {
	if !slices.ContainsFunc(c.rules, func(b drift.Bound[Rule]) bool { return b.Rule.Tunnels }) {
		return
	}
	var err error
	if f.tunnels, err = readTunnels(c.root); err != nil {
		f.gaps = append(f.gaps, gap{tunnelSubject, "the network interfaces cannot be listed: " + cause(err), "mount the host's /sys below the root"})
	}
}

// gatherUnits asks for those services alone that leave a trace: a host without
// any has nothing that systemd could tell.
func (c *Check) gatherUnits(ctx context.Context, f *facts) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f.traces)) {
		if f.traces[name].present {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return
	}
	found, err := readUnits(ctx, c.root, names)
	if err != nil {
		f.gaps = append(f.gaps, gap{"systemd", "systemd cannot be asked over D-Bus: " + units.Cause(err),
			"mount the host's /run/dbus/system_bus_socket; where AppArmor confines the container, run it unconfined"})
		return
	}
	f.units = found
}

// gatherKernel never takes the answers of another network namespace.
func (c *Check) gatherKernel(ctx context.Context, f *facts) {
	if err := c.root.CheckNetwork(); err != nil {
		f.blind = true
		f.gaps = append(f.gaps, gap{"", "the kernel's firewall rules: " + err.Error(), host.HostNetworkHint})
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := c.gatherTables(f, "nf_tables", func() ([]table, error) { return readNftables(ctx, ignoredByAll(c.rules), c.last.listening.Load()) })
	f.changing = errors.Is(err, errChanging)
	_ = c.gatherTables(f, "iptables-legacy tables", func() ([]table, error) { return readLegacy(c.root, c.redirects()) })
	slices.SortStableFunc(f.tables, func(a, b table) int {
		return cmp.Or(-cmp.Compare(a.backend, b.backend), cmp.Compare(a.family, b.family), cmp.Compare(a.name, b.name))
	})
}

func (c *Check) gatherTables(f *facts, what string, read func() ([]table, error)) error {
	tables, err := read()
	f.tables = append(f.tables, tables...)
	if err != nil {
		f.blind = true
		f.gaps = append(f.gaps, gap{"", "the kernel's " + what + " cannot be read: " + cause(err), kernelHint(err)})
	}
	return err
}

func (c *Check) redirects() bool {
	return slices.ContainsFunc(c.rules, func(b drift.Bound[Rule]) bool { return len(b.Rule.Redirects) > 0 })
}

func (c *Check) wants(service string) bool {
	return slices.ContainsFunc(c.rules, func(b drift.Bound[Rule]) bool { return slices.Contains(b.Rule.Services, service) })
}
