package components

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"regexp"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// errForeignPIDs: a descriptor of a process can only be had by a pid of one's own.
var errForeignPIDs = errors.New("the reader's pid namespace is not that of the host (hostPID: true in a pod)")

// handle is a process that is held, whatever its pid is used for later.
type handle struct {
	pid int
	fd  *os.File
}

// ownPIDs tells whether the pids in the host's /proc are those of this process's
// own namespace: there it has one pid, and none in each namespace below.
func ownPIDs(root *host.Root) error {
	data, err := root.ReadFile("/proc/self/status", 64<<10)
	if err != nil {
		return errForeignPIDs // a namespace in which it is not seen
	}
	if found := nsPIDs.FindSubmatch(data); found != nil && len(bytes.Fields(found[1])) > 1 {
		return errForeignPIDs
	}
	return nil
}

var nsPIDs = regexp.MustCompile(`(?m)^NSpid:(.*)$`)

// hold opens a process. One that has just exited is none: ESRCH.
func hold(root *host.Root, pid int) (*handle, error) {
	if err := ownPIDs(root); err != nil {
		return nil, err
	}
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("pidfd_open: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // for the runtime's poller
		_ = unix.Close(fd)
		return nil, fmt.Errorf("set nonblocking: %w", err)
	}
	return &handle{pid, os.NewFile(uintptr(fd), "pidfd")}, nil
}

// wait returns when the process has exited, or with an error when it was let go.
func (h *handle) wait() error {
	raw, err := h.fd.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) //nolint:gosec // a descriptor
		return err == nil && ready > 0
	})
}

func (h *handle) letGo() { _ = h.fd.Close() }
