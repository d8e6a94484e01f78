package sysctl

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// heard keeps what the sources say.
type heard struct {
	hints chan drift.Hint

	mu     sync.Mutex
	modes  map[string]drift.Mode
	why    map[string]string
	failed []error
}

func newHeard() *heard {
	return &heard{hints: make(chan drift.Hint, 1<<16), modes: map[string]drift.Mode{}, why: map[string]string{}}
}

func (h *heard) Hint(hint drift.Hint) { h.hints <- hint }

func (h *heard) Mode(source string, m drift.Mode, why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.modes[source], h.why[source] = m, why
}

func (h *heard) Failed(_ string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failed = append(h.failed, err)
}

func (h *heard) mode(source string) (drift.Mode, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.modes[source], h.why[source]
}

// await returns the hints up to the first that is wanted.
func (h *heard) await(t testing.TB, what string, wanted func(drift.Hint) bool) []drift.Hint {
	t.Helper()
	var seen []drift.Hint
	deadline := time.After(5 * time.Second)
	for {
		select {
		case hint := <-h.hints:
			seen = append(seen, hint)
			if wanted(hint) {
				return seen
			}
		case <-deadline:
			h.mu.Lock()
			modes := fmt.Sprint(h.modes, h.why)
			h.mu.Unlock()
			t.Fatalf("no hint: %s; heard %d hints, the last of them %+v; modes %s", what, len(seen), seen[max(0, len(seen)-10):], modes)
		}
	}
}

// now returns the hints that are there already.
func (h *heard) now() []drift.Hint {
	var seen []drift.Hint
	for {
		select {
		case hint := <-h.hints:
			seen = append(seen, hint)
		default:
			return seen
		}
	}
}

func from(source, subject string) func(drift.Hint) bool {
	return func(h drift.Hint) bool { return h.Source == source && h.Subject == subject && !h.Lost }
}

// watching lets a check watch until the test ends, and finds what it leaves behind.
func watching(t *testing.T, c *Check, to drift.Sink) {
	t.Helper()
	openForGood(t)
	descriptors, goroutines := openDescriptors(t), runtime.NumGoroutine()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Watch(ctx, to) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("watch: %v", err)
		}
		settled(t, "goroutines", goroutines, runtime.NumGoroutine)
		settled(t, "descriptors", descriptors, func() int { return openDescriptors(t) })
	})
}

// settled waits until no more are there than before: the runtime takes goroutines
// and descriptors away a moment after they have ended.
func settled(t *testing.T, what string, before int, count func() int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); count() > before; runtime.Gosched() {
		if time.Now().After(deadline) {
			links, _ := filepath.Glob("/proc/self/fd/*")
			for i, l := range links {
				to, _ := os.Readlink(l)
				links[i] = l + " " + to
			}
			t.Fatalf("%d %s are left behind: %v", count()-before, what, links)
		}
	}
}

// openForGood lets the runtime and the file library open what they keep.
func openForGood(t *testing.T) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = r.Close()
	_ = w.Close()
	if _, err := mustOpen(t, "/").ReadFile("/proc/version", 1<<10); err != nil {
		t.Fatal(err)
	}
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// serving starts one source by itself.
func serving(t *testing.T, s *source, to *heard) {
	t.Helper()
	stop := s.start(context.Background(), to)
	t.Cleanup(func() { stop("") })
	if m, why := to.mode(s.name); m != s.mode {
		t.Fatalf("%s is %s: %s", s.name, m, why)
	}
}

func named(c *Check, name string) *source {
	for _, s := range c.sources() {
		for ; s != nil; s = s.fallback {
			if s.name == name {
				return s
			}
		}
	}
	panic("no source " + name)
}
