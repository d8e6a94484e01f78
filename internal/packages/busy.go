package packages

import (
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// DpkgLock is locked while dpkg changes files and its database.
const DpkgLock = "/var/lib/dpkg/lock"

// Busy tells whether the package manager is at work, so that files and database need
// not agree.
func Busy(root *host.Root) bool {
	f, err := root.OpenFile(DpkgLock)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}
