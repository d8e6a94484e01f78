package components

import (
	"maps"
	"path"
	"slices"

	"github.com/nodeguard/nodeguard/internal/packages"
)

// WatchedDirectories are the host's directories in which a file that comes, goes
// or changes may change what is observed now: of configuration files and those
// they lead to, there or not, and of the programs that run.
func (c *Check) WatchedDirectories() []string {
	s := look(c.root, c.recorded)
	s.packages = c.packages
	for _, rule := range c.rules {
		for _, name := range []string{rule.Rule.Compare, rule.Rule.Policy} {
			s.matter(rule.Rule, name)
		}
	}
	if c.inventory != nil {
		for _, name := range packages.Files(c.root) {
			s.noteFile(name)
		}
	}
	for _, p := range s.processes {
		if p != nil && p.Exe != "" {
			s.noteDir(path.Dir(p.Exe))
		}
	}
	for _, name := range slices.Collect(maps.Keys(s.dirs)) {
		if at, err := s.root.Resolve(name); err == nil {
			s.dirs[at] = true
		}
	}
	return slices.Sorted(maps.Keys(s.dirs))
}

// noteFile notes where a file is looked for and, where it is a link, where it leads.
func (s *scene) noteFile(name string) {
	s.noteDir(path.Dir(name))
	if at, err := s.root.Readlink(name); err == nil {
		if !path.IsAbs(at) {
			at = path.Join(path.Dir(name), at)
		}
		s.noteDir(path.Dir(at))
	}
}

func (s *scene) noteDir(dir string) { s.dirs[path.Clean(dir)] = true }
