package host

import (
	"errors"
	"io"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// Dir is an open directory of the host. What is opened through it is one of its
// own entries: no link is followed and no mount point crossed.
type Dir struct {
	f      *os.File
	reopen reopener
}

// Close closes the directory.
func (d *Dir) Close() error { return d.f.Close() }

// Names returns the directory's entries, sorted, at most max of them; with more
// it fails with ErrTooLarge.
func (d *Dir) Names(max int) ([]string, error) {
	names, err := d.f.Readdirnames(max + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(names) > max {
		return nil, &os.PathError{Op: "read", Path: d.f.Name(), Err: ErrTooLarge}
	}
	slices.Sort(names)
	return names, nil
}

// Lstat looks at one entry.
func (d *Dir) Lstat(name string) (Entry, error) { return statx(int(d.f.Fd()), name, 0) }

// Readlink returns where one entry points.
func (d *Dir) Readlink(name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(int(d.f.Fd()), name, buf)
	if err != nil {
		return "", &os.PathError{Op: "readlink", Path: name, Err: err}
	}
	return string(buf[:n]), nil
}

// OpenDir opens a subdirectory.
func (d *Dir) OpenDir(name string) (*Dir, error) {
	fd, err := d.open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Dir{os.NewFile(uintptr(fd), name), d.reopen}, nil
}

// OpenFile opens a regular file for reading, and refuses anything else without
// opening it.
func (d *Dir) OpenFile(name string) (*os.File, error) {
	fd, err := d.open(name, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return d.reopen.regular(fd, name)
}

func (d *Dir) open(name string, flags int) (int, error) {
	fd, err := openat2(d.f, name, flags, unix.RESOLVE_BENEATH|unix.RESOLVE_NO_SYMLINKS|unix.RESOLVE_NO_XDEV)
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	fd, err = unix.Openat(int(d.f.Fd()), name, flags|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return fd, nil
}
