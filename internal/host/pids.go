package host

import (
	"strconv"
	"strings"
)

const maxStatus = 64 << 10

// kernelThread is PF_KTHREAD of linux/sched.h.
const kernelThread = 0x00200000

// KernelPIDs tells whether the host's processes have the pids that the kernel
// itself uses, as in nf_tables generations and BPF programs: its threads are among
// them. Those of a host that is a container are others.
func (r *Root) KernelPIDs() bool {
	if !r.live {
		return false
	}
	stat, err := r.ReadFile("/proc/2/stat", maxStatus)
	if err != nil {
		return false
	}
	// The name, in parentheses, may have any of them in it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const flags = 6
	if len(fields) <= flags {
		return false
	}
	set, err := strconv.ParseUint(fields[flags], 10, 64)
	return err == nil && set&kernelThread != 0
}

// OwnPIDs tells whether the host's processes have the pids that the kernel tells
// this process, as in fanotify events: it has one pid alone there, and not further
// ones in namespaces below (hostPID: true in a pod).
func (r *Root) OwnPIDs() bool {
	if !r.live {
		return false
	}
	status, err := r.ReadFile("/proc/self/status", maxStatus)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if pids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			return len(strings.Fields(pids)) == 1
		}
	}
	return false
}
