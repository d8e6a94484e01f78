package volumes

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// group is a queue of fanotify's events.
type group struct{ file *os.File }

func newGroup(flags uint) (*group, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_NOTIF|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK|flags, unix.O_RDONLY)
	if err != nil {
		return nil, fmt.Errorf("start fanotify: %w", err)
	}
	return &group{os.NewFile(uintptr(fd), "fanotify")}, nil
}

// mark asks for events of what the path, or with none the descriptor, stands for.
func (g *group) mark(kind uint, events uint64, fd int, path string) error {
	conn, err := g.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = conn.Control(func(own uintptr) {
		failed = unix.FanotifyMark(int(own), unix.FAN_MARK_ADD|kind, events, fd, path)
	})
	return errors.Join(err, failed)
}

// eventBuffer takes several hundred events at once.
const eventBuffer = 16 << 10

// read hands events on until ctx ends, which is no error, and closes the group.
func (g *group) read(ctx context.Context, take func([]event) error) error {
	defer func() { _ = g.file.Close() }()
	ended := context.AfterFunc(ctx, func() { _ = g.file.Close() })
	defer ended()
	buffer := make([]byte, eventBuffer)
	for {
		n, err := g.file.Read(buffer)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read fanotify: %w", err)
		}
		events, err := parseEvents(buffer[:n])
		if err != nil {
			return err
		}
		if err := take(events); err != nil {
			return err
		}
	}
}

// event is what fanotify tells of one mount or of one broken file system.
type event struct {
	mask  uint64
	pid   int    // 0 where the process has no pid here
	mount uint64 // the kernel's own id, see mountTable; 0 where there is none
}

var errEvent = errors.New("parse fanotify events: this is none")

// From linux/fanotify.h, of the records that follow an event: type, padding and
// length; and of a mount's, aligned, its id.
const (
	recordHeader = 4
	mountID      = 8
	mountRecord  = 16
)

func parseEvents(data []byte) ([]event, error) {
	var out []event
	for len(data) > 0 {
		if len(data) < unix.FAN_EVENT_METADATA_LEN || data[4] != unix.FANOTIFY_METADATA_VERSION {
			return out, errEvent
		}
		whole, head := int(binary.NativeEndian.Uint32(data)), int(binary.NativeEndian.Uint16(data[6:]))
		if head < unix.FAN_EVENT_METADATA_LEN || whole < head || whole > len(data) {
			return out, errEvent
		}
		e := event{mask: binary.NativeEndian.Uint64(data[8:]), pid: int(int32(binary.NativeEndian.Uint32(data[20:])))}
		var err error
		if e.mount, err = mountIn(data[head:whole]); err != nil {
			return out, err
		}
		out, data = append(out, e), data[whole:]
	}
	return out, nil
}

// mountIn finds the mount among the records of an event.
func mountIn(records []byte) (id uint64, err error) {
	for len(records) > 0 {
		if len(records) < recordHeader {
			return 0, errEvent
		}
		size := int(binary.NativeEndian.Uint16(records[2:]))
		if size < recordHeader || size > len(records) {
			return 0, errEvent
		}
		if records[0] == unix.FAN_EVENT_INFO_TYPE_MNT && size >= mountRecord {
			id = binary.NativeEndian.Uint64(records[mountID:])
		}
		records = records[size:]
	}
	return id, nil
}
