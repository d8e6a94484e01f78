package watch_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/watch"
)

const patience = 20 * time.Second

// sink keeps what it is told.
type sink struct {
	mu     sync.Mutex
	told   chan struct{} // closed and replaced at each news
	hints  []drift.Hint
	modes  []string
	names  []string // modes of the names
	failed []error
}

func newSink() *sink { return &sink{told: make(chan struct{})} }

func (s *sink) tell(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
	close(s.told)
	s.told = make(chan struct{})
}

func (s *sink) Hint(h drift.Hint) { s.tell(func() { s.hints = append(s.hints, h) }) }
func (s *sink) Mode(source string, m drift.Mode, why string) {
	if source == watch.NamesSource {
		s.tell(func() { s.names = append(s.names, strings.TrimSpace(string(m)+" "+why)) })
		return
	}
	s.tell(func() { s.modes = append(s.modes, strings.TrimSpace(string(m)+" "+why)) })
}
func (s *sink) Failed(_ string, err error) { s.tell(func() { s.failed = append(s.failed, err) }) }

// until waits until what the sink was told is enough.
func (s *sink) until(t *testing.T, what string, enough func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		s.mu.Lock()
		ok, told := enough(), s.told
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-told:
		case <-deadline:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("no %s\nhints %v\nmodes %v\nerrors %v", what, subjects(s.hints), s.modes, s.failed)
		}
	}
}

func subjects(hints []drift.Hint) []string {
	var out []string
	for _, h := range hints[max(0, len(hints)-40):] {
		out = append(out, h.Subject)
	}
	return out
}

// after does something and waits for a hint from then on that covers the path.
func (s *sink) after(t *testing.T, covers string, do func()) {
	t.Helper()
	s.mu.Lock()
	from := len(s.hints)
	s.mu.Unlock()
	do()
	s.until(t, "hint for "+covers, func() bool {
		return slices.ContainsFunc(s.hints[from:], func(h drift.Hint) bool {
			return h.Subject == "" || h.Subject == covers || strings.HasPrefix(covers, h.Subject+"/")
		})
	})
}

// has is for conditions of until.
func (s *sink) has(subject string) bool {
	return slices.ContainsFunc(s.hints, func(h drift.Hint) bool { return h.Subject == subject })
}

func (s *sink) about(prefix string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.ContainsFunc(s.hints, func(h drift.Hint) bool { return strings.HasPrefix(h.Subject, prefix) })
}

// kernel is one of the kernel's interfaces.
type kernel struct{ name, mode string }

var (
	fanotify = kernel{"fanotify", "event fanotify"}
	inotify  = kernel{"inotify", "event inotify; not wanted: changes come without names"}
)

// eachKernel runs a test with each of the interfaces.
func eachKernel(t *testing.T, test func(t *testing.T, k kernel)) {
	for _, k := range []kernel{fanotify, inotify} {
		t.Run(k.name, func(t *testing.T) { test(t, k) })
	}
}

// pid is what a hint has of a process.
func (k kernel) pid(pid int) int {
	if k == inotify {
		return 0
	}
	return pid
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("fanotify tells who did what to root alone; make test runs as root where it can")
	}
}

func (k kernel) open(t *testing.T, dir string) *watch.Watcher {
	t.Helper()
	root, err := host.Open(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	w := watch.New(root)
	if k == inotify {
		w.FailFanotify(errors.New("not wanted"))
		return w
	}
	if os.Getenv(inside) == "" {
		needRoot(t)
	}
	if _, _, err := unix.NameToHandleAt(unix.AT_FDCWD, dir, 0); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("fanotify needs file handles, which the file system of the temporary directory does not have")
	}
	return w
}

// run subscribes until the test ends and returns once everything is armed.
func run(t *testing.T, w *watch.Watcher, s watch.Subscription) (*sink, func()) {
	t.Helper()
	to := newSink()
	s.To, s.Source = to, "inotify"
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := w.Watch(ctx, s); err != nil {
			t.Error(err)
		}
	}()
	stop := sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	to.until(t, "first hint", func() bool { return len(to.hints) > 0 })
	return to, stop
}

func all(string) bool { return true }

