package node

import (
	"context"
	"reflect"
	"sync"
)

// Source hands the own Node to whoever reads it. Its zero value knows none. What it
// hands out is shared and must not be changed. A nil Source knows none and never will.
type Source struct {
	mu      sync.Mutex
	node    Node
	known   bool
	missing bool
	changed chan struct{} // closed at the next Set
}

// Get returns the Node as last seen; not ok while nobody has seen it.
func (s *Source) Get() (n Node, ok bool) {
	n, ok, _ = s.look()
	return n, ok
}

// Set keeps the Node as it is now. One that is as it was is no news.
func (s *Source) Set(n Node) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known && !s.missing && reflect.DeepEqual(s.node, n) {
		return
	}
	s.node, s.known, s.missing = n, true, false
	s.tell()
}

// Gone keeps that there is no Node any more. One that nobody has seen stays unknown,
// and is missing.
func (s *Source) Gone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.missing = true
	s.node.Deleted = s.known
	s.tell()
}

// Missing tells whether the cluster has no such Node, be it one that somebody has seen
// or not.
func (s *Source) Missing() bool {
	if s == nil {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.missing
}

// tell is called with the lock held.
func (s *Source) tell() {
	if s.changed != nil {
		close(s.changed)
		s.changed = nil
	}
}

// Watch calls seen whenever the Node was set, or went, since the last call, until ctx ends.
func (s *Source) Watch(ctx context.Context, seen func()) {
	_, known, changed := s.look()
	for {
		if known || s.Missing() {
			seen()
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
			_, known, changed = s.look()
		}
	}
}

// look returns the Node and what is closed when it is another one.
func (s *Source) look() (Node, bool, <-chan struct{}) {
	if s == nil {
		return Node{}, false, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed == nil {
		s.changed = make(chan struct{})
	}
	return s.node, s.known, s.changed
}
