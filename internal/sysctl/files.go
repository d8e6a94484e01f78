package sysctl

import "github.com/nodeguard/nodeguard/internal/host"

// files are what files and command lines say, which no event about a kernel
// parameter changes.
type files struct {
	ports  nodePorts
	boot   boot
	failed []unreadable
}

// filesFor reads anew for a look at everything, and else returns what the last
// such look read.
func (c *Check) filesFor(only []string) *files {
	if only != nil {
		if known := c.files.Load(); known != nil {
			return known
		}
	}
	f := readFiles(c.root, c.nodePorts)
	c.files.Store(f)
	// A default route may have moved to another interface. What cannot be held
	// is read by the look itself, which says so.
	_ = c.hold()
	return f
}

func readFiles(root *host.Root, nodePorts string) *files {
	f := &files{ports: findNodePorts(root, nodePorts)}
	f.boot, f.failed = readBoot(root)
	return f
}
