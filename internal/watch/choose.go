package watch

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// opener opens fanotify for the marks by name.
type opener func(root *host.Root, marks map[string]*mark) (kernel, error)

// open takes fanotify where it says who did what.
func (w *Watcher) open() {
	fresh := newMarks()
	k, err := w.openFanotify(w.root, fresh.byName)
	w.use(fresh, k, err)
}

// regain takes fanotify where others had left no group for it, but do now.
func (w *Watcher) regain() bool {
	if !w.lacking() {
		return false
	}
	fresh := newMarks()
	k, err := w.openFanotify(w.root, fresh.byName)
	if w.nameless = err; err != nil {
		return false
	}
	w.close()
	w.use(fresh, k, nil)
	return true
}

// lacking tells whether fanotify may be had later.
func (w *Watcher) lacking() bool { return errors.Is(w.nameless, unix.EMFILE) }

func (w *Watcher) use(fresh marks, k kernel, nameless error) {
	w.marks, w.over = fresh, make(chan struct{})
	w.inotify, w.broken = nil, nil
	if w.fanotify, w.nameless = k, nameless; nameless != nil {
		w.fanotify = nil
		return
	}
	w.listen(k)
}

// distrust is for good: what is not understood now will not be later.
func (w *Watcher) distrust(err error) {
	w.openFanotify = func(*host.Root, map[string]*mark) (kernel, error) { return nil, err }
}

// choose has a directory watched by fanotify or, where that cannot be, by inotify.
func (w *Watcher) choose(dir int, m *mark) (err error) {
	m.nameless = w.nameless
	if w.fanotify != nil {
		if m.name, m.nameless = w.fanotify.add(dir); m.nameless == nil {
			m.kernel = w.fanotify
			return nil
		}
	}
	if m.kernel, err = w.second(); err != nil {
		return err
	}
	m.name, err = m.kernel.add(dir)
	return err
}

// second is inotify, of which there is an instance from when a directory needs it.
func (w *Watcher) second() (kernel, error) {
	if w.inotify != nil || w.broken != nil {
		return w.inotify, w.broken
	}
	if w.inotify, w.broken = openInotify(); w.broken == nil {
		w.listen(w.inotify)
	}
	return w.inotify, w.broken
}

// close ends all watches at once.
func (w *Watcher) close() {
	for _, k := range w.kernels() {
		k.close()
	}
	if w.over != nil {
		close(w.over)
	}
	w.fanotify, w.inotify, w.over, w.marks = nil, nil, nil, newMarks()
}

func (w *Watcher) kernels() (open []kernel) {
	for _, k := range []kernel{w.fanotify, w.inotify} {
		if k != nil {
			open = append(open, k)
		}
	}
	return open
}

// how says which interface tells a subscriber of changes, and why not the better one.
func (w *Watcher) how(sub *subscriber) string {
	if w.nameless != nil {
		return fmt.Sprintf("inotify; %v: changes come without names", w.nameless)
	}
	for _, t := range sub.trees {
		if t.nameless != nil {
			return fmt.Sprintf("fanotify; inotify where changes come without names: %v", t.nameless)
		}
	}
	return "fanotify"
}

// noteName keeps the first reason why changes in the tree come without names.
func (t *tree) noteName(dir string, m *mark) {
	if t.nameless == nil && m.nameless != nil {
		t.nameless = fmt.Errorf("%s: %w", drift.Printable(dir), m.nameless)
	}
}
