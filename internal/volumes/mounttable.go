package volumes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// mountTable knows where mounts are by the ids that fanotify names. They are not
// those of mountinfo: the kernel gives none of them twice.
type mountTable struct {
	namespace uint64
	at        map[uint64]mounting
	reply     mountReply // kept, as it is large
}

// mounting is where a mount is, and what of.
type mounting struct {
	point  string
	device uint64
}

// From linux/mount.h.
const (
	statmountSuper = 0x01 // STATMOUNT_SB_BASIC
	statmountPoint = 0x10 // STATMOUNT_MNT_POINT
	listmountRoot  = ^uint64(0)
)

// mountRequest is struct mnt_id_req.
type mountRequest struct {
	size, _   uint32
	mount     uint64
	param     uint64
	namespace uint64
}

// mountReply is struct statmount with room for the longest path.
type mountReply struct {
	_            [8]byte
	mask         uint64
	major, minor uint32
	_            [84]byte
	point        uint32 // where in strings
	_            [400]byte
	strings      [4096 + 64]byte
}

func newMountTable(namespace *os.File) (*mountTable, error) {
	t := &mountTable{}
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, namespace.Fd(), unix.NS_GET_MNTNS_ID, uintptr(unsafe.Pointer(&t.namespace))); errno != 0 {
		return nil, fmt.Errorf("ask for the mount namespace's id: %w", errno)
	}
	return t, t.fill()
}

// listed is how many mounts one call lists.
const listed = 512

// fill takes up all mounts anew.
func (t *mountTable) fill() error {
	t.at = map[uint64]mounting{}
	ids := make([]uint64, listed)
	for last := uint64(0); ; last = ids[len(ids)-1] {
		request := mountRequest{mount: listmountRoot, param: last, namespace: t.namespace}
		request.size = uint32(unsafe.Sizeof(request))
		n, _, errno := unix.Syscall6(unix.SYS_LISTMOUNT, uintptr(unsafe.Pointer(&request)), uintptr(unsafe.Pointer(unsafe.SliceData(ids))), uintptr(len(ids)), 0, 0, 0)
		if errno != 0 {
			return fmt.Errorf("list the mounts: %w", errno)
		}
		for _, id := range ids[:n] {
			if err := t.add(id); err != nil {
				return err
			}
		}
		if int(n) < len(ids) {
			return nil
		}
	}
}

// add takes up a mount. One that is gone again, or whose path is longer than any
// that can be opened, is none.
func (t *mountTable) add(id uint64) error {
	request := mountRequest{mount: id, param: statmountSuper | statmountPoint, namespace: t.namespace}
	request.size = uint32(unsafe.Sizeof(request))
	_, _, errno := unix.Syscall6(unix.SYS_STATMOUNT, uintptr(unsafe.Pointer(&request)), uintptr(unsafe.Pointer(&t.reply)), unsafe.Sizeof(t.reply), 0, 0, 0)
	switch {
	case errors.Is(errno, unix.ENOENT), errors.Is(errno, unix.EOVERFLOW):
		return nil
	case errno != 0:
		return fmt.Errorf("ask where a mount is: %w", errno)
	}
	if t.reply.mask&(statmountSuper|statmountPoint) == statmountSuper|statmountPoint {
		t.at[id] = mounting{t.reply.name(), unix.Mkdev(t.reply.major, t.reply.minor)}
	}
	return nil
}

func (r *mountReply) name() string {
	if int(r.point) >= len(r.strings) {
		return ""
	}
	name, _, _ := bytes.Cut(r.strings[r.point:], []byte{0})
	return string(name)
}
