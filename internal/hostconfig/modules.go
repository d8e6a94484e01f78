package hostconfig

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	loadedModules = "/proc/modules"
	kernelRelease = "/proc/sys/kernel/osrelease"

	// moduleTree is the running kernel's directory of modules, as a module of a rule.
	moduleTree = "tree"
)

// modules tell of kernel modules by name whether they are loaded, which one that is
// built in always is, or only there to be loaded. Alternatives are joined with "|";
// "tree" is the directory of the running kernel's modules itself.
func (l *look) modules(r Rule, name string) *table {
	release := l.release()
	data, err := l.root.ReadFile(loadedModules, maxFile)
	switch {
	case name == moduleTree:
		return l.moduleTree(release)
	case gone(err) && !l.root.Live():
		return skipped()
	case err != nil && !gone(err): // a kernel without modules has no such file
		return faulty("kernel module "+name, faultOf(loadedModules, err))
	}
	return l.module(r, name, moduleSet{
		loaded: parseModules(data), builtin: l.moduleFile(release, "modules.builtin"), dep: l.moduleFile(release, "modules.dep"),
	})
}

func (l *look) module(r Rule, name string, have moduleSet) *table {
	names := strings.Split(name, "|")
	t := newTable("")
	t.area = "kernel module " + name
	t.owns = func(subject string) bool { return subject == t.area }
	e := entry{value: have.state(names)}
	if e.value != loaded && slices.ContainsFunc(names, l.inKernel) {
		e.value = loaded
	}
	switch _, recorded := l.recorded[t.area]; {
	case e.value == missing && len(have.builtin) == 0 && r.Compare != "" && !recorded:
		return skipped() // what never was there cannot be missing
	case e.value == missing && len(have.builtin) == 0:
		t.fault = &fault{"which modules are built into the running kernel is not known: its modules.builtin is not there", "look for the module's files below /sys/module"}
		return t
	case e.value == notLoaded:
		e.args = map[string]string{"module": names[0]}
	}
	e.lacking = e.value != loaded
	t.entries[t.area] = e
	return t
}

// inKernel tells of a module that the kernel has, built in or not; not all of those
// built in are seen there.
func (l *look) inKernel(name string) bool {
	return l.root.Exists("/sys/module/" + strings.ReplaceAll(name, "-", "_"))
}

func (l *look) moduleTree(release string) *table {
	if release == "" {
		return skipped()
	}
	t := newTable("")
	t.area = "modules of the running kernel"
	t.owns = func(subject string) bool { return subject == t.area }
	e := entry{value: present, args: map[string]string{"path": "/lib/modules/" + drift.Printable(release)}}
	if len(l.moduleFile(release, "modules.dep"))+len(l.moduleFile(release, "modules.builtin")) == 0 {
		e.value, e.lacking = missing, true
	}
	t.entries[t.area] = e
	return t
}

func (l *look) release() string {
	data, err := l.root.ReadFile(kernelRelease, maxFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// moduleFile is a list of modules by path, "kernel/fs/overlayfs/overlay.ko.xz: …".
func (l *look) moduleFile(release, base string) map[string]bool {
	if release == "" || strings.Contains(release, "/") {
		return nil
	}
	name := path.Join("/lib/modules", release, base)
	l.noteFile(name)
	set, err := remembered(l, name, 8<<20, func(data []byte) (map[string]bool, error) { return parseModulePaths(data), nil })
	if err != nil {
		return nil
	}
	return set
}

const (
	loaded    = "loaded" // or built in
	notLoaded = "not loaded"
)

type moduleSet struct{ loaded, builtin, dep map[string]bool }

func (m moduleSet) state(names []string) string {
	states := []struct {
		set  map[string]bool
		word string
	}{{m.loaded, loaded}, {m.builtin, loaded}, {m.dep, notLoaded}}
	for _, s := range states {
		for _, n := range names {
			if s.set[strings.ReplaceAll(n, "-", "_")] {
				return s.word
			}
		}
	}
	return missing
}

func parseModules(data []byte) map[string]bool {
	out := map[string]bool{}
	for line := range bytes.Lines(data) {
		if fields := strings.Fields(string(line)); len(fields) > 0 {
			out[fields[0]] = true
		}
	}
	return out
}

func parseModulePaths(data []byte) map[string]bool {
	out := map[string]bool{}
	for line := range bytes.Lines(data) {
		file, _, _ := strings.Cut(strings.TrimSpace(string(line)), ":")
		base, _, ok := strings.Cut(path.Base(file), ".ko")
		if ok {
			out[strings.ReplaceAll(base, "-", "_")] = true
		}
	}
	return out
}
