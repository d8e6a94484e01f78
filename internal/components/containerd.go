package components

import (
	"path"
	"slices"
	"strings"
)

const (
	containerdConfig = "/etc/containerd/config.toml"
	containerdSocket = "/run/containerd/containerd.sock"
	maxImports       = 64
)

// runtimeSeen is what the cgroup drivers' comparison needs to know of a runtime.
type runtimeSeen struct {
	flags  flags
	config *area
	tree   map[string]any // the merged configuration
}

// lookAtContainerd passes over a containerd on a node whose kubelet uses CRI-O or
// Docker, which brings one along.
func (s *scene) lookAtContainerd() {
	if path.Base(s.endpoint()) == "crio.sock" || s.kubeletNamesDocker() {
		return
	}
	seen := runtimeSeen{flags: s.addCommand(Containerd)}
	a := s.add(&area{
		component: Containerd, name: "containerd config.toml", prefix: "containerd",
		owns:  func(key string) bool { return !isFlag(key) && key != "config.toml" },
		place: s.runtimePath(Containerd, seen.flags, "--config", containerdConfig),
	})
	a.changed = s.changedAround(a.place)
	l := s.containerdLayers(a)
	tree, err := l.flatten(a, parseTOML, quotedKeys, appended)
	a.settle(len(l.files) > 0, err)
	seen.config, seen.tree = a, tree
	s.runtimes[Containerd] = seen
}

// runtimePath is the file that a flag names; of a runtime that does not run, the
// one that it was last seen with.
func (s *scene) runtimePath(c Component, f flags, flag, usual string) string {
	name := f.last(flag)
	if name == "" && s.processes[c] == nil {
		name = s.recorded[string(c)+" "+flag]
	}
	if name == "" || name == `""` {
		name = usual
	}
	return absolute(name)
}

// containerdLayers reads the configuration and what it imports, each file once,
// in the order in which containerd merges them.
func (s *scene) containerdLayers(a *area) layers {
	var l layers
	loaded, pending := map[string]bool{}, []string{a.place}
	for len(pending) > 0 && l.err == nil {
		name := pending[0]
		pending = pending[1:]
		if loaded[name] {
			continue
		}
		if loaded[name] = true; len(loaded) > maxImports {
			l.fail(name, errTooManyFiles)
			break
		}
		f, err := s.read(name, maxFile)
		l.add(f, err)
		if err != nil {
			continue
		}
		imports, err := s.imports(a, f)
		l.fail(name, err)
		pending = append(pending, imports...)
	}
	return l
}

// imports are the files that one file imports. A directory that files are picked
// from is watched for what comes and goes.
func (s *scene) imports(a *area, f file) ([]string, error) {
	tree, err := parseTOML(f.data)
	if err != nil {
		return nil, err
	}
	list, _ := tree["imports"].([]any)
	var out []string
	for _, item := range list {
		pattern, ok := item.(string)
		if !ok {
			continue
		}
		if !path.IsAbs(pattern) {
			pattern = path.Join(path.Dir(f.path), pattern)
		}
		pattern = path.Clean(pattern)
		a.changed = latest(a.changed, s.changedAround(pattern))
		if !strings.Contains(pattern, "*") {
			out = append(out, pattern)
			continue
		}
		matches, err := s.glob(pattern)
		if err != nil {
			return nil, err
		}
		out = append(out, matches...)
	}
	return out, nil
}

// glob returns the paths that match, sorted, links followed, as filepath.Glob does.
func (s *scene) glob(pattern string) ([]string, error) {
	found := []string{"/"}
	for element := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			names, err := s.matches(dir, element)
			if err != nil {
				return nil, err
			}
			next = append(next, names...)
		}
		if found = next; len(found) > maxImports {
			return nil, errTooManyFiles
		}
	}
	return found, nil
}

// matches are the entries of a directory that one element of a pattern names.
func (s *scene) matches(dir, element string) ([]string, error) {
	if !strings.ContainsAny(element, `*?[\`) {
		if name := path.Join(dir, element); s.root.Exists(name) {
			return []string{name}, nil
		}
		return nil, nil
	}
	s.noteDir(dir)
	if e, err := s.root.Stat(dir); err != nil || e.Type != directory {
		return nil, nil
	}
	names, err := s.root.ReadDir(dir, maxNames)
	if err != nil {
		return nil, &fileFault{dir, err}
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		matched, err := path.Match(element, name)
		return err != nil || !matched
	})
	for i, name := range names {
		names[i] = path.Join(dir, name)
	}
	return names, nil
}
