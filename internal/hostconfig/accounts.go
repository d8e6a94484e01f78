package hostconfig

import (
	"bytes"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// shells are the login shells of a passwd(5) file, and nothing else of it.
func (l *look) shells(_ Rule, name string) *table {
	data, at, err := l.read(name)
	if gone(err) {
		return skipped()
	}
	if err != nil {
		return faulty("shell", faultOf(name, err))
	}
	t := newTable("shell")
	for user, shell := range parseShells(data) {
		t.entries[drift.Printable(user)] = entry{
			value: shownDirective(shell), changed: at, args: map[string]string{"user": drift.Printable(user), "file": name},
		}
	}
	return t
}

// parseShells takes the first line of a user, as getpwnam(3) does. An empty field
// stands for /bin/sh.
func parseShells(data []byte) map[string]string {
	out := map[string]string{}
	for line := range bytes.Lines(data) {
		fields := strings.Split(strings.TrimRight(string(line), "\n"), ":")
		if len(fields) != 7 || fields[0] == "" || strings.ContainsAny(fields[0][:1], "+-#") {
			continue
		}
		if _, known := out[fields[0]]; known {
			continue
		}
		if out[fields[0]] = strings.TrimSpace(fields[6]); out[fields[0]] == "" {
			out[fields[0]] = "/bin/sh"
		}
	}
	return out
}
