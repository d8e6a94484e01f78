package host

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// youth is how long a process may still be about to execute what it was started for.
	youth = 10 * time.Second
	// commKept is when a command name is read again whatever happened.
	commKept = 5 * time.Minute
)

// comms knows the command names of the processes there are, and reads those alone
// that it cannot know: a listing of procfs gives each process an inode of its own.
type comms struct {
	mu    sync.Mutex
	known []command // by pid
	youth time.Duration
}

type command struct {
	pid         int
	inode       uint64
	comm        string
	first, read time.Time
}

// of returns the pids of the processes that have one of these command names.
func (c *comms) of(proc *os.File, names []string) ([]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	dir, err := unix.Openat(int(proc.Fd()), ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open procfs: %w", err)
	}
	defer unix.Close(dir) //nolint:errcheck // it was only read
	listed, err := listPIDs(dir, len(c.known))
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	now := time.Now()
	known, next := c.known, 0
	for i := range listed {
		p := &listed[i]
		for next < len(known) && known[next].pid < p.pid {
			next++
		}
		p.first = now
		if next < len(known) && known[next].pid == p.pid && known[next].inode == p.inode {
			p.first = known[next].first
			if k := known[next]; k.read.Sub(k.first) >= c.youth && now.Sub(k.read) < commKept {
				p.comm, p.read = k.comm, k.read
				continue
			}
		}
		p.comm, p.read = commOf(dir, p.pid), now
	}
	c.known = listed
	var out []int
	for _, p := range listed {
		if slices.Contains(names, p.comm) {
			out = append(out, p.pid)
		}
	}
	return out, nil
}

// commOf is "" for a process that has ended.
func commOf(dir, pid int) string {
	fd, err := unix.Openat(dir, strconv.Itoa(pid)+"/comm", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd) //nolint:errcheck // it was only read
	var buffer [64]byte
	n, err := unix.Read(fd, buffer[:])
	if err != nil || n <= 0 {
		return ""
	}
	return strings.TrimSuffix(string(buffer[:n]), "\n")
}

// listPIDs lists the processes with their inodes, by pid.
func listPIDs(dir, expected int) ([]command, error) {
	out := make([]command, 0, expected+16)
	buffer := make([]byte, 32<<10)
	for {
		n, err := unix.Getdents(dir, buffer)
		if err != nil {
			return nil, err
		}
		if n <= 0 {
			break
		}
		for entries := buffer[:n]; len(entries) > direntName; {
			size := int(binary.NativeEndian.Uint16(entries[direntSize:]))
			if size <= direntName || size > len(entries) {
				return nil, fmt.Errorf("an entry of %d bytes", size)
			}
			name := unix.ByteSliceToString(entries[direntName:size])
			if pid, err := strconv.Atoi(name); err == nil {
				out = append(out, command{pid: pid, inode: binary.NativeEndian.Uint64(entries)})
			}
			entries = entries[size:]
		}
	}
	slices.SortFunc(out, func(a, b command) int { return a.pid - b.pid })
	return out, nil
}

// Offsets in struct linux_dirent64: the inode, eight bytes of no use here, the size, the type, the name.
const (
	direntSize = 16
	direntName = 19
)
