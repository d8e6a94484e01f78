package host

import (
	"fmt"
	"strings"

	"github.com/prometheus/procfs"
)

// maxSysctl is more than any sysctl file holds.
const maxSysctl = 64 << 10

// SysctlPath is the path below /proc/sys of a name as sysctl(8) and sysctl.d(5)
// write it: whichever of "." and "/" comes first separates, the other one is
// part of a name. "net.ipv4.conf.eth0/100.rp_filter" is the VLAN eth0.100.
func SysctlPath(name string) string {
	if i := strings.IndexAny(name, "./"); i < 0 || name[i] == '/' {
		return name
	}
	return swapped(name)
}

// SysctlName is the name of a path below /proc/sys, the inverse of SysctlPath.
func SysctlName(path string) string {
	return swapped(path)
}

// swapped has "." and "/" change places. Names of interfaces need not be UTF-8.
func swapped(name string) string {
	out := []byte(name)
	for i, c := range out {
		switch c {
		case '.':
			out[i] = '/'
		case '/':
			out[i] = '.'
		}
	}
	return string(out)
}

// Sysctl returns the fields of a sysctl's value. Whether a net sysctl is the
// host's depends on the reader's network namespace: see CheckNetwork.
func (r *Root) Sysctl(name string) ([]string, error) {
	if r.live && !strings.Contains(name, "/") {
		return r.procfsSysctl(name)
	}
	// procfs cannot name an interface with a dot in it.
	data, err := r.ReadFile("/proc/sys/"+SysctlPath(name), maxSysctl)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(data)), nil
}

func (r *Root) procfsSysctl(name string) ([]string, error) {
	fs, err := procfs.NewFS(fdPath(r.proc))
	if err != nil {
		return nil, fmt.Errorf("open procfs: %w", err)
	}
	return fs.SysctlStrings(name)
}
