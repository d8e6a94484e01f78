package hostconfig

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// configDirs are where systemd looks for a configuration, the first first.
var configDirs = [...]string{"/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"}

// settings are the settings of a systemd-style file with its drop-ins, as
// "Section.Key": a name in an earlier directory hides the same in a later one, and
// drop-ins come after the file, by name.
func (l *look) settings(_ Rule, name string) *table {
	files, err := l.layers(name)
	if err != nil {
		return faulty(name, faultOf(name, err))
	}
	t := newTable(name)
	t.absent = len(files) == 0
	for _, file := range files {
		data, at, err := l.read(file)
		if gone(err) {
			continue
		}
		if err != nil {
			return faulty(name, faultOf(file, err))
		}
		for key, value := range parseSettings(data) {
			t.entries[drift.Printable(key)] = entry{value: shownDirective(value), changed: at, args: map[string]string{"file": drift.Printable(file)}}
		}
	}
	return t
}

// layers are the file in force and its drop-ins, in the order they are read. A
// link to /dev/null hides without saying anything.
func (l *look) layers(name string) ([]string, error) {
	below, dirs := name, []string{"/"}
	for _, dir := range configDirs {
		if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
			below, dirs = rest, configDirs[:]
			break
		}
	}
	main, dropIns := "", map[string]string{}
	for _, dir := range dirs {
		file := path.Join(dir, below)
		l.dirs[path.Dir(file)] = true
		if _, err := l.root.Lstat(file); err == nil && main == "" {
			main = file
		} else if err != nil && !gone(err) {
			return nil, &fileError{file, err}
		}
		names, err := l.list(file + ".d")
		if err != nil {
			return nil, &fileError{file + ".d", err}
		}
		for _, base := range names {
			if _, hidden := dropIns[base]; !hidden && path.Ext(base) == ".conf" {
				dropIns[base] = path.Join(file+".d", base)
			}
		}
	}
	var out []string
	if main != "" {
		out = append(out, main)
	}
	for _, base := range sortedKeys(dropIns) {
		out = append(out, dropIns[base])
	}
	return slices.DeleteFunc(out, l.masked), nil
}

func (l *look) masked(name string) bool {
	to, err := l.root.Readlink(name)
	return err == nil && to == "/dev/null"
}

// parseSettings reads sections of KEY=VALUE; of one key the last counts.
func parseSettings(data []byte) map[string]string {
	out, section := map[string]string{}, ""
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		switch {
		case text == "" || text[0] == '#' || text[0] == ';':
		case text[0] == '[' && strings.HasSuffix(text, "]"):
			section = text[1:len(text)-1] + "."
		default:
			if key, value, ok := strings.Cut(text, "="); ok {
				out[section+strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return out
}
