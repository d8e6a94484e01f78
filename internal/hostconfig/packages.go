package hostconfig

import (
	"bytes"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	dpkgStatus = "/var/lib/dpkg/status"
	maxStatus  = 64 << 20
)

// packages are the installed packages by name; their versions are not the
// configuration's. A host without a package database has none.
func (l *look) packages(_ Rule, _ string) *table {
	l.noteFile(dpkgStatus)
	installed, err := remembered(l, dpkgStatus, maxStatus, func(data []byte) (map[string]bool, error) { return parseDpkg(data), nil })
	if gone(err) {
		return l.rpmPackages()
	}
	if err != nil {
		return faulty("package", faultOf(dpkgStatus, err))
	}
	return packageTable(installed)
}

func packageTable(installed map[string]bool) *table {
	t := newTable("package")
	for name := range installed {
		t.entries[drift.Printable(name)] = entry{value: "installed", args: map[string]string{"package": drift.Printable(name)}}
	}
	return t
}

// parseDpkg reads dpkg's status file: the packages whose files are there.
func parseDpkg(data []byte) map[string]bool {
	out := map[string]bool{}
	name, installed := "", false
	end := func() {
		if name != "" && installed {
			out[name] = true
		}
		name, installed = "", false
	}
	for line := range bytes.Lines(data) {
		text := strings.TrimRight(string(line), "\r\n")
		key, value, _ := strings.Cut(text, ":")
		switch {
		case strings.TrimSpace(text) == "":
			end()
		case key == "Package":
			name = strings.TrimSpace(value)
		case key == "Status":
			words := strings.Fields(value)
			installed = len(words) == 3 && words[2] != "not-installed" && words[2] != "config-files"
		}
	}
	end()
	return out
}
