package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Lengths in what fanotify says: an event is metadata and records, a record has a
// header, and one that identifies a directory a file system and a handle.
const (
	recordHeader = 4
	fsidLength   = 8
	handleHeader = 8
)

var errMalformed = errors.New("fanotify says what is not understood")

// parseFanotify returns the changes in what was read, up to what is malformed.
func parseFanotify(data []byte) (changes []change, err error) {
	for len(data) > 0 {
		event, rest, malformed := cutEvent(data)
		if malformed != nil {
			return changes, malformed
		}
		data = rest
		if event.mask&unix.FAN_Q_OVERFLOW != 0 {
			err = errOverflow
			continue
		}
		dir, entry, malformed := event.directory()
		if malformed != nil {
			return changes, malformed
		}
		if dir != "" {
			changes = append(changes, event.change(dir, entry))
		}
	}
	return changes, err
}

// fanotifyEvent is one event; its records are not looked at yet.
type fanotifyEvent struct {
	mask    uint64
	pid     int
	records []byte
}

// cutEvent takes the first event off.
func cutEvent(data []byte) (event fanotifyEvent, rest []byte, err error) {
	if len(data) < unix.FAN_EVENT_METADATA_LEN {
		return event, nil, fmt.Errorf("%w: %d bytes are no event", errMalformed, len(data))
	}
	length, metadata := binary.NativeEndian.Uint32(data), binary.NativeEndian.Uint16(data[6:])
	switch {
	case data[4] != unix.FANOTIFY_METADATA_VERSION:
		return event, nil, fmt.Errorf("%w: version %d", errMalformed, data[4])
	case metadata < unix.FAN_EVENT_METADATA_LEN, length < uint32(metadata), uint64(length) > uint64(len(data)):
		return event, nil, fmt.Errorf("%w: an event of %d bytes, %d of them metadata, in %d", errMalformed, length, metadata, len(data))
	}
	event.mask = binary.NativeEndian.Uint64(data[8:])
	event.pid = max(0, int(int32(binary.NativeEndian.Uint32(data[20:]))))
	event.records = data[metadata:length]
	return event, data[length:], nil
}

// directory is which one the event is about, and the entry in it.
func (e fanotifyEvent) directory() (dir, entry string, err error) {
	for records := e.records; len(records) > 0; {
		if len(records) < recordHeader {
			return "", "", fmt.Errorf("%w: %d bytes are no record", errMalformed, len(records))
		}
		kind, length := records[0], int(binary.NativeEndian.Uint16(records[2:]))
		if length < recordHeader || length > len(records) {
			return "", "", fmt.Errorf("%w: a record of %d bytes in %d", errMalformed, length, len(records))
		}
		if kind == unix.FAN_EVENT_INFO_TYPE_DFID_NAME || kind == unix.FAN_EVENT_INFO_TYPE_DFID {
			return cutHandle(records[recordHeader:length])
		}
		records = records[length:]
	}
	return "", "", nil
}

// cutHandle splits the file handle, which names the directory, from the entry.
func cutHandle(record []byte) (dir, entry string, err error) {
	if len(record) < fsidLength+handleHeader {
		return "", "", fmt.Errorf("%w: %d bytes are no file handle", errMalformed, len(record))
	}
	length := binary.NativeEndian.Uint32(record[fsidLength:])
	if uint64(length) > uint64(len(record)-fsidLength-handleHeader) {
		return "", "", fmt.Errorf("%w: a file handle of %d bytes in %d", errMalformed, length, len(record))
	}
	end := fsidLength + handleHeader + int(length)
	name, _, _ := bytes.Cut(record[end:], []byte{0})
	if bytes.ContainsRune(name, '/') || string(name) == ".." {
		return "", "", fmt.Errorf("%w: a path instead of a name", errMalformed)
	}
	if string(name) != "." {
		entry = string(name)
	}
	return string(record[:end]), entry, nil
}

// change translates the event. Of a change of a directory's own attributes only
// that directory is told, and not the one above.
func (e fanotifyEvent) change(dir, entry string) change {
	return change{
		dir: dir, entry: entry, pid: e.pid,
		moved: e.mask&fanotifyMoves != 0,
		ended: entry == "" && e.mask&unix.FAN_DELETE_SELF != 0,
		alone: entry == "" && e.mask&unix.FAN_ATTRIB != 0,
	}
}