func whole(paths ...string) watch.Subscription {
	s := watch.Subscription{}
	for _, p := range paths {
		s.Trees = append(s.Trees, watch.Tree{Path: p, Enter: all})
	}
	return s
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func probe(t *testing.T, to *sink, dir, path string) {
	t.Helper()
	to.after(t, path, func() { must(t, os.WriteFile(filepath.Join(dir, path), []byte(time.Now().String()), 0o600)) })
}

func TestArmsFirstThenHintsOnceForAll(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "a")
		to, _ := run(t, k.open(t, dir), whole("/etc/kubernetes"))
		if len(to.modes) != 1 || to.modes[0] != k.mode || len(to.hints) != 1 || to.hints[0].Subject != "" || to.hints[0].Lost {
			t.Errorf("modes %q hints %+v", to.modes, to.hints)
		}
		probe(t, to, dir, "/etc/kubernetes/pki/ca.crt")
		if h := to.hints[1]; h.Source != "inotify" || h.Subject != "/etc/kubernetes/pki/ca.crt" || h.PID != k.pid(os.Getpid()) || h.At.IsZero() {
			t.Errorf("hint %+v", h)
		}
	})
}

// What is written right after its directory was made is seen by who looks at each
// hint: inotify alone sees a fifth of it.
func TestCreationRace(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/x", "")
		w := k.open(t, dir)
		to, _ := run(t, w, whole("/etc/kubernetes"))
		for i := range 200 {
			hosttest.Write(t, dir, fmt.Sprintf("etc/kubernetes/%d/a/b/c/f", i), "x")
		}
		seen, looked := map[string]bool{}, 1
		to.until(t, "look that saw all 200 files", func() bool {
			for ; looked < len(to.hints); looked++ {
				_ = filepath.WalkDir(filepath.Join(dir, to.hints[looked].Subject), func(name string, d fs.DirEntry, err error) error {
					if err == nil && d.Name() == "f" {
						seen[name] = true
					}
					return nil
				})
			}
			return len(seen) == 200
		})
		for i := range 200 {
			probe(t, to, dir, fmt.Sprintf("/etc/kubernetes/%d/a/b/c/f", i))
		}
		if n := w.Watches(); n != 3+200*4 {
			t.Errorf("%d watches", n)
		}
		must(t, os.RemoveAll(filepath.Join(dir, "etc/kubernetes")), os.MkdirAll(filepath.Join(dir, "etc/kubernetes"), 0o755))
		probe(t, to, dir, "/etc/kubernetes/x")
		for deadline := time.Now().Add(patience); w.Watches() != 3; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d watches after everything was removed", w.Watches())
			}
		}
	})
}

func TestChangesOfFiles(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, c := range []struct{ name, script, want string }{
			{"sed -i", "sed -i s/a/b/ etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.conf"},
			{"ConfigMap swap", "mkdir etc/kubernetes/cm/..2; echo y > etc/kubernetes/cm/..2/k; ln -s ..2 etc/kubernetes/cm/tmp; mv -T etc/kubernetes/cm/tmp etc/kubernetes/cm/..data", "/etc/kubernetes/cm/..data"},
			{"mode", "chmod 600 etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.conf"},
			{"mode of the root", "chmod 700 etc/kubernetes", "/etc/kubernetes"},
			{"mode of a directory", "chmod 700 etc/kubernetes/cm", "/etc/kubernetes/cm"},
			{"mode of a directory that is not entered", "chmod 700 etc/kubernetes/tmp", "/etc/kubernetes/tmp"},
			{"deleted", "rm etc/kubernetes/kubelet.conf", "/etc/kubernetes/kubelet.conf"},
			{"a file as root", "echo x > etc/single", "/etc/single"},
			{"a file as root renamed over", "echo x > etc/new; mv etc/new etc/single", "/etc/single"},
		} {
			t.Run(c.name, func(t *testing.T) {
				dir := t.TempDir()
				for _, name := range []string{"etc/kubernetes/kubelet.conf", "etc/kubernetes/cm/..1/k", "etc/kubernetes/tmp/x", "etc/single"} {
					hosttest.Write(t, dir, name, "a")
				}
				must(t, os.Symlink("..1", filepath.Join(dir, "etc/kubernetes/cm/..data")))
				s := whole("/etc/kubernetes", "/etc/single")
				s.Trees[0].Enter = func(rel string) bool { return rel != "tmp" }
				to, _ := run(t, k.open(t, dir), s)
				hosttest.Run(t, "sh", "-euc", "cd "+dir+"\n"+c.script)
				to.until(t, "hint for "+c.want, func() bool {
					return slices.ContainsFunc(to.hints, func(h drift.Hint) bool { return h.Subject == c.want })
				})
			})
		}
	})
}

