package sysctl

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// writes is told by inotify of writes to held parameters, through the host's own
// mount of procfs and without the writer. It is an instance apart from the agent's
// one for files, made only where nothing better serves: its watches are on inodes
// that only the held descriptors keep alive.
type writes struct {
	held *held
	fd   int
	file *os.File

	mu       sync.Mutex
	subjects map[int32]string // by watch descriptor
	failed   error
}

func (c *Check) armInotify(drift.Sink) (stream, error) {
	if err := c.reachable(); err != nil {
		return nil, err
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("start inotify: %w", err)
	}
	w := &writes{held: &c.held, fd: fd, file: os.NewFile(uintptr(fd), "inotify")}
	c.held.follow(w)
	if err := w.failure(); err != nil {
		return nil, errorsOf(err, w.Close())
	}
	return w, nil
}

// watch puts a watch on each of the parameters and takes away the others.
func (w *writes) watch(parameters map[string]*parameter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := map[int32]string{}
	for path, p := range parameters {
		wd, err := unix.InotifyAddWatch(w.fd, fmt.Sprintf("/proc/self/fd/%d", p.fd), unix.IN_MODIFY)
		if p.gone = isGone(err); p.gone {
			continue
		}
		if err != nil {
			w.failed = fmt.Errorf("watch %s: %w", path, err)
			continue
		}
		now[int32(wd)] = p.subject
	}
	for wd := range w.subjects {
		if _, stays := now[wd]; !stays {
			_, _ = unix.InotifyRmWatch(w.fd, uint32(wd))
		}
	}
	w.subjects = now
}

func (w *writes) Close() error {
	w.held.unfollow(w)
	return w.file.Close()
}

func (w *writes) run(to drift.Sink) error {
	buf := make([]byte, 64<<10)
	for {
		n, err := w.file.Read(buf)
		if err != nil {
			return fmt.Errorf("read inotify: %w", err)
		}
		for events := buf[:n]; len(events) >= unix.SizeofInotifyEvent; {
			w.take(events, to)
			events = events[min(len(events), unix.SizeofInotifyEvent+int(binary.NativeEndian.Uint32(events[12:]))):]
		}
		if err := w.failure(); err != nil {
			return err
		}
	}
}

func (w *writes) take(event []byte, to drift.Sink) {
	wd, mask := int32(binary.NativeEndian.Uint32(event)), binary.NativeEndian.Uint32(event[4:])
	hint := drift.Hint{Source: inotifySource, At: time.Now()}
	if mask&unix.IN_Q_OVERFLOW != 0 {
		hint.Lost = true
		to.Hint(hint)
		return
	}
	w.mu.Lock()
	subject, watched := w.subjects[wd]
	w.mu.Unlock()
	if watched && mask&unix.IN_MODIFY != 0 {
		hint.Subject = subject
		to.Hint(hint)
	}
}

// failure is why a parameter that came later cannot be watched.
func (w *writes) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}
