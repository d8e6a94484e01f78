package host

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"
)

// Process is a process of the host itself, not of a container with a pid
// namespace of its own.
type Process struct {
	PID     int
	Comm    string
	Args    []string
	Exe     string // what /proc/PID/exe names; "" where reading it needs CAP_SYS_PTRACE
	Started time.Time
}

// Replaced tells whether the file that the process was started from is gone from
// its place.
func (p Process) Replaced() bool { return strings.HasSuffix(p.Exe, deleted) }

const deleted = " (deleted)"

// Program is the base name of what runs: of the executable, else of its first argument.
func (p Process) Program() string {
	if p.Exe != "" {
		return path.Base(strings.TrimSuffix(p.Exe, deleted))
	}
	if len(p.Args) > 0 {
		return path.Base(p.Args[0])
	}
	return p.Comm
}

// Processes are the host's processes whose command name is one of comms, oldest
// first. A tree that is not live has none. One that has long been there under another
// name, and executes one of them now, is found within five minutes.
func (r *Root) Processes(comms ...string) ([]Process, error) {
	if !r.live {
		return nil, nil
	}
	fs, err := procfs.NewFS(fdPath(r.proc))
	if err != nil {
		return nil, fmt.Errorf("open procfs: %w", err)
	}
	pids, err := r.comms.of(r.proc, comms)
	if err != nil {
		return nil, err
	}
	boot, err := booted()
	if err != nil {
		return nil, err
	}
	var out []Process
	for _, pid := range pids {
		p, err := fs.Proc(pid)
		if err != nil {
			continue // it has ended
		}
		if comm, err := p.Comm(); err == nil && slices.Contains(comms, comm) {
			if found, err := process(p, comm, boot); err == nil {
				out = append(out, found)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Process) int { return a.Started.Compare(b.Started) })
	return out, nil
}

var errContained = errors.New("in a pid namespace of its own")

func process(p procfs.Proc, comm string, boot time.Time) (Process, error) {
	status, err := p.NewStatus()
	if err != nil {
		return Process{}, err
	}
	if len(status.NSpids) > 1 {
		return Process{}, errContained
	}
	args, err := p.CmdLine()
	if err != nil {
		return Process{}, err
	}
	stat, err := p.Stat()
	if err != nil {
		return Process{}, err
	}
	exe, _ := p.Executable()
	ticks := time.Duration(stat.Starttime) * (time.Second / userHZ) //nolint:gosec // since the boot
	return Process{PID: p.PID, Comm: comm, Args: args, Exe: exe, Started: boot.Add(ticks)}, nil
}

// userHZ is in how many parts a second procfs counts.
const userHZ = 100

// booted is when the host booted, by its clock as it is now. /proc/stat has it too, once
// the kernel has counted each interrupt of the machine.
func booted() (time.Time, error) {
	var since unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &since); err != nil {
		return time.Time{}, fmt.Errorf("read the time since the boot: %w", err)
	}
	return time.Now().Add(-time.Duration(since.Nano())).Round(0), nil
}