// Whatever becomes of the directories, what is in their place is watched.
func TestRootsThatMove(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, c := range []struct{ name, before, script string }{
			{"deleted and made again", "mkdir -p var/lib/kubelet/pki", "rm -r var/lib/kubelet; mkdir -p var/lib/kubelet/pki"},
			{"moved away and back", "mkdir -p var/lib/kubelet/pki", "mv var/lib/kubelet var/k; mv var/k var/lib/kubelet"},
			{"an ancestor moved away and back", "mkdir -p var/lib/kubelet/pki", "mv var v; mv v var"},
			{"another in its place", "mkdir -p var/lib/kubelet/pki", "cp -a var/lib/kubelet var/k; mv var/lib/kubelet var/old; mv var/k var/lib/kubelet"},
			{"appears", "mkdir var", "mkdir -p var/lib/kubelet/pki"},
			{"appears from nothing by a move", "mkdir -p v/lib/kubelet/pki", "mv v var"},
			{"link moved", "mkdir -p data/a/pki data/b/pki var/lib; ln -s ../../data/a var/lib/kubelet", "ln -s ../../data/b var/lib/new; mv -T var/lib/new var/lib/kubelet"},
			{"link in the middle moved", "mkdir -p data/a/pki data/b/pki var/lib; ln -s ../../hop var/lib/kubelet; ln -s data/a hop", "ln -sfn data/b hop"},
			{"a directory becomes a link", "mkdir -p data/b/pki var/lib/kubelet", "rm -r var/lib/kubelet; ln -s ../../data/b var/lib/kubelet"},
			{"link to what is not there yet", "mkdir -p var/lib data; ln -s ../../data/a/b var/lib/kubelet", "mkdir -p data/a/b/pki"},
			{"directory below moved away and back", "mkdir -p var/lib/kubelet/pki", "mv var/lib/kubelet/pki p; mv p var/lib/kubelet/pki"},
			{"directory below deleted and made again, often", "mkdir -p var/lib/kubelet/pki", "for i in $(seq 50); do rm -r var/lib/kubelet/pki; mkdir var/lib/kubelet/pki; done"},
		} {
			t.Run(c.name, func(t *testing.T) {
				dir := t.TempDir()
				hosttest.Run(t, "sh", "-euc", "cd "+dir+"\n"+c.before)
				to, _ := run(t, k.open(t, dir), whole("/var/lib/kubelet"))
				to.after(t, "/var/lib/kubelet/pki", func() { hosttest.Run(t, "sh", "-euc", "cd "+dir+"\n"+c.script) })
				for range 3 {
					probe(t, to, dir, "/var/lib/kubelet/pki/x")
					probe(t, to, dir, "/var/lib/kubelet/y")
				}
				to.until(t, "exact hints", func() bool { return to.has("/var/lib/kubelet/y") && to.has("/var/lib/kubelet/pki/x") })
			})
		}
	})
}

func TestNothingOfWhatIsNotEntered(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "var/lib/kubelet/pods/x/volume", "a")
		hosttest.Write(t, dir, "var/lib/kubelet/config.yaml", "a")
		w := k.open(t, dir)
		s := whole("/var/lib/kubelet")
		s.Trees[0].Enter = func(rel string) bool { return rel == "" || rel == "pki" }
		s.Subject = func(path string) (string, bool) { return path, path != "/var/lib/kubelet/noise" }
		to, _ := run(t, w, s)
		if n := w.Watches(); n != 4 {
			t.Errorf("%d watches", n)
		}
		for i := range 100 {
			hosttest.Write(t, dir, fmt.Sprintf("var/lib/kubelet/pods/%d/deep/volume", i), "x")
			hosttest.Write(t, dir, "var/lib/kubelet/noise", "x")
		}
		probe(t, to, dir, "/var/lib/kubelet/config.yaml") // events come in order
		if to.about("/var/lib/kubelet/pods/") || to.about("/var/lib/kubelet/noise") {
			t.Errorf("hints %v", subjects(to.hints))
		}
	})
}

