package watch

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/fsnotify/fsnotify"
	"golang.org/x/sys/unix"
)

// eventBuffer is how far the reader may be ahead of the bookkeeping; behind it
// lies the kernel's own queue.
const eventBuffer = 4096

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

// structural operations change which directories are where.
const structural = fsnotify.Create | fsnotify.Remove | fsnotify.Rename

// inotify tells what happened, but not who did it.
type inotify struct {
	watcher  *fsnotify.Watcher
	failures chan error
	draining sync.WaitGroup
	watched  int
	free     []int // used before, the longest ago first
	next     int
}

func openInotify() (kernel, error) {
	w, err := fsnotify.NewBufferedWatcher(eventBuffer)
	if err != nil {
		return nil, explainInstance(err)
	}
	k := &inotify{watcher: w, failures: make(chan error, 16), next: firstNumber}
	k.draining.Go(k.drain)
	return k, nil
}

// drain takes errors at once: fsnotify may hold its lock until one is taken.
func (k *inotify) drain() {
	for err := range k.watcher.Errors {
		select {
		case k.failures <- err:
		default:
		}
	}
}

func (k *inotify) add(dir int) (string, error) {
	number, named, err := k.number(dir)
	if err != nil {
		return "", explainWatch(err, k.watched)
	}
	defer func() { _ = unix.Close(named) }()
	name := fdDir + strconv.Itoa(number)
	if err := k.watcher.Add(name); err != nil {
		k.free = append(k.free, number)
		return "", explainWatch(err, k.watched)
	}
	k.watched++
	return name, nil
}

// number duplicates the descriptor to a number that names no watch.
func (k *inotify) number(dir int) (number, named int, err error) {
	for {
		from := k.next
		if len(k.free) > keepFree {
			from, k.free = k.free[0], k.free[1:]
		} else {
			k.next++
		}
		named, err = unix.FcntlInt(uintptr(dir), unix.F_DUPFD_CLOEXEC, from)
		if err != nil {
			return 0, 0, fmt.Errorf("%w (descriptor %d)", err, from)
		}
		if named == from {
			return from, named, nil
		}
		_ = unix.Close(named) // somebody uses that one
	}
}

func (k *inotify) remove(m *mark, ended bool) {
	if !ended {
		_ = k.watcher.Remove(m.name)
	}
	k.watched--
	if number, err := strconv.Atoi(strings.TrimPrefix(m.name, fdDir)); err == nil {
		k.free = append(k.free, number)
	}
}

func (k *inotify) read() ([]change, error) {
	select {
	case ev, open := <-k.watcher.Events:
		if !open {
			return nil, os.ErrClosed
		}
		return changesOf(ev), nil
	case err := <-k.failures:
		if errors.Is(err, fsnotify.ErrEventOverflow) {
			return nil, errOverflow
		}
		return nil, err
	}
}

func changesOf(ev fsnotify.Event) []change {
	rest, ours := strings.CutPrefix(ev.Name, fdDir)
	if !ours {
		return nil
	}
	number, entry, _ := strings.Cut(rest, "/")
	moved := ev.Op&structural != 0
	return []change{{dir: ev.Name[:len(fdDir)+len(number)], entry: entry, moved: moved, ended: moved && entry == ""}}
}

func (k *inotify) dead(marks []*mark) (dead []*mark) {
	alive := map[string]bool{}
	for _, name := range k.watcher.WatchList() {
		alive[name] = true
	}
	for _, m := range marks {
		if !alive[m.name] {
			dead = append(dead, m)
		}
	}
	return dead
}

func (k *inotify) close() {
	_ = k.watcher.Close()
	k.draining.Wait()
}
