package watch

import (
	"errors"
	"path"

	"golang.org/x/sys/unix"
)

// maxWatches leaves most of the user's watches to kubelet and the runtime.
const maxWatches = 16_384

type inode struct{ device, number uint64 }

// mark is one watched directory; bind mounts give it several places.
type mark struct {
	inode    inode
	kernel   kernel
	name     string         // towards the kernel
	nameless error          // why its changes come without who did them
	places   map[string]int // by real path: how many trees hold it there
}

// entry is where an entry of the directory is.
func (m *mark) entry(name string) (places []string) {
	if m == nil {
		return nil
	}
	for place := range m.places {
		places = append(places, path.Join(place, name))
	}
	return places
}

// marks are all watched directories.
type marks struct {
	byInode map[inode]*mark
	byName  map[string]*mark
}

func newMarks() marks { return marks{map[inode]*mark{}, map[string]*mark{}} }

func (m *marks) count() int { return len(m.byInode) }

// of are those that an interface watches.
func (m *marks) of(k kernel) (out []*mark) {
	for _, found := range m.byInode {
		if found.kernel == k {
			out = append(out, found)
		}
	}
	return out
}

// at is the one that is held at a place.
func (m *marks) at(place string) *mark {
	for _, found := range m.byInode {
		if found.places[place] > 0 {
			return found
		}
	}
	return nil
}

// hold watches the directory at a real path, or counts one more holder of it.
func (w *Watcher) hold(name string) (*mark, error) {
	found, done, err := w.root.SocketPath(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = done() }()
	fd, err := unix.Open(found, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fd) }()
	id, err := inodeOf(fd)
	if err != nil {
		return nil, err
	}
	m := w.marks.byInode[id]
	if m == nil {
		if m, err = w.add(fd, id); err != nil {
			return nil, err
		}
	}
	m.places[name]++
	return m, nil
}

func (w *Watcher) add(fd int, id inode) (*mark, error) {
	if w.marks.count() >= maxWatches {
		return nil, errTooManyDirectories
	}
	m := &mark{inode: id, places: map[string]int{}}
	if err := w.choose(fd, m); err != nil {
		return nil, err
	}
	w.marks.byInode[id], w.marks.byName[m.name] = m, m
	return m, nil
}

// release gives up one holder's place; the last one ends the watch.
func (w *Watcher) release(m *mark, place string) {
	m.places[place]--
	if m.places[place] <= 0 && len(m.places) == 1 {
		w.end(m, false)
	}
	if m.places[place] <= 0 {
		delete(m.places, place)
	}
}

// end takes the watch away from the kernel, which may have done so itself.
func (w *Watcher) end(m *mark, ended bool) {
	if w.marks.byName[m.name] != m {
		return
	}
	m.kernel.remove(m, ended)
	delete(w.marks.byInode, m.inode)
	delete(w.marks.byName, m.name)
}

// vanished tells whether an error only says that a directory is gone again, of
// which its parent will tell.
func vanished(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV)
}