func TestLinksStayInside(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir, outside := t.TempDir(), t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755), os.Symlink(outside, filepath.Join(dir, "etc/kubernetes")), os.MkdirAll(filepath.Join(dir, outside), 0o755))
		to, _ := run(t, k.open(t, dir), whole("/etc/kubernetes"))
		hosttest.Write(t, outside, "secret", "x")
		to.after(t, "/etc/kubernetes/inside", func() { hosttest.Write(t, dir, outside+"/inside", "x") })
		if to.about("/etc/kubernetes/secret") {
			t.Error("a directory outside of the root is watched")
		}
	})
}

// runHeld subscribes to /etc/kubernetes and keeps the watcher from reading events
// until it is released.
func runHeld(t *testing.T, w *watch.Watcher, dir string) (to *sink, release func()) {
	t.Helper()
	gate, held := make(chan struct{}), make(chan struct{})
	hold := sync.OnceFunc(func() { close(held); <-gate })
	s := whole("/etc/kubernetes")
	s.Subject = func(path string) (string, bool) {
		if strings.HasSuffix(path, "/gate") {
			hold()
		}
		return path, true
	}
	to, _ = run(t, w, s)
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	hosttest.Write(t, dir, "etc/kubernetes/gate", "")
	<-held
	return to, release
}

// When the events are read, all looks as it did before, but the watches are gone.
func TestFasterThanEventsAreRead(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		for _, c := range []struct{ name, script string }{
			{"moved away and back", "mv etc/kubernetes k; mv k etc/kubernetes"},
			{"below moved away and back", "mv etc/kubernetes/pki p; mv p etc/kubernetes/pki"},
			{"made again with the same inode", "rm -r etc/kubernetes/pki; mkdir etc/kubernetes/pki"},
			{"two exchanged", "mv etc/kubernetes/pki p; mv etc/kubernetes/other etc/kubernetes/pki; mv p etc/kubernetes/other"},
		} {
			t.Run(c.name, func(t *testing.T) {
				dir := t.TempDir()
				hosttest.Write(t, dir, "etc/kubernetes/pki/x", "a")
				hosttest.Write(t, dir, "etc/kubernetes/other/x", "a")
				to, release := runHeld(t, k.open(t, dir), dir)
				hosttest.Run(t, "sh", "-euc", "cd "+dir+"\n"+c.script)
				to.after(t, "/etc/kubernetes/pki", release)
				probe(t, to, dir, "/etc/kubernetes/y")
				for range 3 {
					probe(t, to, dir, "/etc/kubernetes/pki/x")
					probe(t, to, dir, "/etc/kubernetes/other/x")
				}
				to.until(t, "exact hints", func() bool { return to.has("/etc/kubernetes/other/x") && to.has("/etc/kubernetes/pki/x") })
			})
		}
	})
}

func TestWhatMovedOutIsNotWatched(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/a/b/c/f", "a")
		w := k.open(t, dir)
		to, _ := run(t, w, whole("/etc/kubernetes"))
		to.after(t, "/etc/kubernetes/a", func() {
			must(t, os.Rename(filepath.Join(dir, "etc/kubernetes/a"), filepath.Join(dir, "a")))
		})
		hosttest.Write(t, dir, "a/b/c/f", "b")
		probe(t, to, dir, "/etc/kubernetes/x")
		if n := w.Watches(); n != 3 || to.about("/etc/kubernetes/a/") {
			t.Errorf("%d watches, hints %v", n, subjects(to.hints))
		}
		if n := listed(t); n != 3 {
			t.Errorf("the kernel watches %d directories", n)
		}
	})
}

func TestOverflowIsSaidAndRescanned(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/x", "")
		w := k.open(t, dir)
		w.ReadStorms()
		to, release := runHeld(t, w, dir)
		for i := range 18_000 { // fanotify merges those of one name
			name := filepath.Join(dir, "etc/kubernetes", fmt.Sprint(i))
			must(t, os.WriteFile(name, []byte("x"), 0o600), os.Remove(name))
		}
		hosttest.Write(t, dir, "etc/kubernetes/made/meanwhile/f", "x")
		release()
		to.until(t, "word of the loss", func() bool {
			return slices.ContainsFunc(to.hints, func(h drift.Hint) bool { return h.Lost && h.Subject == "" })
		})
		for exact := false; !exact; { // a hint for all may cover it while the burst lasts
			probe(t, to, dir, "/etc/kubernetes/made/meanwhile/f")
			to.mu.Lock()
			exact = to.has("/etc/kubernetes/made/meanwhile/f")
			to.mu.Unlock()
		}
		if n := instances(t); n != 1 {
			t.Errorf("%d instances", n)
		}
	})
}

