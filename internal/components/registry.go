package components

import (
	"path"
	"strconv"
	"strings"
)

const certsDir = "/etc/containerd/certs.d"

// registries are what containerd's hosts.toml files say of each registry. They are
// read at each pull, so that nothing waits for a restart.
func (s *scene) registries(Rule) []*area {
	if s.family() != string(Containerd) {
		return nil
	}
	dir := s.registryDirectory()
	a := document("registry", dir)
	a.state = present
	names, err := s.names(dir, a.name, func(string) bool { return true })
	if err != nil {
		return faulty(a.name, err, dir)
	}
	for _, name := range names {
		if err := s.addRegistry(a, name); err != nil {
			return faulty(a.name, err, dir)
		}
	}
	return []*area{a}
}

// registryDirectory is the first that is configured, as a rule the only one.
func (s *scene) registryDirectory() string {
	for _, plugin := range append([]string{"io.containerd.cri.v1.images"}, criPlugins...) {
		registry, ok := below(s.runtimes[Containerd].tree, "plugins", plugin, "registry")
		if list, _ := registry["config_path"].(string); ok && list != "" {
			first, _, _ := strings.Cut(list, ":")
			return absolute(first)
		}
	}
	return certsDir
}

// addRegistry adds the settings of one registry, and each of its mirrors by itself.
func (s *scene) addRegistry(a *area, name string) error {
	place := path.Join(a.place, name, "hosts.toml")
	f, err := s.read(place, maxFile)
	if gone(err) {
		return nil
	}
	if err != nil {
		return &fileFault{place, err}
	}
	tree, err := parseTOML(f.data)
	if err != nil {
		return &fileFault{place, err}
	}
	keys, err := flatten(tree, quotedKeys)
	if err != nil {
		return &fileFault{place, err}
	}
	mirrors, _ := below(tree, "host")
	for mirror := range mirrors {
		keys["mirror "+strconv.Quote(bounded(withoutUsers(mirror)))] = string(present)
	}
	for key, text := range keys {
		a.values[oneWord(name)+" "+key] = value{text, place, f.changed}
	}
	return nil
}
