package components

import (
	"path"
	"strings"
)

// secondDocker are signs of a docker beside the runtime in use.
var secondDocker = [...]string{
	"/etc/systemd/system/docker.service", "/usr/lib/systemd/system/docker.service", "/lib/systemd/system/docker.service", "/run/docker.sock",
}

// runtime is what the kubelet runs containers with, and what is there beside it.
func (s *scene) runtime(Rule) []*area {
	family := s.family()
	settings := map[string]string{"family": family, "endpoint": s.endpoint()}
	if family == string(Containerd) {
		settings["beside it"] = s.dockerBeside()
	}
	return simple("runtime", settings)
}

// family is the kind of the runtime that the kubelet uses; "" where it cannot be told.
func (s *scene) family() string {
	if kind, _, ok := strings.Cut(s.own.ContainerRuntimeVersion, "://"); ok {
		return kind
	}
	if !s.kubeletHere() {
		return ""
	}
	c := s.kubeletUses()
	switch {
	case c == "" && path.Base(s.endpoint()) == "crio.sock":
		return "cri-o"
	case s.endpoint() == "" && !s.judged(s.runtimes[c].config):
		return ""
	default:
		return string(c)
	}
}

func (s *scene) dockerBeside() string {
	if s.processes[Docker] != nil {
		return "docker, running"
	}
	for _, name := range secondDocker {
		s.noteFile(name)
		if s.root.Exists(name) {
			return "docker, installed"
		}
	}
	return ""
}