func TestStormIsBounded(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		must(t, os.MkdirAll(filepath.Join(dir, "etc"), 0o755))
		to, _ := run(t, k.open(t, dir), whole("/etc"))
		start, events := time.Now(), 0
		for i := range 5000 {
			name := filepath.Join(dir, "etc", fmt.Sprint(i))
			must(t, os.WriteFile(name, []byte("x"), 0o600), os.Remove(name))
			events += 3
		}
		hosttest.Write(t, dir, "etc/last", "x")
		to.after(t, "/etc/last", func() { hosttest.Write(t, dir, "etc/last", "y") })
		to.mu.Lock()
		defer to.mu.Unlock()
		if most := 30 * int(1+time.Since(start)/(5*time.Millisecond)); len(to.hints) > most {
			t.Errorf("%d hints for %d events in %s", len(to.hints), events, time.Since(start))
		}
	})
}

// instances counts those of both interfaces.
func instances(t *testing.T) (n int) {
	t.Helper()
	for _, fd := range descriptors(t) {
		if strings.HasPrefix(fd, "anon_inode:") && strings.Contains(fd, "notify") {
			n++
		}
	}
	return n
}

// listed counts the directories that the kernel says it watches for us.
func listed(t *testing.T) int {
	t.Helper()
	return len(regexp.MustCompile(`(?m)^(inotify wd|fanotify ino):`).FindAllString(kernelList(t), -1))
}

// kernelList is what the kernel says of our descriptors.
func kernelList(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fdinfo")
	must(t, err)
	var out strings.Builder
	for _, e := range entries {
		data, _ := os.ReadFile("/proc/self/fdinfo/" + e.Name())
		out.Write(data)
	}
	return out.String()
}

func descriptors(t *testing.T) (out []string) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			out = append(out, to)
		}
	}
	slices.Sort(out)
	return out
}

func TestOneInstanceAndNothingLeft(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "a")
		w := k.open(t, dir)
		before, goroutines := descriptors(t), runtime.NumGoroutine()
		var stops []func()
		for range 5 {
			to, stop := run(t, w, whole("/etc/kubernetes", "/etc"))
			stops = append(stops, stop)
			probe(t, to, dir, "/etc/kubernetes/pki/ca.crt")
		}
		if n := instances(t); n != 1 {
			t.Errorf("%d instances", n)
		}
		if n := w.Watches(); n != 4 {
			t.Errorf("%d watches", n)
		}
		if now := descriptors(t); len(now) > len(before)+4 { // the instance, epoll and its wake-up
			t.Errorf("directories are held open: %v", now)
		}
		for _, stop := range stops {
			stop()
		}
		if n := w.Watches(); n != 0 {
			t.Errorf("%d watches left", n)
		}
		if now := descriptors(t); instances(t) != 0 || len(now) > len(before)+2 { // the runtime keeps epoll
			t.Errorf("before %v, now %v", before, now)
		}
		for deadline := time.Now().Add(patience); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines, before %d", runtime.NumGoroutine(), goroutines)
			}
		}
		to, _ := run(t, w, whole("/etc/kubernetes"))
		probe(t, to, dir, "/etc/kubernetes/pki/ca.crt")
	})
}

func TestSubscribersComeAndGo(t *testing.T) {
	eachKernel(t, func(t *testing.T, k kernel) {
		dir := t.TempDir()
		hosttest.Write(t, dir, "etc/kubernetes/pki/ca.crt", "a")
		w := k.open(t, dir)
		stays, _ := run(t, w, whole("/etc/kubernetes"))
		for range 20 {
			to, stop := run(t, w, whole("/etc"))
			probe(t, to, dir, "/etc/kubernetes/pki/ca.crt")
			stop()
			probe(t, stays, dir, "/etc/kubernetes/pki/ca.crt")
		}
	})
}
