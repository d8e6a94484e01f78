package paths_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// seenHost is a host whose files a check has seen some time after they were written.
type seenHost struct {
	dir      string
	recorded baseline.Scope
	seen     []byte
}

func newSeenHost(t *testing.T) seenHost {
	t.Helper()
	h := seenHost{dir: t.TempDir(), recorded: baseline.Scope{}}
	for _, name := range []string{"a", "b", "pki/ca.crt"} {
		hosttest.Write(t, h.dir, "etc/kubernetes/"+name, name)
	}
	hosttest.Write(t, h.dir, "opt/kubelet", "elsewhere")
	if err := os.Symlink("/opt/kubelet", filepath.Join(h.dir, "etc/linked")); err != nil {
		t.Fatal(err)
	}
	waitForTick(t, h.dir)
	for subject, f := range h.check(t, nil).Observe(t.Context(), nil).Facts {
		h.recorded[subject] = f.Value
	}
	c := h.check(t, nil)
	c.Observe(t.Context(), nil)
	h.seen = c.Seen().Encode()
	return h
}

// waitForTick waits until files written now would have another time than those there.
func waitForTick(t *testing.T, dir string) {
	t.Helper()
	root := openRoot(t, dir)
	before, err := root.Lstat("/opt/kubelet")
	if err != nil {
		t.Fatal(err)
	}
	for time.Since(before.Changed) < 50*time.Millisecond {
		time.Sleep(time.Millisecond) // for the clock alone: metadata is trusted once it is this old
	}
}

func (h seenHost) check(t *testing.T, read *paths.Progress) *paths.Check {
	t.Helper()
	var recorded baseline.Scope
	if len(h.recorded) > 0 {
		recorded = h.recorded
	}
	return paths.New(openRoot(t, h.dir), []drift.Bound[paths.Rule]{
		{Operation: "x.kubernetes", Rule: paths.Rule{Paths: []string{"/etc/kubernetes"}, Content: []string{"**"}}},
		{Operation: "x.linked", Rule: paths.Rule{Paths: []string{"/etc/linked"}, Content: []string{"**"}}},
	}, recorded, read)
}

// recalled is a check of the next run.
func (h seenHost) recalled(t *testing.T, read *paths.Progress) *paths.Check {
	t.Helper()
	s, err := paths.DecodeSeen(h.seen)
	if err != nil {
		t.Fatal(err)
	}
	return h.check(t, read).Recall(s)
}

// A start reads what changed meanwhile and nothing else, and everything soon after.
func TestRecall(t *testing.T) {
	write := func(name, content string) func(*testing.T, seenHost) {
		return func(t *testing.T, h seenHost) { hosttest.Write(t, h.dir, name, content) }
	}
	for name, c := range map[string]struct {
		meanwhile func(*testing.T, seenHost)
		read      int64
		found     []string
	}{
		"nothing":          {func(*testing.T, seenHost) {}, 0, nil},
		"another content":  {write("etc/kubernetes/a", "x"), 1, []string{"/etc/kubernetes/a"}},
		"a new file":       {write("etc/kubernetes/c", "c"), 1, []string{"/etc/kubernetes/c"}},
		"the same content": {write("etc/kubernetes/a", "a"), 1, nil},
		"behind a link":    {write("opt/kubelet", "x"), 1, []string{"/etc/linked"}},
		"a mode": {func(t *testing.T, h seenHost) {
			if err := os.Chmod(filepath.Join(h.dir, "etc/kubernetes/a"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 1, []string{"/etc/kubernetes/a"}},
		"a link that leads to a copy": {func(t *testing.T, h seenHost) {
			hosttest.Run(t, "sh", "-c", "cp "+h.dir+"/opt/kubelet "+h.dir+"/opt/copy; ln -sfn /opt/copy "+h.dir+"/etc/linked")
		}, 1, []string{"/etc/linked"}},
		"a file in another's place": {func(t *testing.T, h seenHost) {
			hosttest.Run(t, "mv", h.dir+"/etc/kubernetes/a", h.dir+"/etc/kubernetes/b")
		}, 1, []string{"/etc/kubernetes/a", "/etc/kubernetes/b"}},
		"another baseline": {func(_ *testing.T, h seenHost) { h.recorded["/etc/kubernetes/a"] = h.recorded["/etc/kubernetes/b"] }, 1, []string{"/etc/kubernetes/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			h, read := newSeenHost(t), &paths.Progress{}
			c.meanwhile(t, h)
			check := h.recalled(t, read)
			found := map[string]bool{}
			for _, f := range check.Observe(t.Context(), nil).Findings {
				found[f.Subject] = true
			}
			if len(found) != len(c.found) {
				t.Errorf("found %v, want %v", found, c.found)
			}
			for _, subject := range c.found {
				if !found[subject] {
					t.Errorf("found %v, want %s", found, subject)
				}
			}
			if got := read.Files.Load(); got != c.read {
				t.Errorf("%d files were read, want %d", got, c.read)
			}
		})
	}
}

// Metadata that lies is found out: what another run saw is trusted for one look.
func TestRecalledIsVerified(t *testing.T) {
	h, read := newSeenHost(t), &paths.Progress{}
	check := h.recalled(t, read)
	hints := hinted{told: make(chan drift.Hint, 10)}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = check.Watch(ctx, hints) }()
	<-hints.told // that it watches
	if seen := check.Observe(t.Context(), nil); len(seen.Findings) > 0 || read.Files.Load() != 0 {
		t.Fatalf("%d files were read, and %+v", read.Files.Load(), seen.Findings)
	}
	if hint := <-hints.told; hint.Subject != "" || hint.Armed {
		t.Fatalf("hinted %+v", hint)
	}
	// Before that another check may take its place: what it is told is no more certain.
	next := h.check(t, read).Recall(check.Seen())
	again := hinted{told: make(chan drift.Hint, 10)}
	go func() { _ = next.Watch(ctx, again) }()
	<-again.told
	next.Observe(t.Context(), nil)
	<-again.told
	if next.Observe(t.Context(), nil); read.Files.Load() != 4 {
		t.Errorf("%d files were read, want each once", read.Files.Load())
	}
	// Then nobody has to any more.
	last := h.check(t, read).Recall(next.Seen())
	quiet := hinted{told: make(chan drift.Hint, 10)}
	go func() { _ = last.Watch(ctx, quiet) }()
	<-quiet.told
	if last.Observe(t.Context(), nil); read.Files.Load() != 4 || len(quiet.told) > 0 {
		t.Errorf("%d files were read, and it hints %d times", read.Files.Load(), len(quiet.told))
	}
}

// hinted keeps hints.
type hinted struct{ told chan drift.Hint }

func (h hinted) Hint(hint drift.Hint)          { h.told <- hint }
func (hinted) Mode(string, drift.Mode, string) {}
func (hinted) Failed(string, error)            {}

func TestDecodeSeen(t *testing.T) {
	whole := newSeenHost(t).seen
	s, err := paths.DecodeSeen(whole)
	if err != nil {
		t.Fatal(err)
	}
	if again := s.Encode(); !bytes.Equal(again, whole) {
		t.Error("it is another one when it was read and written")
	}
	flipped := bytes.Clone(whole)
	flipped[len(whole)/2] ^= 1
	for name, data := range map[string][]byte{"empty": nil, "torn": whole[:len(whole)-1], "short": whole[:10], "flipped": flipped, "longer": append(bytes.Clone(whole), 0)} {
		if _, err := paths.DecodeSeen(data); !errors.Is(err, paths.ErrSeen) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
