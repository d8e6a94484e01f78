package main

import (
	"context"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/watch"
)

// directories is a source for a check that reads files in a few places: whatever
// happens there, it looks at all of its area.
type directories struct {
	files *watch.Watcher
	paths []string
}

// watched is a check that names such places.
type watched interface{ WatchedDirectories() []string }

// Watch implements drift.Watcher.
func (d directories) Watch(ctx context.Context, to drift.Sink) error {
	s := watch.Subscription{Source: "inotify", To: to, Whole: true}
	for _, p := range d.paths {
		s.Trees = append(s.Trees, watch.Tree{Path: p, Enter: func(rel string) bool { return rel == "" }})
	}
	return d.files.Watch(ctx, s)
}

// also are the further sources of a check.
func (s *session) also(c drift.Check) []drift.Watcher {
	if w, ok := c.(watched); ok && s.files != nil {
		return []drift.Watcher{directories{s.files, w.WatchedDirectories()}}
	}
	return nil
}
