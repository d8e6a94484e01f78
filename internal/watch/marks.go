package watch

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxWatches leaves most of the user's watches to kubelet and the runtime.
const maxWatches = 16_384

// fdDir is where fsnotify gets directories from: a descriptor was resolved inside
// the host root, a path could be led out of it.
const fdDir = "/proc/self/fd/"

// A directory's name towards fsnotify is that of a descriptor, which is closed
// again, because an open one would keep file systems from being unmounted. So a
// name must not be used twice while its watch lives, and not soon after.
const (
	firstNumber = 512
	keepFree    = 256
)

type inode struct{ device, number uint64 }

// mark is one watched directory; bind mounts give it several places.
type mark struct {
	inode  inode
	number int
	places map[string]int // by real path: how many trees hold it there
}

// marks are all watched directories.
type marks struct {
	byInode  map[inode]*mark
	byNumber map[int]*mark
	free     []int // used before, the longest ago first
	next     int
}

func newMarks() marks {
	return marks{byInode: map[inode]*mark{}, byNumber: map[int]*mark{}, next: firstNumber}
}

func (m *marks) count() int { return len(m.byInode) }

// hold watches the directory at a real path, or counts one more holder of it.
func (w *Watcher) hold(name string) (*mark, error) {
	path, done, err := w.root.SocketPath(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = done() }()
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	var s unix.Stat_t
	if err := unix.Fstat(fd, &s); err != nil {
		return nil, err
	}
	id := inode{s.Dev, s.Ino}
	m := w.marks.byInode[id]
	if m == nil {
		if m, err = w.add(fd, id); err != nil {
			return nil, explainWatch(err, w.marks.count())
		}
	}
	m.places[name]++
	return m, nil
}

func (w *Watcher) add(fd int, id inode) (*mark, error) {
	switch {
	case w.kernel == nil:
		return nil, w.broken
	case w.marks.count() >= maxWatches:
		return nil, errTooManyDirectories
	}
	number, named, err := w.marks.number(fd)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(named) }()
	if err := w.kernel.Add(nameOf(number)); err != nil {
		w.marks.free = append(w.marks.free, number)
		return nil, err
	}
	m := &mark{inode: id, number: number, places: map[string]int{}}
	w.marks.byInode[id], w.marks.byNumber[number] = m, m
	return m, nil
}

// number duplicates the descriptor to a number that names no watch.
func (m *marks) number(fd int) (number, named int, err error) {
	for {
		from := m.next
		if len(m.free) > keepFree {
			from, m.free = m.free[0], m.free[1:]
		} else {
			m.next++
		}
		named, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, from)
		if err != nil {
			return 0, 0, fmt.Errorf("%w (descriptor %d)", err, from)
		}
		if named == from {
			return from, named, nil
		}
		_ = unix.Close(named) // somebody uses that one
	}
}

// release gives up one holder's place; the last one ends the watch.
func (w *Watcher) release(m *mark, place string) {
	if m.places[place]--; m.places[place] <= 0 {
		delete(m.places, place)
	}
	if len(m.places) == 0 {
		w.end(m)
	}
}

// end takes the watch away from the kernel, which may have done so itself.
func (w *Watcher) end(m *mark) {
	if w.marks.byNumber[m.number] != m {
		return
	}
	if w.kernel != nil {
		_ = w.kernel.Remove(nameOf(m.number))
	}
	delete(w.marks.byInode, m.inode)
	delete(w.marks.byNumber, m.number)
	w.marks.free = append(w.marks.free, m.number)
}

func nameOf(number int) string { return fdDir + strconv.Itoa(number) }

// at returns the mark that an event's name is about, and the entry in it; "" is
// the directory itself.
func (m *marks) at(name string) (*mark, string) {
	number, entry, _ := strings.Cut(strings.TrimPrefix(name, fdDir), "/")
	n, err := strconv.Atoi(number)
	if err != nil {
		return nil, ""
	}
	return m.byNumber[n], entry
}

// vanished tells whether an error only says that a directory is gone again, of
// which its parent will tell.
func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV)
}
