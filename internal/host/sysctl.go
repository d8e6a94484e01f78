package host

import (
	"errors"
	"fmt"
	"strings"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
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

// OpenSysctl opens the parameter at a path below /proc/sys. The descriptor is a bare one:
// the runtime would wait for a readiness that these files have and nobody asks for.
func (r *Root) OpenSysctl(path string) (fd int, err error) {
	if r.live {
		fd, err = openat2(r.proc, "sys/"+path, unix.O_RDONLY|unix.O_NOCTTY, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS)
		if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
			return fd, err
		}
	}
	f, err := r.OpenFile("/proc/sys/" + path)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func (r *Root) procfsSysctl(name string) ([]string, error) {
	fs, err := procfs.NewFS(fdPath(r.proc))
	if err != nil {
		return nil, fmt.Errorf("open procfs: %w", err)
	}
	return fs.SysctlStrings(name)
}
