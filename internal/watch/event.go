package watch

import (
	"path"
	"slices"
)

// event brings the watches up to date first and hints then, so that whoever looks
// because of the hint sees all that happened before the new watches.
func (w *Watcher) event(c change) {
	m := w.marks.byName[c.dir]
	places := m.entry(c.entry)
	if c.alone {
		places = append(places, w.entriesOf(c.dir)...)
	}
	if m != nil && c.entry == "" && c.moved {
		w.forget(m, c.ended)
	}
	slices.Sort(places)
	for _, place := range slices.Compact(places) {
		w.changed(place, c.moved, c.pid)
	}
}

// forget is for a directory that was moved or deleted: its watch ends. Where it
// was, another may be.
func (w *Watcher) forget(m *mark, ended bool) {
	w.end(m, ended)
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

// changed tells everybody who asked for it that something happened at a path: first
// those who look at nothing else.
func (w *Watcher) changed(name string, moved bool, pid int) {
	for _, whole := range [...]bool{false, true} {
		for sub := range w.subscribers {
			if sub.Whole != whole {
				continue
			}
			for _, t := range sub.trees {
				w.changedTree(sub, t, name, moved, pid)
			}
		}
	}
}

func (w *Watcher) changedTree(sub *subscriber, t *tree, name string, moved bool, pid int) {
	switch {
	case t.hops[name]:
		if moved {
			w.withMounts(func() { w.armTree(t) })
			w.settle(sub)
		}
		sub.hint(t.Path, pid)
	case t.end != "" && name != t.end && t.content[path.Dir(name)] != nil:
		if moved {
			w.enter(t, name, 2)
			w.settle(sub)
		}
		sub.hint(t.named(name), pid)
	}
}
