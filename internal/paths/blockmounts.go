package paths

import (
	"maps"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// mountsPart holds what is mounted where nothing may be. Its subjects do not begin
// with a slash, so that they lie in no protected directory.
const mountsPart = "mounts"

func blockMount(point string) string { return "mount " + drift.Printable(point) }

// blockMounts records the block devices' file systems at and below the paths of the
// rules about mounts.
func (l *look) blockMounts(mounts []*mountinfo.Info, failed error) {
	p := &part{facts: map[string]drift.Fact{}}
	for _, r := range l.rules {
		if r.Rule.Mounts == nil {
			continue
		}
		if failed != nil {
			p.gaps = append(p.gaps, drift.Gap{Operation: r.Operation, Reason: reason(failed)})
			continue
		}
		p.facts[mountsPart] = drift.Fact{Value: "read"}
		for _, m := range mounts {
			if r.Rule.forbids(m) {
				p.facts[blockMount(m.Mountpoint)] = drift.Fact{Value: m.FSType, Local: true}
			}
		}
	}
	if was := l.mountsBefore; was != nil && maps.Equal(was.facts, p.facts) && slices.Equal(was.gaps, p.gaps) {
		p = was
	}
	if len(p.facts)+len(p.gaps) > 0 {
		l.parts[mountsPart] = p
	}
}

// forbids tells whether the mount is one that may not be there: of a block device,
// at or below the paths, and not where the node's own components mount.
func (r Rule) forbids(m *mountinfo.Info) bool {
	if !strings.HasPrefix(m.Source, "/dev/") || matchAny(r.Mounts, m.Mountpoint) {
		return false
	}
	for _, p := range r.Paths {
		if m.Mountpoint == p || strings.HasPrefix(m.Mountpoint, p+"/") {
			return true
		}
	}
	return false
}

// mounts reports those that were not recorded.
func (c *comparison) mounts() {
	_, covered := c.recorded[mountsPart]
	for _, subject := range c.differing {
		now, seen := c.facts[subject]
		if !seen || subject != mountsPart && !strings.HasPrefix(subject, blockMount("")) {
			continue
		}
		if _, known := c.recorded[subject]; known {
			continue
		}
		if !covered {
			now.Fresh = true
			c.facts[subject] = now
			continue
		}
		c.foreignMount(subject, now.Value)
	}
}

func (c *comparison) foreignMount(subject, fstype string) {
	point := strings.TrimPrefix(subject, blockMount(""))
	for _, r := range c.rules {
		if r.Rule.Mounts != nil && r.Rule.forbids(&mountinfo.Info{Source: "/dev/", Mountpoint: point}) {
			c.add(&target{operation: r.Operation}, "", subject, "a file system of a block device ("+fstype+")", absent)
		}
	}
}
