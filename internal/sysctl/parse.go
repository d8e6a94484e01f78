package sysctl

import (
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
)

// setting is one assignment of a sysctl.d file.
type setting struct {
	key   string // path below /proc/sys, may be a glob: "net/ipv4/conf/*/rp_filter"
	value string
	bare  bool // "-key" without a value: keeps globs off the key
	file  string
	line  int
}

func (s setting) glob() bool { return strings.ContainsAny(s.key, "*?[") }

// parseSettings reads sysctl.d(5) text. A line that is no assignment is ignored,
// as systemd-sysctl and sysctl(8) do.
func parseSettings(file string, data []byte) []setting {
	var out []setting
	number := 0
	for line := range strings.Lines(string(data)) {
		number++
		if s, ok := parseSetting(strings.Trim(line, " \t\r\n\v\f")); ok {
			s.file, s.line = file, number
			out = append(out, s)
		}
	}
	return out
}

func parseSetting(line string) (setting, bool) {
	if line == "" || line[0] == '#' || line[0] == ';' {
		return setting{}, false
	}
	name, value, assigned := strings.Cut(line, "=")
	name, minus := strings.CutPrefix(name, "-")
	path := key(strings.TrimSpace(name))
	if path == "" || !assigned && !minus {
		return setting{}, false
	}
	return setting{key: path, value: strings.TrimSpace(value), bare: !assigned}, true
}

// key is the path of a name, without doubled or leading slashes.
func key(name string) string {
	path := host.SysctlPath(strings.TrimPrefix(name, "/proc/sys/"))
	if path != "" && path[0] != '/' && path[len(path)-1] != '/' && !strings.Contains(path, "//") {
		return path
	}
	return strings.Join(strings.FieldsFunc(path, func(r rune) bool { return r == '/' }), "/")
}
