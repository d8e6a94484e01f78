package components

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	cniDir = "/etc/cni/net.d"
	maxCNI = 1 << 20
)

// network is the configuration of the network plugin: the one in force, which is the
// first by name, as "network", and all that there are as "cni".
func (s *scene) network(Rule) []*area {
	dir := s.cniDirectory()
	names, err := s.names(dir, "cni", isCNI)
	if err != nil {
		return faulty("cni", err, dir)
	}
	if names == nil {
		return nil
	}
	areas := []*area{listing("cni", dir, names)}
	inForce := false
	for _, name := range names {
		a, tree := s.cniFile(dir, name)
		if areas = append(areas, a); tree != nil && !inForce {
			areas, inForce = append(areas, networkInForce(a, name, tree)), true
		}
	}
	return areas
}

func isCNI(name string) bool {
	return slices.Contains([]string{".conf", ".conflist", ".json"}, path.Ext(name))
}

// cniDirectory is where the runtime looks.
func (s *scene) cniDirectory() string {
	if dir := s.kubelet.flags.last("--cni-conf-dir"); dir != "" {
		return absolute(dir)
	}
	for _, plugin := range criPlugins {
		if cni, ok := below(s.runtimes[Containerd].tree, "plugins", plugin, "cni"); ok {
			if dir, _ := cni["conf_dir"].(string); dir != "" {
				return absolute(dir)
			}
		}
	}
	return cniDir
}

// cniFile reads one. The runtime passes over what is malformed, of which only the
// digest is told.
func (s *scene) cniFile(dir, name string) (*area, map[string]any) {
	place := path.Join(dir, name)
	a := document("cni "+oneWord(name), place)
	f, err := s.read(place, maxCNI)
	if err != nil {
		a.failed(err)
		return a, nil
	}
	a.changed, a.state = f.changed, present
	tree, err := parseJSON(f.data)
	var keys map[string]string
	if err == nil {
		keys, err = flatten(tree, plainKeys)
	}
	if err != nil {
		a.values["content"] = value{text: strings.TrimPrefix(digest(string(f.data)), "... ")}
		return a, nil
	}
	for key, text := range keys {
		a.values[key] = value{text, place, f.changed}
	}
	return a, tree
}

// networkInForce is what the first well-formed file sets up.
func networkInForce(file *area, name string, tree map[string]any) *area {
	a := document("network", file.place)
	a.state, a.changed = present, file.changed
	set := func(key string, raw any) {
		if text, ok := raw.(string); ok && text != "" {
			a.values[key] = value{bounded(text), file.place, file.changed}
		}
	}
	set("configuration", name)
	set("name", tree["name"])
	set("plugin[0]", tree["type"])
	plugins, _ := tree["plugins"].([]any)
	for i, plugin := range plugins {
		if settings, ok := plugin.(map[string]any); ok {
			set(fmt.Sprintf("plugin[%d]", i), settings["type"])
		}
	}
	return a
}

// names are the files of a directory that are of a kind; none where the directory is
// not there and was not, empty where it went.
func (s *scene) names(dir, prefix string, kind func(string) bool) ([]string, error) {
	s.noteDir(dir)
	names, err := s.root.ReadDir(dir, maxNames)
	if gone(err) {
		if _, was := s.recorded[prefix+" files"]; was {
			return []string{}, nil
		}
		return nil, nil
	}
	if err != nil {
		return nil, &fileFault{dir, err}
	}
	out := slices.DeleteFunc(names, func(name string) bool { return !kind(name) })
	return append([]string{}, out...), nil
}
