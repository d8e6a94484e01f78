package components

import (
	"path"
	"slices"
	"strings"
	"time"
)

const (
	kubeletConfig = "/var/lib/kubelet/config.yaml"
	kubeadmFlags  = "/var/lib/kubelet/kubeadm-flags.env"
	maxDropIns    = 256
	maxEnv        = 256 << 10
)

// environmentFiles are what units of the kubelet read their arguments from.
var environmentFiles = []string{kubeadmFlags, "/etc/default/kubelet", "/etc/sysconfig/kubelet", "/etc/kubernetes/kubelet-customized-args.conf"}

// kubeletSeen is what other areas need to know of the kubelet.
type kubeletSeen struct {
	flags  flags // of the process; where none runs, those of its environment files
	config *area
}

func (s *scene) lookAtKubelet() {
	command := s.addCommand(Kubelet)
	s.kubelet.flags = command
	fromFiles := flags{}
	for _, name := range environmentFiles {
		for flag, values := range s.addEnvironment(name, command) {
			fromFiles[flag] = values
		}
	}
	if command == nil {
		s.kubelet.flags = fromFiles
	}
	s.kubelet.config = s.addKubeletConfig()
}

// addEnvironment adds an environment file's area and returns the flags in it.
func (s *scene) addEnvironment(name string, command flags) flags {
	title := "kubelet " + name
	if name == kubeadmFlags {
		title = "kubelet " + path.Base(name)
	}
	a := s.add(&area{component: Kubelet, name: title, prefix: title, owns: anyKey, place: name, changed: s.changedAround(name)})
	f, err := s.read(name, maxEnv)
	if gone(err) {
		a.settle(false, nil)
		return nil
	}
	a.settle(true, err)
	if err != nil {
		return nil
	}
	env := dialectOf(Kubelet).environment(f.data)
	a.changed = latest(a.changed, f.changed)
	a.values = map[string]value{}
	for key, text := range env.flags.texts() {
		a.values[key] = value{text, f.path, f.changed}
	}
	for key, text := range env.variables {
		a.values[key] = value{text, f.path, f.changed}
	}
	a.loaded = loadedIn(command, a)
	return env.flags
}

// loadedIn compares an environment file with the command line that it went into:
// a flag is loaded when the process runs with it, and gone when it runs without.
func loadedIn(command flags, a *area) func(string, value, bool) bool {
	shown := map[string][]string{}
	for key, text := range command.texts() {
		shown[key] = strings.Split(text, ",")
		shown[key] = append(shown[key], text)
	}
	return func(key string, now value, set bool) bool {
		switch {
		case !isFlag(key):
			return !a.later(a.changed)
		case set:
			return slices.Contains(shown[key], now.text)
		default:
			return len(shown[key]) == 0
		}
	}
}

// kubeletPath is a path that the kubelet was told by a flag. Of one that does not
// run, it is the one it was last seen with.
func (s *scene) kubeletPath(flag, usual string) string {
	name := s.kubelet.flags.last(flag)
	if name == "" && s.processes[Kubelet] == nil {
		if name = s.recorded["kubelet "+flag]; name == "" {
			name = usual
		}
	}
	if name == "" || name == `""` {
		return ""
	}
	return absolute(name)
}

// addKubeletConfig adds the file that --config names with the drop-ins of --config-dir.
func (s *scene) addKubeletConfig() *area {
	a := s.add(&area{component: Kubelet, name: "kubelet config", prefix: "kubelet config", owns: anyKey})
	var l layers
	dir := s.kubeletPath("--config-dir", "")
	if a.place = s.kubeletPath("--config", kubeletConfig); a.place != "" {
		a.changed = s.changedAround(a.place)
		l.add(s.read(a.place, maxYAML))
	}
	if a.place == "" {
		a.place = dir
	}
	if dir != "" {
		files, newest, err := s.dropIns(dir)
		a.changed = latest(a.changed, newest)
		l.fail(dir, err)
		for _, name := range files {
			l.add(s.read(name, maxYAML))
		}
	}
	_, err := l.flatten(a, parseKubelet, plainKeys, replaced)
	a.settle(len(l.files) > 0, err)
	return a
}

// dropIns are the *.conf files below dir in the order in which the kubelet merges
// them, and when one last came or went.
func (s *scene) dropIns(dir string) ([]string, time.Time, error) {
	var out []string
	s.noteDir(dir)
	newest, err := s.changed(dir)
	if err != nil {
		if gone(err) {
			return nil, s.changedAround(dir), nil
		}
		return nil, newest, err
	}
	err = s.walk(dir, 0, func(name string, changed time.Time, isDir bool) {
		if isDir {
			newest = latest(newest, changed)
		} else if path.Ext(name) == ".conf" {
			out = append(out, name)
		}
	})
	if len(out) > maxDropIns {
		return nil, newest, errTooManyFiles
	}
	return out, newest, err
}

// walk visits what is below dir in lexical order, links unfollowed.
func (s *scene) walk(dir string, depth int, visit func(name string, changed time.Time, isDir bool)) error {
	s.noteDir(dir)
	names, err := s.root.ReadDir(dir, maxNames)
	if err != nil {
		return err
	}
	for _, base := range names {
		name := path.Join(dir, base)
		e, err := s.root.Lstat(name)
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		visit(name, e.Changed, e.Type == directory)
		if e.Type == directory && depth < maxWalk {
			if err := s.walk(name, depth+1, visit); err != nil {
				return err
			}
		}
	}
	return nil
}
