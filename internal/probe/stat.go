package probe

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// StatMounts is the name of the task that Stat does.
const StatMounts = "stat-mounts"

// Mount is a mount to ask.
type Mount struct {
	Path   string // of its mount point on the host, free of links
	Device uint64 // as unix.Mkdev numbers it
}

// question is a mount as a child is told of it: a path need not be UTF-8.
type question struct {
	Path   []byte `json:"path"`
	Device uint64 `json:"device"`
}

func questions(mounts []Mount) []question {
	out := make([]question, len(mounts))
	for i, m := range mounts {
		out[i] = question{[]byte(m.Path), m.Device}
	}
	return out
}

// reply is what a child found out about one mount, in the order of the request.
type reply struct {
	Errno  int  `json:"errno"`
	Hidden bool `json:"hidden"` // another mount, or none, is there in the child's view
}

// A server that takes over from another may say once that a handle is stale.
const (
	staleTries = 3
	stalePause = 250 * time.Millisecond
)

// Stat asks mounts for their attributes and their space, one after the other.
func Stat(root *os.File, request []byte, answer func(any) error) error {
	var asked []question
	if err := json.Unmarshal(request, &asked); err != nil {
		return fmt.Errorf("decode the request: %w", err)
	}
	for _, q := range asked {
		r := insisting(func() reply { return ask(root, Mount{string(q.Path), q.Device}) })
		if err := answer(r); err != nil {
			return fmt.Errorf("answer: %w", err)
		}
	}
	return nil
}

// insisting asks again while the answer is that the handle is stale.
func insisting(ask func() reply) reply {
	r := ask()
	for try := 1; r.Errno == int(unix.ESTALE) && try < staleTries; try++ {
		time.Sleep(stalePause)
		r = ask()
	}
	return r
}

func ask(root *os.File, m Mount) reply {
	fd, err := open(root, m.Path)
	if err != nil {
		return failed(err)
	}
	defer func() { _ = unix.Close(fd) }()
	var s unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &s); err != nil {
		return failed(err)
	}
	if unix.Mkdev(s.Dev_major, s.Dev_minor) != m.Device {
		return reply{Hidden: true}
	}
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_FORCE_SYNC, unix.STATX_BASIC_STATS, &s); err != nil {
		return failed(err)
	}
	var f unix.Statfs_t
	if err := unix.Fstatfs(fd, &f); err != nil {
		return failed(err)
	}
	return reply{}
}

// open does not follow links: the path of a mount point has none.
func open(root *os.File, name string) (int, error) {
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		name = "."
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(root.Fd()), name, &how)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		fd, err = unix.Openat(int(root.Fd()), name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	}
	return fd, err
}

func failed(err error) reply {
	var errno unix.Errno
	if !errors.As(err, &errno) {
		errno = unix.EIO
	}
	return reply{Errno: int(errno)}
}
