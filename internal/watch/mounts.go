package watch

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// mountPause collects the mounts of a starting pod into one look.
const mountPause = 100 * time.Millisecond

// mountWatch waits for changes of the host's mounts, of which neither interface says anything.
type mountWatch struct {
	info int // mountinfo
	wake int // an eventfd: over
	last map[string]mountinfo.Info
}

// watchMounts starts to watch the mounts of a running host. Without it they are
// found at the next resync.
func (w *Watcher) watchMounts() error {
	if !w.root.Live() {
		return nil
	}
	info, err := w.openMountinfo()
	if err != nil {
		return fmt.Errorf("watch the mounts: %w", err)
	}
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(info)
		return fmt.Errorf("watch the mounts: %w", err)
	}
	m := &mountWatch{info: info, wake: wake}
	m.last, _ = w.mountPoints()
	w.mounts = m
	w.running.Go(func() { w.serveMounts(m) })
	return nil
}

// openMountinfo returns a descriptor that Go's own poller does not know: whoever
// polls mountinfo first takes the news away from the other.
func (w *Watcher) openMountinfo() (int, error) {
	f, err := w.root.OpenFile("/proc/1/mountinfo")
	if err != nil {
		return -1, err
	}
	defer func() { _ = f.Close() }()
	return unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
}

func (m *mountWatch) close() {
	if m != nil {
		_, _ = unix.Write(m.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}

func (w *Watcher) serveMounts(m *mountWatch) {
	defer func() {
		_ = unix.Close(m.info)
		_ = unix.Close(m.wake)
	}()
	for m.wait(-1, int32(m.info)) {
		if !m.wait(int(mountPause.Milliseconds()), -1) {
			return
		}
		w.mu.Lock()
		if w.mounts == m {
			w.mounted(m)
		}
		w.mu.Unlock()
	}
}

// wait returns true at the timeout or when info has news, false when it is over.
func (m *mountWatch) wait(timeout int, info int32) bool {
	for {
		fds := []unix.PollFd{{Fd: int32(m.wake), Events: unix.POLLIN}, {Fd: info, Events: unix.POLLPRI}}
		if _, err := unix.Poll(fds, timeout); err == unix.EINTR {
			continue
		} else if err != nil {
			return false
		}
		return fds[0].Revents == 0
	}
}

// mountPoints are the visible mounts by mount point.
func (w *Watcher) mountPoints() (map[string]mountinfo.Info, error) {
	mounts, err := w.root.Mounts()
	points := map[string]mountinfo.Info{}
	for _, m := range mounts {
		points[m.Mountpoint] = mountinfo.Info{ID: m.ID, Major: m.Major, Minor: m.Minor, Root: m.Root}
	}
	return points, err
}

// mounted arms and hints for the trees that a mount came over or went from.
func (w *Watcher) mounted(m *mountWatch) {
	w.missUnmounted()
	now, err := w.mountPoints()
	if err != nil {
		return
	}
	last := m.last
	m.last = now
	for point := range last {
		if now[point] != last[point] {
			w.remounted(point)
		}
	}
	for point := range now {
		if _, known := last[point]; !known {
			w.remounted(point)
		}
	}
}

// missUnmounted finds the directories whose watch an unmount has ended. The mounts
// alone do not tell: the next one may have the numbers of the last.
func (w *Watcher) missUnmounted() {
	if !w.exposed() {
		return
	}
	for _, k := range w.kernels() {
		for _, m := range k.dead(w.marks.of(k)) {
			places := slices.Collect(maps.Keys(m.places))
			w.forget(m, true)
			for _, place := range places {
				w.changed(place, true, 0)
			}
		}
	}
}

// exposed tells whether an unmount can end a watch: that of the root cannot.
func (w *Watcher) exposed() bool {
	root := w.marks.at("/")
	for id := range w.marks.byInode {
		if root == nil || id.device != root.inode.device {
			return true
		}
	}
	return false
}

func (w *Watcher) remounted(point string) {
	if w.cares(point) {
		w.changed(point, true, 0)
	}
}

// cares tells whether somebody watches the way to or the content around a path.
func (w *Watcher) cares(point string) bool {
	for sub := range w.subscribers {
		for _, t := range sub.trees {
			if t.hops[point] || t.content[path.Dir(point)] != nil {
				return true
			}
		}
	}
	return false
}
