package probe

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// maxMemory is what the garbage collector of a child tries to keep to.
const maxMemory = 64 << 20

// limits of a child: no core, no file written, a handful of descriptors, and an
// end to a loop that never ends.
var limits = [...]struct {
	resource int
	max      uint64
}{
	{unix.RLIMIT_CORE, 0},
	{unix.RLIMIT_FSIZE, 0},
	{unix.RLIMIT_NOFILE, 64},
	{unix.RLIMIT_CPU, 20},
}

// restrict takes away what a child has no use for. Capabilities belong to threads:
// the one that does the work is kept, and keeps only the right to find its way
// through directories of other users.
func restrict() error {
	runtime.LockOSThread()
	debug.SetMemoryLimit(maxMemory)
	for _, l := range limits {
		if err := unix.Setrlimit(l.resource, &unix.Rlimit{Cur: l.max, Max: l.max}); err != nil {
			return fmt.Errorf("limit resource %d: %w", l.resource, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up new privileges: %w", err)
	}
	return dropCapabilities()
}

func dropCapabilities() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read the capabilities: %w", err)
	}
	kept := sets[0].Permitted & (1 << unix.CAP_DAC_READ_SEARCH)
	sets = [2]unix.CapUserData{{Effective: kept, Permitted: kept}}
	if err := unix.Capset(&header, &sets[0]); err != nil {
		return fmt.Errorf("drop the capabilities: %w", err)
	}
	return nil
}
