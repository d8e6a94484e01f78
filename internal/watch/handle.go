package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

var (
	errTwin      = errors.New("another file system has the same identity")
	errNoHandles = errors.New("its file system has no file handles")
	errNoAnchor  = errors.New("none of its file system's directories is in sight")
)

// handleFID is AT_HANDLE_FID: an identifier that names a directory and opens none, which
// overlayfs and others without handles have since Linux 6.6.
const handleFID = 0x200

// handleOf names an open directory as fanotify does: by its file system and its
// file handle there.
func handleOf(dir int) (string, error) {
	handle, _, err := unix.NameToHandleAt(dir, "", unix.AT_EMPTY_PATH)
	if errors.Is(err, unix.EOPNOTSUPP) {
		handle, _, err = unix.NameToHandleAt(dir, "", unix.AT_EMPTY_PATH|handleFID)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return "", errNoHandles
	}
	if err != nil {
		return "", fmt.Errorf("get its file handle: %w", err)
	}
	id, err := fsidOf(dir)
	if err != nil {
		return "", err
	}
	name := []byte(id)
	name = binary.NativeEndian.AppendUint32(name, uint32(handle.Size()))
	name = binary.NativeEndian.AppendUint32(name, uint32(handle.Type()))
	return string(append(name, handle.Bytes()...)), nil
}

func fsidOf(dir int) (string, error) {
	var s unix.Statfs_t
	if err := unix.Fstatfs(dir, &s); err != nil {
		return "", fmt.Errorf("get its file system's identity: %w", err)
	}
	id := binary.NativeEndian.AppendUint32(nil, uint32(s.Fsid.Val[0]))
	return string(binary.NativeEndian.AppendUint32(id, uint32(s.Fsid.Val[1]))), nil
}

// split is a name's file handle.
func split(name string) (kind int32, handle []byte) {
	kind = int32(binary.NativeEndian.Uint32([]byte(name[fsidLength+4:])))
	return kind, []byte(name[fsidLength+handleHeader:])
}

// reopen opens a marked directory again: wherever it was moved to, or where it was if
// its name opens none.
func (m *mark) reopen(root *host.Root) (int, error) {
	fd, err := openHandle(root, m.name, m)
	if err == nil {
		return fd, nil
	}
	for place := range m.places {
		if fd, err := openOn(root, place, m.inode.device); err == nil && fd >= 0 {
			return fd, nil
		}
	}
	return -1, err
}

// openHandle opens a directory by its name, on the file system that near lies on.
func openHandle(root *host.Root, name string, near *mark) (int, error) {
	for place := range near.places {
		anchor, err := openAnchor(root, place, near.inode.device)
		if err != nil {
			continue
		}
		defer func() { _ = unix.Close(anchor) }()
		return unix.OpenByHandleAt(anchor, unix.NewFileHandle(split(name)), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	}
	return -1, errNoAnchor
}

// openAnchor opens the first directory on the way to a place that lies on a device.
// What lies deeper may meanwhile be covered by a mount that never answers.
func openAnchor(root *host.Root, place string, device uint64) (int, error) {
	at := "/"
	for _, next := range append([]string{""}, components(place)...) {
		at = path.Join(at, next)
		anchor, err := openOn(root, at, device)
		if err != nil || anchor >= 0 {
			return anchor, err
		}
	}
	return -1, errNoAnchor
}

// openOn opens a directory if it lies on the device; otherwise it returns -1.
func openOn(root *host.Root, name string, device uint64) (int, error) {
	found, done, err := root.SocketPath(name)
	if err != nil {
		return -1, err
	}
	defer func() { _ = done() }()
	var s unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, found, unix.AT_STATX_DONT_SYNC, unix.STATX_TYPE, &s); err != nil {
		return -1, err
	}
	if unix.Mkdev(s.Dev_major, s.Dev_minor) != device {
		return -1, nil
	}
	return unix.Open(found, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
}

// entriesOf are the places of a directory, known by its name alone, as an entry of
// watched ones.
func (w *Watcher) entriesOf(name string) []string {
	near := w.marks.byName[name]
	if near == nil {
		near = w.marks.on(name[:fsidLength])
	}
	if near == nil {
		return nil
	}
	fd, err := openHandle(w.root, name, near)
	if err != nil && near.name == name {
		return slices.Collect(maps.Keys(near.places))
	}
	if err != nil {
		return nil
	}
	defer func() { _ = unix.Close(fd) }()
	called, err := os.Readlink(fdDir + strconv.Itoa(fd))
	if err != nil {
		return nil
	}
	above, err := parentOf(fd)
	if err != nil {
		return nil
	}
	return w.marks.byInode[above].entry(path.Base(called))
}

func parentOf(dir int) (inode, error) {
	above, err := unix.Openat(dir, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return inode{}, err
	}
	defer func() { _ = unix.Close(above) }()
	return inodeOf(above)
}

func inodeOf(fd int) (inode, error) {
	var s unix.Stat_t
	err := unix.Fstat(fd, &s)
	return inode{s.Dev, s.Ino}, err
}

// on returns any directory of a file system.
func (m *marks) on(fsid string) *mark {
	for name, found := range m.byName {
		if strings.HasPrefix(name, fsid) {
			return found
		}
	}
	return nil
}

// mayOpenHandles tells why a directory that moved could not be found by its handle.
func mayOpenHandles() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("read the own capabilities: %w", err)
	}
	if sets[unix.CAP_DAC_READ_SEARCH/32].Effective&(1<<(unix.CAP_DAC_READ_SEARCH%32)) == 0 {
		return errNoReadSearch
	}
	return nil
}
