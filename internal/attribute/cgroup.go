package attribute

import (
	"regexp"
	"slices"
	"strings"
)

// place is what a control group says about its processes: the pod, by uid, the
// container, by id, or both.
type place struct{ pod, container string }

var (
	// "pod6f1d…" of cgroupfs, "kubepods-burstable-pod6f1d_….slice" of systemd, with
	// "kubelet-" before it in a node that is a container. The uid of a static pod is
	// a hash without dashes.
	podGroup = regexp.MustCompile(`(?:^|-)pod([0-9a-f]{8}([-_])[0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?$`)
	// "4c5e…", "cri-containerd-4c5e….scope", "crio-4c5e…", "docker-4c5e….scope",
	// "libpod-4c5e….scope".
	containerGroup = regexp.MustCompile(`^(?:([a-z][a-z0-9-]*)-)?([0-9a-f]{64})(?:\.scope)?$`)
)

// places reads the path of a control group from the outside in: more than one where
// there is a node in a container. Where the kubelet's driver is systemd and that of
// the runtime is not, a colon parts what a slash should.
func places(path string) []place {
	var out []place
	path = strings.TrimSuffix(path, " (deleted)")
	for _, name := range strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == ':' }) {
		if pod := podGroup.FindStringSubmatch(name); pod != nil {
			out = append(out, place{pod: strings.ReplaceAll(pod[1], "_", "-")})
			continue
		}
		container := containerGroup.FindStringSubmatch(name)
		if container == nil || strings.HasSuffix(container[1], "conmon") { // the monitor runs outside
			continue
		}
		switch last := len(out) - 1; {
		case last < 0:
			out = append(out, place{container: container[2]})
		case out[last].pod != "" && out[last].container == "":
			out[last].container = container[2]
		}
	}
	return out
}

// cgroupPaths are the paths in a cgroup file, each once.
func cgroupPaths(text string) []string {
	var out []string
	for line := range strings.Lines(text) {
		_, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		_, path, ok := strings.Cut(rest, ":")
		if ok && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	return out
}
