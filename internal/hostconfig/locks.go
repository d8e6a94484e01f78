package hostconfig

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Flags of linux/fs.h.
const (
	immutable  = 0x10
	appendOnly = 0x20
)

// locks tell of files whether chattr made them immutable.
func (l *look) locks(_ Rule, glob string) *table {
	t := byPath("locks", glob)
	names, err := l.expand(glob)
	if err != nil {
		t.fault = faultOf(glob, err)
		return t
	}
	for _, name := range names {
		flags, err := l.inodeFlags(name)
		switch {
		case gone(err) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EOPNOTSUPP):
			// Not there, or on a file system without such flags.
		case err != nil:
			t.fault = faultOf(name, err)
			return t
		default:
			t.entries[drift.Printable(name)] = entry{value: lock(flags), want: "unlocked", args: pathArgs(name)}
		}
	}
	return t
}

func (l *look) inodeFlags(name string) (int, error) {
	f, err := l.root.OpenFile(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	flags, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		return 0, &os.PathError{Op: "read flags", Path: name, Err: err}
	}
	return flags, nil
}

func lock(flags int) string {
	switch {
	case flags&immutable != 0:
		return "immutable"
	case flags&appendOnly != 0:
		return "append-only"
	default:
		return "unlocked"
	}
}
