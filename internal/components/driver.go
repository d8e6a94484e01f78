package components

import "strings"

// criPlugins are the tables that hold the settings of the CRI plug-in, by version
// of the configuration: 3, 2 and 1.
var criPlugins = []string{"io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri", "cri"}

func (s *scene) runtimeDriver(r runtimeSeen) driver {
	var name, key string
	if r.config.component == Docker {
		name, key = s.dockerDriver(r)
	} else {
		name, key = containerdDriver(r.tree)
	}
	d := driver{component: r.config.component, name: name}
	if v, ok := r.config.values[key]; key != "" {
		d.pending = r.config.pending(key, v, ok)
	}
	return d
}

// containerdDriver is that of the default runtime, with the key that decides it.
// Only runc's shim has one to set.
func containerdDriver(tree map[string]any) (name, key string) {
	for _, plugin := range criPlugins {
		cri, ok := below(tree, "plugins", plugin)
		if !ok {
			continue
		}
		settings, ok := below(cri, "containerd")
		if !ok {
			continue
		}
		runtime, _ := settings["default_runtime_name"].(string)
		if runtime == "" {
			runtime = "runc"
		}
		return runtimeDriverOf(settings, plugin, runtime)
	}
	return cgroupfs, "plugins"
}

func runtimeDriverOf(settings map[string]any, plugin, runtime string) (name, key string) {
	f := flattener{quoting: quotedKeys}
	for _, element := range []string{"plugins", plugin, "containerd", "runtimes", runtime, "options", "SystemdCgroup"} {
		key = f.join(key, element)
	}
	own, ok := below(settings, "runtimes", runtime)
	kind, _ := own["runtime_type"].(string)
	if !ok && runtime != "runc" || kind != "" && !strings.HasPrefix(kind, "io.containerd.runc.") {
		return "", ""
	}
	options, _ := below(own, "options")
	if on, _ := options["SystemdCgroup"].(bool); on {
		return systemd, key
	}
	return cgroupfs, key
}

// dockerDriver is that of the execution options. Where none is set, docker takes
// systemd on a host that has it and the unified hierarchy, which a tree that is
// not live does not tell.
func (s *scene) dockerDriver(r runtimeSeen) (name, key string) {
	if name = r.flags.last("--exec-opt.native.cgroupdriver"); name != "" {
		return name, ""
	}
	options, _ := r.tree["exec-opts"].([]any)
	for _, option := range options {
		if text, ok := option.(string); ok {
			if set, ok := strings.CutPrefix(text, "native.cgroupdriver="); ok {
				name = set
			}
		}
	}
	switch {
	case name != "":
		return name, "exec-opts[0]"
	case !s.root.Live():
		return "", ""
	case s.root.Systemd() && s.root.Exists("/sys/fs/cgroup/cgroup.controllers"):
		return systemd, "exec-opts[0]"
	default:
		return cgroupfs, "exec-opts[0]"
	}
}

// below returns the table that the names lead to.
func below(tree map[string]any, names ...string) (map[string]any, bool) {
	for _, name := range names {
		next, ok := tree[name].(map[string]any)
		if !ok {
			return nil, false
		}
		tree = next
	}
	return tree, true
}
