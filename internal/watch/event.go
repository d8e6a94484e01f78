package watch

import (
	"path"

	"github.com/fsnotify/fsnotify"
)

// structural events change which directories are where.
const structural = fsnotify.Create | fsnotify.Remove | fsnotify.Rename

// event brings the watches up to date first and hints then, so that whoever looks
// because of the hint sees all that happened before the new watches.
func (w *Watcher) event(ev fsnotify.Event) {
	m, entry := w.marks.at(ev.Name)
	if m == nil {
		return
	}
	var places []string
	for place := range m.places {
		places = append(places, path.Join(place, entry))
	}
	if entry == "" && ev.Op&(fsnotify.Remove|fsnotify.Rename) != 0 {
		w.forget(m)
	}
	for _, place := range places {
		w.changed(place, ev.Op&structural != 0)
	}
}

// forget is for a directory that was moved or deleted: fsnotify has ended its
// watch. Where it was, another may be.
func (w *Watcher) forget(m *mark) {
	w.end(m)
	for sub := range w.subscribers {
		for _, t := range sub.trees {
			for place := range m.places {
				if t.way[place] == m {
					delete(t.way, place)
				}
				if t.content[place] == m {
					delete(t.content, place)
				}
			}
		}
	}
}

// changed tells everybody who asked for it that something happened at a path.
func (w *Watcher) changed(name string, moved bool) {
	for sub := range w.subscribers {
		for _, t := range sub.trees {
			w.changedTree(sub, t, name, moved)
		}
	}
}

func (w *Watcher) changedTree(sub *subscriber, t *tree, name string, moved bool) {
	switch {
	case t.hops[name]:
		if moved {
			w.withMounts(func() { w.armTree(t) })
			w.settle(sub)
		}
		sub.hint(t.Path)
	case t.end != "" && name != t.end && t.content[path.Dir(name)] != nil:
		if moved {
			w.enter(t, name, 2)
			w.settle(sub)
		}
		sub.hint(t.named(name))
	}
}
