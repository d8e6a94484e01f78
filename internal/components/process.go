package components

import (
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
)

// findProcesses finds the host's own kubelet, containerd and dockerd, or says why
// it cannot.
func findProcesses(root *host.Root) (processes, *fault) {
	found := processes{}
	if !root.Live() {
		return found, nil
	}
	if !root.Exists("/proc/1/stat") {
		return found, &fault{"processes of other users are hidden here", "run as root, or mount /proc without hidepid"}
	}
	all, err := root.Processes("kubelet", "hyperkube", "containerd", "dockerd")
	if err != nil {
		return found, &fault{"the host's processes could not be listed", "run as root in the host's pid namespace (hostPID: true in a pod)"}
	}
	for _, c := range components {
		found[c] = pick(c, all)
	}
	return found, nil
}

// pick chooses among processes, oldest first: what a component's program runs goes
// before what only bears its name, as a script that starts it does.
func pick(c Component, all []host.Process) *host.Process {
	var named *host.Process
	for i, p := range all {
		if !isComponent(c, p) {
			continue
		}
		if slices.Contains(programs(c), p.Program()) {
			return &all[i]
		}
		if named == nil {
			named = &all[i]
		}
	}
	return named
}

func programs(c Component) []string {
	switch c {
	case Kubelet:
		return []string{"kubelet", "hyperkube"}
	case Containerd:
		return []string{"containerd"}
	default:
		return []string{"dockerd"}
	}
}

// isComponent leaves out what has exited already, what else hyperkube can be, and
// the containerd that dockerd, k3s or rke2 start for themselves.
func isComponent(c Component, p host.Process) bool {
	switch {
	case len(p.Args) == 0 || !slices.Contains(programs(c), p.Comm):
		return false
	case p.Comm == "hyperkube":
		return len(p.Args) > 1 && p.Args[1] == "kubelet"
	case c == Containerd:
		return !foreignContainerd(p)
	default:
		return true
	}
}

func foreignContainerd(p host.Process) bool {
	config := dialectOf(Containerd).parse(p.Args[1:]).last("--config")
	for _, place := range []string{"/var/run/docker/", "/run/docker/", "/var/lib/rancher/"} {
		if strings.HasPrefix(config, place) || strings.HasPrefix(p.Exe, place) {
			return true
		}
	}
	return false
}
