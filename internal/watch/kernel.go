package watch

import "errors"

// errOverflow says that the kernel has dropped changes.
var errOverflow = errors.New("the queue overflowed")

// kernel is one of the kernel's interfaces that tell of changes in directories.
// The watcher's lock guards all but read.
type kernel interface {
	// add watches an open directory and returns what the interface calls it.
	add(dir int) (name string, err error)
	// remove gives a watch up, which the kernel may have ended itself.
	remove(m *mark, ended bool)
	// read waits for changes; os.ErrClosed is their end.
	read() ([]change, error)
	// dead are those whose watch an unmount has ended, of which nothing is said.
	dead(marks []*mark) []*mark
	close()
}

// change is something that happened in a directory.
type change struct {
	dir   string // what the interface calls it
	entry string // "" is the directory itself
	moved bool   // something came or went
	ended bool   // the kernel has ended the watch
	alone bool   // the directory above does not tell, though it is a change of its entry
	pid   int    // who did it; 0 is unknown
}
