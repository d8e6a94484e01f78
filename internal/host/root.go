package host

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	pathrs "github.com/cyphar/filepath-securejoin/pathrs-lite"
	"golang.org/x/sys/unix"
)

// Root is the host's file system: "/" on the host itself, /host in a pod, any
// directory tree that stands in for a host.
type Root struct {
	dir    *os.File
	proc   *os.File // nil where the tree has no /proc directory
	live   bool
	reopen reopener
	comms  comms
}

// Open opens the host whose root directory is dir.
func Open(dir string) (*Root, error) {
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open host root: %w", err)
	}
	r := &Root{dir: f, reopen: newReopener(), comms: comms{youth: youth}}
	if r.proc, err = r.open("/proc", unix.O_PATH|unix.O_DIRECTORY); err == nil {
		r.live = isProcfs(r.proc)
	}
	return r, nil
}

// Close gives the root's descriptors back.
func (r *Root) Close() error {
	if r.proc != nil {
		_ = r.proc.Close()
	}
	r.reopen.close()
	return r.dir.Close()
}

// Live tells whether the root is a running host: its /proc is a procfs. In a tree
// whose /proc is a plain directory files are read as they stand; sockets,
// processes and the kernel's own answers do not belong to it.
func (r *Root) Live() bool { return r.live }

func isProcfs(f *os.File) bool {
	var s unix.Statfs_t
	return unix.Fstatfs(int(f.Fd()), &s) == nil && s.Type == unix.PROC_SUPER_MAGIC
}

// open resolves name inside the root, links included.
func (r *Root) open(name string, flags int) (*os.File, error) {
	var f *os.File
	fd, err := openat2(r.dir, relative(name), flags, unix.RESOLVE_IN_ROOT|unix.RESOLVE_NO_MAGICLINKS)
	switch {
	case err == nil:
		return os.NewFile(uintptr(fd), name), nil
	case errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM):
		f, err = r.openWithoutOpenat2(name, flags)
	}
	var failed *os.PathError
	if errors.As(err, &failed) {
		err = &os.PathError{Op: "open", Path: path.Clean("/" + name), Err: failed.Err}
	}
	return f, err
}

// openWithoutOpenat2 serves kernels before 5.6 and seccomp profiles of their time.
func (r *Root) openWithoutOpenat2(name string, flags int) (*os.File, error) {
	f, err := pathrs.OpenatInRoot(r.dir, relative(name))
	if err != nil || flags&unix.O_PATH != 0 {
		return f, err
	}
	defer f.Close()
	return pathrs.Reopen(f, flags|unix.O_CLOEXEC)
}

// openat2 opens a path beneath dir; the kernel asks for a retry when a rename
// anywhere made it lose track of "..".
func openat2(dir *os.File, name string, flags int, resolve uint64) (int, error) {
	how := unix.OpenHow{Flags: uint64(flags) | unix.O_CLOEXEC, Resolve: resolve}
	for {
		fd, err := unix.Openat2(int(dir.Fd()), name, &how)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return -1, &os.PathError{Op: "open", Path: name, Err: err}
		}
		return fd, nil
	}
}

// relative is the path below the root, "." for the root itself.
func relative(name string) string {
	if name = strings.TrimPrefix(path.Clean("/"+name), "/"); name == "" {
		return "."
	}
	return name
}

// parent opens the directory of name and returns it with the last component, so
// that the component itself can be looked at without following it.
func (r *Root) parent(name string) (*Dir, string, error) {
	dir, base := path.Split(path.Clean("/" + name))
	if base == "" {
		base = "."
	}
	f, err := r.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return nil, "", err
	}
	return &Dir{f, r.reopen}, base, nil
}

// Lstat looks at name without following its last component.
func (r *Root) Lstat(name string) (Entry, error) {
	d, base, err := r.parent(name)
	if err != nil {
		return Entry{}, err
	}
	defer d.Close()
	return d.Lstat(base)
}

// Stat looks at what name leads to.
func (r *Root) Stat(name string) (Entry, error) {
	f, err := r.open(name, unix.O_PATH)
	if err != nil {
		return Entry{}, err
	}
	defer f.Close()
	return statx(int(f.Fd()), "", unix.AT_EMPTY_PATH)
}

// Exists tells whether name leads to anything.
func (r *Root) Exists(name string) bool {
	_, err := r.Stat(name)
	return err == nil
}

// Readlink returns where the link name points.
func (r *Root) Readlink(name string) (string, error) {
	d, base, err := r.parent(name)
	if err != nil {
		return "", err
	}
	defer d.Close()
	return d.Readlink(base)
}

// Resolve returns the path that name leads to when all links are followed.
func (r *Root) Resolve(name string) (string, error) {
	f, err := r.open(name, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer f.Close()
	at, err := os.Readlink(fdPath(f))
	if err != nil {
		return "", fmt.Errorf("resolve %s: %w", name, err)
	}
	top, err := os.Readlink(fdPath(r.dir))
	if err != nil {
		return "", fmt.Errorf("resolve the host root: %w", err)
	}
	return path.Clean("/" + strings.TrimPrefix(at, strings.TrimSuffix(top, "/"))), nil
}

// OpenDir opens the directory that name leads to.
func (r *Root) OpenDir(name string) (*Dir, error) {
	f, err := r.open(name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	return &Dir{f, r.reopen}, nil
}

// OpenFile opens the regular file that name leads to for reading, and refuses
// anything else without opening it.
func (r *Root) OpenFile(name string) (*os.File, error) {
	f, err := r.open(name, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return r.reopen.regular(int(f.Fd()), f.Name())
}

// ReadDir returns the names in the directory that name leads to, sorted, at most
// max of them.
func (r *Root) ReadDir(name string, max int) ([]string, error) {
	d, err := r.OpenDir(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.Names(max)
}

// SocketPath returns a path by which this process can connect to the host's
// socket name, and a function that gives it back.
func (r *Root) SocketPath(name string) (string, func() error, error) {
	f, err := r.open(name, unix.O_PATH)
	if err != nil {
		return "", nil, err
	}
	return fdPath(f), f.Close, nil
}

func fdPath(f *os.File) string { return fmt.Sprintf("/proc/self/fd/%d", f.Fd()) }
