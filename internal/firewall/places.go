package firewall

import (
	"maps"
	"path"
	"slices"
)

// WatchedDirectories are the host's directories in which a file that comes, goes
// or changes may change what is observed, there or not: of the services' units,
// programs and configurations. What enforces is told by the kernel.
func (c *Check) WatchedDirectories() []string {
	dirs := map[string]bool{}
	f := files{root: c.root, noted: func(dir string) { dirs[dir] = true }}
	for _, s := range services {
		if c.wants(s.name) {
			f.visit(s)
		}
	}
	return slices.Sorted(maps.Keys(dirs))
}

// visit looks wherever the service could leave a trace, though it left none yet.
// What cannot be read says nothing of where it is.
func (f files) visit(s service) {
	_, _ = f.units(s.unit())
	_, _ = f.wanted(s.unit())
	_, _ = f.runlevels(s.name)
	_, _ = s.config(f)
	for _, name := range append([]string{"/etc/init.d/" + s.name}, s.programs...) {
		f.note(path.Dir(name))
	}
}
