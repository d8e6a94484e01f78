package host

import (
	"bytes"
	"os"
	"strings"
)

const maxName = 4 << 10

// Hostname is the host's name; "" where it has none.
func (r *Root) Hostname() string {
	if r.live {
		if name := r.line("/proc/sys/kernel/hostname"); name != "" {
			return name
		}
		name, _ := os.Hostname()
		return name
	}
	data, _ := r.ReadFile("/etc/hostname", maxName)
	return HostnameIn(string(data))
}

// HostnameIn is the name in an /etc/hostname, which may have comments.
func HostnameIn(file string) string {
	for line := range strings.Lines(file) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}

// MachineID is the host's machine-id; "" where it has none.
func (r *Root) MachineID() string {
	if id := r.line("/etc/machine-id"); id != "" && id != "uninitialized" {
		return id
	}
	return r.line("/var/lib/dbus/machine-id")
}

// InstanceID is the cloud's id of the machine as cloud-init keeps it; "" where
// there is none.
func (r *Root) InstanceID() string { return r.line("/var/lib/cloud/data/instance-id") }

// BootID is another one after every boot; "" for a tree that is not live.
func (r *Root) BootID() string { return r.line("/proc/sys/kernel/random/boot_id") }

// Systemd tells whether systemd runs the host, as sd_booted(3) does.
func (r *Root) Systemd() bool {
	e, err := r.Lstat("/run/systemd/system")
	return err == nil && e.Type == Directory
}

// line is the first line of a short file.
func (r *Root) line(name string) string {
	data, err := r.ReadFile(name, maxName)
	if err != nil {
		return ""
	}
	first, _, _ := bytes.Cut(data, []byte("\n"))
	return strings.TrimSpace(string(first))
}

// CloudInitDone tells whether cloud-init, where it is present, has finished.
func (r *Root) CloudInitDone() bool {
	return !r.Exists("/run/cloud-init") || r.Exists("/run/cloud-init/result.json") || r.Exists("/run/cloud-init/disabled")
}
