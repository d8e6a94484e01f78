package packages

import (
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/rpm"
)

// DpkgLock is locked while dpkg changes files and its database.
const DpkgLock = "/var/lib/dpkg/lock"

// closes is how long rpm may keep what it wrote last beside its database. What is there
// longer was left behind.
const closes = 15 * time.Minute

// Busy tells whether the package manager is at work, so that files and database need
// not agree.
func Busy(root *host.Root) bool {
	database := DatabaseOf(root)
	if database == DpkgStatus {
		return locked(root, DpkgLock)
	}
	state, err := rpm.StateOf(root, database)
	return locked(root, rpm.Lock(database)) || err == nil && closing(state, time.Now())
}

func closing(s rpm.State, now time.Time) bool {
	return s.Unfinished() && now.Sub(s.Log.Changed) < closes
}

// locked tells whether somebody may write who has locked the file; locks of readers,
// which anybody can be, do not count.
func locked(root *host.Root, name string) bool {
	f, err := root.OpenFile(name)
	if err != nil {
		return false
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	return unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock) == nil && lock.Type != unix.F_UNLCK
}
