package watch

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// directory is a file handle as fanotify and name_to_handle_at have it.
const directory = "filesyst\x04\x00\x00\x00\x01\x00\x00\x00dir1"

// event puts an event together from records.
func event(mask uint64, pid int32, records ...string) string {
	all := strings.Join(records, "")
	var b []byte
	b = binary.NativeEndian.AppendUint32(b, uint32(unix.FAN_EVENT_METADATA_LEN+len(all)))
	b = append(b, unix.FANOTIFY_METADATA_VERSION, 0)
	b = binary.NativeEndian.AppendUint16(b, unix.FAN_EVENT_METADATA_LEN)
	b = binary.NativeEndian.AppendUint64(b, mask)
	b = binary.NativeEndian.AppendUint32(b, 0xffffffff)
	b = binary.NativeEndian.AppendUint32(b, uint32(pid))
	return string(b) + all
}

// record puts a record together, as long as it says or, at 0, as it is.
func record(kind byte, length int, content string) string {
	if length == 0 {
		length = recordHeader + len(content)
	}
	return string(binary.NativeEndian.AppendUint16([]byte{kind, 0}, uint16(length))) + content
}

const (
	withName = unix.FAN_EVENT_INFO_TYPE_DFID_NAME
	pidfd    = unix.FAN_EVENT_INFO_TYPE_PIDFD
)

func TestParse(t *testing.T) {
	file := record(withName, 0, directory+"file\x00\x00\x00\x00")
	one := change{dir: directory, entry: "file", pid: 7}
	for _, c := range []struct {
		name string
		data string
		want []change
		err  error
	}{
		{"nothing", "", nil, nil},
		{"written", event(unix.FAN_MODIFY, 7, file), []change{one}, nil},
		{"made", event(unix.FAN_CREATE|unix.FAN_MODIFY, 7, file), []change{{dir: directory, entry: "file", moved: true, pid: 7}}, nil},
		{"writer out of sight", event(unix.FAN_MODIFY, 0, file), []change{{dir: directory, entry: "file"}}, nil},
		{"no writer", event(unix.FAN_MODIFY, -1, file), []change{{dir: directory, entry: "file"}}, nil},
		{"behind another record", event(unix.FAN_MODIFY, 7, record(pidfd, 0, "\x01\x00\x00\x00"), file), []change{one}, nil},
		{"mode of the directory", event(unix.FAN_ATTRIB|unix.FAN_ONDIR, 7, record(withName, 0, directory+".\x00\x00\x00")), []change{{dir: directory, alone: true, pid: 7}}, nil},
		{"without a name", event(unix.FAN_ATTRIB, 7, record(unix.FAN_EVENT_INFO_TYPE_DFID, 0, directory)), []change{{dir: directory, alone: true, pid: 7}}, nil},
		{"directory deleted", event(unix.FAN_DELETE_SELF, 7, record(withName, 0, directory+".\x00")), []change{{dir: directory, moved: true, ended: true, pid: 7}}, nil},
		{"directory moved", event(unix.FAN_MOVE_SELF, 7, record(withName, 0, directory+".\x00")), []change{{dir: directory, moved: true, pid: 7}}, nil},
		{"about nothing", event(unix.FAN_MODIFY, 7), nil, nil},
		{"overflow", event(unix.FAN_Q_OVERFLOW, 0), nil, errOverflow},
		{"after an overflow", event(unix.FAN_Q_OVERFLOW, 0) + event(unix.FAN_MODIFY, 7, file), []change{one}, errOverflow},
		{"two", event(unix.FAN_MODIFY, 7, file) + event(unix.FAN_MODIFY, 7, file), []change{one, one}, nil},
		{"cut off", event(unix.FAN_MODIFY, 7, file) + event(unix.FAN_MODIFY, 7, file)[:50], []change{one}, errMalformed},
		{"cut off early", event(unix.FAN_MODIFY, 7, file)[:23], nil, errMalformed},
		{"another version", strings.Replace(event(unix.FAN_MODIFY, 7, file), "\x03", "\x04", 1), nil, errMalformed},
		{"no length", strings.Repeat("\x00", 4) + event(unix.FAN_MODIFY, 7, file)[4:], nil, errMalformed},
		{"a record of no length", event(unix.FAN_MODIFY, 7, record(pidfd, 3, "")), nil, errMalformed},
		{"a record that is too long", event(unix.FAN_MODIFY, 7, record(withName, 200, directory)), nil, errMalformed},
		{"half a record", event(unix.FAN_MODIFY, 7, "\x02"), nil, errMalformed},
		{"half a handle", event(unix.FAN_MODIFY, 7, record(withName, 0, directory[:15])), nil, errMalformed},
		{"a handle that is too long", event(unix.FAN_MODIFY, 7, record(withName, 0, "filesyst\xff\xff\xff\xff\x01\x00\x00\x00dir1")), nil, errMalformed},
		{"a path", event(unix.FAN_MODIFY, 7, record(withName, 0, directory+"../../x\x00")), nil, errMalformed},
		{"above", event(unix.FAN_MODIFY, 7, record(withName, 0, directory+"..\x00")), nil, errMalformed},
		{"a name without an end", event(unix.FAN_MODIFY, 7, record(withName, 0, directory+"file")), []change{one}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := parseFanotify([]byte(c.data))
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(change{})); diff != "" || !errors.Is(err, c.err) {
				t.Errorf("%v\n%s", err, diff)
			}
		})
	}
}

func FuzzFanotifyEvents(f *testing.F) {
	f.Add([]byte(event(unix.FAN_MODIFY, 7, record(withName, 0, directory+"file\x00")) + event(unix.FAN_Q_OVERFLOW, 0)))
	f.Fuzz(func(t *testing.T, data []byte) {
		changes, _ := parseFanotify(data)
		if len(changes)*unix.FAN_EVENT_METADATA_LEN > len(data) {
			t.Errorf("%d changes in %d bytes", len(changes), len(data))
		}
		for _, c := range changes {
			split(c.dir)
			if filepath.Base(c.entry) != c.entry && c.entry != "" || c.pid < 0 || strings.ContainsAny(c.entry, "\x00/") {
				t.Errorf("%+v", c)
			}
		}
	})
}

// Two file systems may have the same identity, such as a disk and its snapshot.
func TestTwin(t *testing.T) {
	known := map[string]*mark{}
	k, err := openFanotify(nil, known)
	if errors.Is(err, errNoAdmin) {
		t.Skip("fanotify tells who did what to root alone; make test runs as root where it can")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer k.close()
	dir, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = dir.Close() }()
	name, err := k.add(int(dir.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	known[name] = &mark{}
	if _, err := k.add(int(dir.Fd())); !errors.Is(err, errTwin) {
		t.Errorf("the second of two with one name: %v", err)
	}
}
