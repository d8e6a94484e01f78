package components

import "path"

// files are those that the rule names, read as their names say: YAML, JSON, TOML,
// else assignments of an environment file or a unit. One that is a component's
// configuration already is left to it.
func (s *scene) files(r Rule) []*area {
	var names []string
	var areas []*area
	for _, name := range r.Files {
		s.noteFile(name)
		if s.isConfiguration(name) {
			continue
		}
		a := s.readDocument(name)
		if a.state == present || a.fault != nil {
			names = append(names, name)
		}
		areas = append(areas, a)
	}
	for _, name := range r.Files {
		if s.isConfiguration(name) && s.root.Exists(name) {
			names = append(names, name)
		}
	}
	all := listing("file", "", names)
	own := map[string]bool{}
	for _, name := range r.Files {
		own[oneWord(name)] = true
	}
	all.owns = func(key string) bool { return own[key] }
	return append(areas, all)
}

// isConfiguration tells whether a component that is compared reads the file.
func (s *scene) isConfiguration(name string) bool {
	for _, a := range s.areas {
		if a.place == name {
			return true
		}
	}
	return false
}

func (s *scene) readDocument(name string) *area {
	a := document("file "+oneWord(name), name)
	f, err := s.read(name, maxFile)
	if gone(err) {
		return a
	}
	var keys map[string]string
	if err == nil {
		keys, err = settingsOf(name, f.data)
	}
	if err != nil {
		a.failed(&fileFault{name, err})
		return a
	}
	a.state = present
	for key, text := range keys {
		a.values[key] = value{text, name, f.changed}
	}
	return a
}

func settingsOf(name string, data []byte) (map[string]string, error) {
	parse := map[string]func([]byte) (map[string]any, error){".yaml": parseYAML, ".yml": parseYAML, ".json": parseJSON, ".toml": parseTOML}[path.Ext(name)]
	if parse == nil {
		env := dialectOf(Kubelet).environment(data)
		out := env.flags.texts()
		for key, text := range env.variables {
			out[key] = text
		}
		return out, nil
	}
	if len(data) > maxYAML && path.Ext(name) != ".json" && path.Ext(name) != ".toml" {
		return nil, errTooDeep
	}
	tree, err := parse(data)
	if err != nil {
		return nil, err
	}
	return flatten(tree, plainKeys)
}
