package host

import (
	"os"
	"strconv"

	"github.com/cyphar/filepath-securejoin/pathrs-lite/procfs"
	"golang.org/x/sys/unix"
)

// reopener turns O_PATH handles into descriptors for reading. It keeps this
// process's /proc/self/fd from a procfs that nobody can mount over, which would
// cost more to look for than the file itself.
type reopener struct {
	fds *os.File
	err error // why there is none
}

func newReopener() reopener {
	proc, err := procfs.OpenProcRoot()
	if err != nil {
		return reopener{err: err}
	}
	defer proc.Close()
	fds, err := proc.OpenSelf("fd")
	return reopener{fds, err}
}

func (r reopener) close() {
	if r.fds != nil {
		_ = r.fds.Close()
	}
}

// regular opens what the handle stands for, if that is a regular file. The type
// is looked at first: opening a device can already do something.
func (r reopener) regular(handle int, name string) (*os.File, error) {
	e, err := statx(handle, "", unix.AT_EMPTY_PATH)
	if err != nil {
		return nil, err
	}
	if e.Type != File {
		return nil, &os.PathError{Op: "open", Path: name, Err: ErrNotRegular}
	}
	if r.err != nil {
		return nil, r.err
	}
	fd, err := unix.Openat(int(r.fds.Fd()), strconv.Itoa(handle), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}
