package components

import (
	"path"
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/node"
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

// RuntimeOf is the kind of the runtime that the kubelet of a host uses, such as containerd;
// "" where neither its Node nor its files tell.
func RuntimeOf(root *host.Root, source *node.Source) string {
	s := look(root, nil)
	s.own, _ = source.Get()
	return s.family()
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

// idle tells whether the Node says that the kubelet uses another runtime than this one.
func (s *scene) idle(c Component) bool {
	kind, _, told := strings.Cut(s.own.ContainerRuntimeVersion, "://")
	return told && (c == Containerd || c == Docker) && kind != string(c)
}

// passedOver tells whether this is a runtime that the kubelet does not use.
func (s *scene) passedOver(c Component) bool {
	return c != Kubelet && s.runtimes[c].config == nil || s.idle(c)
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
