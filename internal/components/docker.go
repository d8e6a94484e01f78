package components

const dockerConfig = "/etc/docker/daemon.json"

// lookAtDocker passes over a docker that the kubelet does not use.
func (s *scene) lookAtDocker() {
	if s.endpoint() != "" && s.kubeletUses() != Docker {
		return
	}
	seen := runtimeSeen{flags: s.addCommand(Docker)}
	a := s.add(&area{
		component: Docker, name: "docker daemon.json", prefix: "docker daemon.json", owns: anyKey,
		place: s.runtimePath(Docker, seen.flags, "--config-file", dockerConfig),
	})
	a.changed = s.changedAround(a.place)
	var l layers
	l.add(s.read(a.place, maxFile))
	tree, err := l.flatten(a, parseJSON, quotedKeys, replaced)
	a.settle(len(l.files) > 0, err)
	seen.config, seen.tree = a, tree
	s.runtimes[Docker] = seen
}
