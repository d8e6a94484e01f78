package sysctl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// The group is told of changes and never asked for permission. Its marks do not
// count towards the user's, so that nobody can use them up.
const fanotifyGroup = unix.FAN_CLASS_NOTIF | unix.FAN_CLOEXEC | unix.FAN_NONBLOCK | unix.FAN_UNLIMITED_MARKS

// fanotifyWritten is a write that the kernel took. A file that is closed may be one
// that nobody wrote to, and the one who closes it another than the writer.
const fanotifyWritten = unix.FAN_MODIFY

// writers is told by fanotify of writes to held parameters, through the host's own
// mount of procfs, with the writer. It is made only where BPF does not serve. Its
// marks are on inodes, which differ from one network namespace to the next.
type writers struct {
	check *Check
	pids  bool // those of events are the host's
	fd    int
	file  *os.File

	mu       sync.Mutex
	subjects map[inode]string // of what is marked
	failed   error
}

type inode struct{ device, number uint64 }

func (c *Check) armFanotify(drift.Sink) (stream, error) {
	if err := c.reachable(); err != nil {
		return nil, err
	}
	fd, err := unix.FanotifyInit(fanotifyGroup, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return nil, explainFanotify(err)
	}
	w := &writers{check: c, pids: c.root.OwnPIDs(), fd: fd, file: os.NewFile(uintptr(fd), "fanotify")}
	c.held.follow(w)
	if err := w.failure(); err != nil {
		return nil, errorsOf(err, w.Close())
	}
	return w, nil
}

func explainFanotify(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("the capability SYS_ADMIN is missing (%w)", err)
	case errors.Is(err, unix.ENOSYS):
		return fmt.Errorf("the kernel lacks fanotify (%w)", err)
	default:
		return fmt.Errorf("start fanotify: %w", err)
	}
}

// watch marks each of the parameters and none but them.
func (w *writers) watch(parameters map[string]*parameter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := map[inode]string{}
	for path, p := range parameters {
		if id, err := inodeOf(p.fd); err == nil {
			now[id], _ = subjectOf(w.check.rules, path)
		}
	}
	if w.marksMoreThan(now) {
		w.unmark()
	}
	for path, p := range parameters {
		err := unix.FanotifyMark(w.fd, unix.FAN_MARK_ADD, fanotifyWritten, p.fd, "")
		if p.gone = isGone(err); err != nil && !p.gone {
			w.failed = fmt.Errorf("mark %s: %w", path, err)
		}
	}
	w.subjects = now
}

func (w *writers) marksMoreThan(wanted map[inode]string) bool {
	for id := range w.subjects {
		if _, stays := wanted[id]; !stays {
			return true
		}
	}
	return false
}

// unmark takes all marks away: one by one the kernel does not find those of an
// interface that is gone, and keeps their memory.
func (w *writers) unmark() {
	if err := unix.FanotifyMark(w.fd, unix.FAN_MARK_FLUSH, 0, unix.AT_FDCWD, ""); err != nil {
		w.failed = fmt.Errorf("take marks away: %w", err)
	}
}

// isGone is said of the parameters of an interface that was deleted.
func isGone(err error) bool { return errors.Is(err, unix.ENOENT) }

func (w *writers) Close() error {
	w.check.held.unfollow(w)
	return w.file.Close()
}

// run reads one event at a time: where the kernel cannot open the file of a later
// one, it drops that event and does not tell.
func (w *writers) run(to drift.Sink) error {
	event := make([]byte, unix.FAN_EVENT_METADATA_LEN)
	for {
		n, err := w.file.Read(event)
		switch {
		case err == nil:
			err = w.take(event[:n], to)
		case isGone(err):
			err = nil
		case errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
			to.Failed(fanotifySource, fmt.Errorf("open what was written: %w", err))
			to.Hint(drift.Hint{Source: fanotifySource, Lost: true, At: time.Now()})
			err = nil
		}
		if err != nil {
			return fmt.Errorf("read fanotify: %w", err)
		}
		if err := w.failure(); err != nil {
			return err
		}
	}
}

func (w *writers) take(data []byte, to drift.Sink) error {
	e, err := parseFanotify(data)
	if err != nil {
		return err
	}
	hint := drift.Hint{Source: fanotifySource, At: time.Now()}
	if e.lost {
		hint.Lost = true
		to.Hint(hint)
		return nil
	}
	id, err := inodeOf(e.fd)
	_ = unix.Close(e.fd)
	if err != nil {
		return err
	}
	w.mu.Lock()
	subject, marked := w.subjects[id]
	w.mu.Unlock()
	if !marked {
		return nil
	}
	hint.Subject = subject
	if w.pids {
		hint.PID = e.pid
	}
	to.Hint(hint)
	return nil
}

// failure is why a parameter that came later cannot be watched.
func (w *writers) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// inodeOf tells a parameter from all others, whatever mount it is written through.
func inodeOf(fd int) (inode, error) {
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return inode{}, fmt.Errorf("look at what was written: %w", err)
	}
	return inode{device: s.Dev, number: s.Ino}, nil
}

// fanotifyEvent says who wrote to the open file fd, or that events were lost.
type fanotifyEvent struct {
	fd, pid int
	lost    bool
}

// errFanotify is not more precise: the kernel would have to change.
var errFanotify = errors.New("what it says is no event")

func parseFanotify(data []byte) (fanotifyEvent, error) {
	if len(data) != unix.FAN_EVENT_METADATA_LEN || data[4] != unix.FANOTIFY_METADATA_VERSION {
		return fanotifyEvent{}, errFanotify
	}
	e := fanotifyEvent{
		lost: binary.NativeEndian.Uint64(data[8:])&unix.FAN_Q_OVERFLOW != 0,
		fd:   int(int32(binary.NativeEndian.Uint32(data[16:]))),
		pid:  max(0, int(int32(binary.NativeEndian.Uint32(data[20:])))),
	}
	if e.fd < 0 && !e.lost {
		return e, errFanotify
	}
	return e, nil
}
