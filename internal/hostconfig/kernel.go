package hostconfig

import (
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	commandLine = "/proc/cmdline"
	enforcement = "/sys/fs/selinux/enforce"
)

// ofThisBoot are parameters of the command line that an update of the kernel or
// another machine has otherwise.
var ofThisBoot = map[string]bool{"BOOT_IMAGE": true, "initrd": true, "root": true, "resume": true, "ostree": true}

// kernel is how the kernel was started: its command line, SELinux and the version
// of the cgroup hierarchy. Its own version is not the configuration's.
func (l *look) kernel(_ Rule, _ string) *table {
	data, err := l.root.ReadFile(commandLine, maxFile)
	if gone(err) && !l.root.Live() {
		return skipped()
	}
	if err != nil {
		return faulty("kernel", faultOf(commandLine, err))
	}
	t := newTable("kernel")
	for name, value := range parseCommandLine(string(data)) {
		if !ofThisBoot[name] {
			t.entries["command line "+drift.Printable(name)] = entry{value: shownDirective(value)}
		}
	}
	t.entries["SELinux"] = entry{value: l.selinux()}
	t.entries["cgroup"] = entry{value: l.cgroupVersion()}
	return t
}

// parseCommandLine joins the values of a parameter that is there several times.
// What holds a secret by its name is only known to be set.
func parseCommandLine(line string) map[string]string {
	out := map[string]string{}
	for _, word := range splitQuoted(line) {
		if word == "--" {
			break
		}
		name, value, _ := strings.Cut(word, "=")
		if lower := strings.ToLower(name); strings.Contains(lower, "password") || strings.Contains(lower, "token") || strings.Contains(lower, "secret") {
			value = "set"
		}
		if before, twice := out[name]; twice {
			value = before + " " + value
		}
		if out[name] = value; value == "" {
			out[name] = "set"
		}
	}
	return out
}

// splitQuoted splits at white space outside of double quotes, as the kernel does.
func splitQuoted(s string) []string {
	quoted := false
	words := strings.FieldsFunc(s, func(r rune) bool {
		if r == '"' {
			quoted = !quoted
		}
		return !quoted && (r == ' ' || r == '\t' || r == '\n')
	})
	for i, w := range words {
		words[i] = strings.ReplaceAll(w, `"`, "")
	}
	return words
}

func (l *look) selinux() string {
	data, err := l.root.ReadFile(enforcement, maxFile)
	switch {
	case err != nil:
		return "off"
	case strings.TrimSpace(string(data)) == "1":
		return "enforcing"
	default:
		return "permissive"
	}
}

func (l *look) cgroupVersion() string {
	if l.root.Exists("/sys/fs/cgroup/cgroup.controllers") {
		return "v2"
	}
	return "v1"
}
