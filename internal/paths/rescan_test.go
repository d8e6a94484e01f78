package paths_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/paths"
	"github.com/nodeguard/nodeguard/internal/watch"
)

func openRoot(t *testing.T, dir string) *host.Root {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// settled is a check whose last look trusts every stamp.
func settled(t *testing.T, dir string, recorded baseline.Scope) (*paths.Check, *paths.Progress) {
	t.Helper()
	progress := &paths.Progress{}
	c := paths.New(openRoot(t, dir), rules, recorded, progress)
	c.Observe(t.Context(), nil)
	for deadline := time.Now().Add(10 * time.Second); ; {
		before := progress.Files.Load()
		if c.Observe(t.Context(), []string{}); progress.Files.Load() == before {
			return c, progress
		}
		if time.Now().After(deadline) {
			t.Fatal("unchanged files are read again and again")
		}
	}
}

// Every change is found by a rescan as by a full verification, and it clears.
func TestRescanFindsWhatAFullVerificationFinds(t *testing.T) {
	for _, c := range []struct{ name, script string }{
		{"nothing", ""},
		{"content of the same size, mtime set back", "touch -r etc/kubernetes/kubelet.conf ref; printf 'server: b' > etc/kubernetes/kubelet.conf; touch -r ref etc/kubernetes/kubelet.conf; rm ref"},
		{"rename over it, same size and mtime", "printf 'server: b' > n; touch -r etc/kubernetes/kubelet.conf n; mv n etc/kubernetes/kubelet.conf"},
		{"mode", "chmod 600 etc/kubernetes/kubelet.conf"},
		{"hard link elsewhere", "ln etc/kubernetes/kubelet.conf elsewhere/alias"},
		{"new", "mkdir etc/kubernetes/a; touch etc/kubernetes/a/b etc/kubernetes/0 etc/kubernetes/zz"},
		{"deleted", "rm etc/kubernetes/pki/ca.crt; rm -r etc/kubernetes/manifests"},
		{"all new", "rm -r etc/kubernetes; mkdir -p etc/kubernetes/pki; touch etc/kubernetes/pki/ca.crt"},
		{"swapped", "mv etc/kubernetes/pki/ca.crt x; mv etc/kubernetes/kubelet.conf etc/kubernetes/pki/ca.crt; mv x etc/kubernetes/kubelet.conf"},
		{"file to link", "mv etc/kubernetes/kubelet.conf elsewhere/k; ln -s /elsewhere/k etc/kubernetes/kubelet.conf"},
		{"hop of a link to a file", "ln -sfn /elsewhere/hop2 elsewhere/hop"},
		{"sed -i", "sed -i s/a/b/ elsewhere/daemon.json"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := node(t)
			sh(t, dir, "mkdir -p etc/docker; echo a > elsewhere/daemon.json; ln -s daemon.json elsewhere/hop; ln -s daemon.json elsewhere/hop2; ln -s ../../elsewhere/hop etc/docker/daemon.json")
			recorded := record(t, dir)
			only := [][]string{{}, {"/etc"}, {"/nowhere"}, nil}
			var checks []*paths.Check
			for range only {
				check, _ := settled(t, dir, recorded)
				checks = append(checks, check)
			}
			sh(t, dir, c.script)
			time.Sleep(50 * time.Millisecond) // or it is read again only because it is that new
			want := observe(t, dir, recorded)
			if c.script != "" && len(want.Findings) == 0 {
				t.Fatal("nothing was found")
			}
			for i, check := range checks {
				for range 2 {
					if diff := cmp.Diff(want, check.Observe(t.Context(), only[i])); diff != "" {
						t.Errorf("with %q: %s", only[i], diff)
					}
				}
			}
		})
	}
}

func TestHintedTargetsAreLookedAtAndTheRestIsKept(t *testing.T) {
	dir := node(t)
	recorded := record(t, dir)
	check, progress := settled(t, dir, recorded)
	sh(t, dir, "printf x >> etc/kubernetes/kubelet.conf; printf x >> var/lib/kubelet/config.yaml; touch etc/kubernetes/new")
	before := progress.Files.Load()
	kubelet := "kubelet /var/lib/kubelet/config.yaml: content sha256:"
	got := found(check.Observe(t.Context(), []string{"/var/lib/kubelet/config.yaml"}))
	if len(got) != 1 || !strings.HasPrefix(got[0], kubelet) || progress.Files.Load() != before+1 {
		t.Errorf("%d files read, found %q", progress.Files.Load()-before, got)
	}
	for _, subject := range []string{"/etc/kubernetes/new", "/etc/kubernetes (mount)", "/etc/kubernetes", "/etc", ""} {
		o := check.Observe(t.Context(), []string{subject})
		if got := found(o); len(got) != 3 || len(o.Facts) < len(recorded) {
			t.Errorf("%q: %d facts, found %q", subject, len(o.Facts), got)
		}
	}
	sh(t, dir, "rm etc/kubernetes/new")
	if got := found(check.Observe(t.Context(), []string{"/etc/kubernetes/new"})); len(got) != 2 {
		t.Errorf("it does not clear: %q", got)
	}
}

// Rewritten as fast as it goes, with size and mtime kept: ctime alone tells, and
// the clock behind it is coarse.
func TestNoChangeHidesInTheClocksTick(t *testing.T) {
	dir := node(t)
	check, _ := settled(t, dir, nil)
	name := filepath.Join(dir, "etc/kubernetes/kubelet.conf")
	stamp := time.Unix(1700000000, 0)
	seen := map[string]bool{}
	for i := range 500 {
		err := errors.Join(os.WriteFile(name, fmt.Appendf(nil, "%09d", i), 0), os.Chtimes(name, stamp, stamp))
		if err != nil {
			t.Fatal(err)
		}
		seen[check.Observe(t.Context(), []string{"/etc/kubernetes/kubelet.conf"}).Facts["/etc/kubernetes/kubelet.conf"].Value] = true
	}
	if len(seen) != 500 {
		t.Errorf("%d of 500 contents were seen", len(seen))
	}
}

func TestCutShortLookIsNotRemembered(t *testing.T) {
	dir := node(t)
	recorded := record(t, dir)
	check, _ := settled(t, dir, recorded)
	sh(t, dir, "printf x >> etc/kubernetes/kubelet.conf")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if o := check.Observe(ctx, []string{}); len(o.Gaps) == 0 {
		t.Error("no gap")
	}
	if got := found(check.Observe(t.Context(), []string{"/var/lib/kubelet"})); len(got) != 0 {
		t.Errorf("kept %q", got)
	}
	if o := check.Observe(t.Context(), []string{}); len(o.Findings) != 1 || len(o.Gaps) != 0 {
		t.Errorf("found %q gaps %v", found(o), o.Gaps)
	}
}

func TestLooksAtOnce(t *testing.T) {
	dir := node(t)
	recorded := record(t, dir)
	check, _ := settled(t, dir, recorded)
	var looks sync.WaitGroup
	for i := range 8 {
		looks.Go(func() {
			for j := range 20 {
				only := [][]string{nil, {}, {"/etc/kubernetes"}, {"/var/lib/kubelet"}}[(i+j)%4]
				if o := check.Observe(context.Background(), only); len(o.Findings)+len(o.Gaps) > 0 {
					t.Errorf("found %v %v", o.Findings, o.Gaps)
				}
			}
		})
	}
	looks.Wait()
}

// A mount of a file over itself changes neither device nor inode.
func TestRescanSeesMounts(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	dir := node(t)
	hosttest.Write(t, dir, "etc/docker/daemon.json", "{}")
	recorded := record(t, dir)
	check, _ := settled(t, dir, recorded)
	for _, name := range []string{"etc/kubernetes/kubelet.conf", "etc/docker/daemon.json"} {
		name = filepath.Join(dir, name)
		if err := unix.Mount(name, name, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		if got := found(check.Observe(t.Context(), []string{})); len(got) != 1 {
			t.Errorf("found %q", got)
		}
		if err := unix.Unmount(name, 0); err != nil {
			t.Fatal(err)
		}
		if got := found(check.Observe(t.Context(), []string{})); len(got) != 0 {
			t.Errorf("it does not clear: %q", got)
		}
	}
}

// What a look at many files costs is counted, not timed: seconds are the benchmarks'.
func TestCostOfManyFiles(t *testing.T) {
	dir := manyFiles(t, 10)
	root := openRoot(t, dir)
	recorded := baseline.ScopeOf(paths.New(root, everything, nil, nil).Observe(t.Context(), nil).Facts, nil)
	time.Sleep(50 * time.Millisecond) // or files are read again only because they are that new

	t.Run("unchanged", func(t *testing.T) {
		check := paths.New(root, everything, recorded, nil)
		first := check.Observe(t.Context(), nil)
		rescan := func() {
			if o := check.Observe(t.Context(), []string{}); reflect.ValueOf(o.Facts).Pointer() != reflect.ValueOf(first.Facts).Pointer() {
				t.Error("a look that saw nothing new made new facts")
			}
		}
		// The entry's name as it is listed, and once more for the system call.
		if each := testing.AllocsPerRun(3, rescan) / files; each > 2.2 {
			t.Errorf("%.2f allocations an unchanged file", each)
		}
	})
	t.Run("memory", func(t *testing.T) {
		heap := func() uint64 {
			var m runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&m)
			return m.HeapAlloc
		}
		check := paths.New(root, everything, recorded, nil)
		check.Observe(t.Context(), nil)
		with := heap()
		runtime.KeepAlive(check)
		check = nil
		if kept := int64(with) - int64(heap()); kept > 5<<20 {
			t.Errorf("%d files are kept in %d bytes", files, kept)
		} else {
			t.Logf("%d bytes a file", kept/files)
		}
		runtime.KeepAlive(recorded)
	})
}

// looker observes what is hinted, like the agent.
type looker struct {
	check *paths.Check
	mu    sync.Mutex
	hints []string
	heard []string // all of them
	told  chan struct{}
	modes []drift.Mode
}

func (l *looker) Hint(h drift.Hint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hints, l.heard = append(l.hints, h.Subject), append(l.heard, h.Subject)
	select {
	case l.told <- struct{}{}:
	default:
	}
}

func (l *looker) Mode(source string, m drift.Mode, _ string) {
	if source == watch.NamesSource {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.modes = append(l.modes, m)
}
func (l *looker) Failed(string, error) {}

func watched(t *testing.T, dir string, recorded baseline.Scope, files paths.Files) *looker {
	t.Helper()
	c := paths.New(openRoot(t, dir), rules, recorded, nil).WithFiles(files)
	l := &looker{check: c, told: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Watch(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	l.until(t, "first look", func(drift.Observation) bool { return true })
	return l
}

// until looks at what is hinted, and only then, until it is what is expected.
func (l *looker) until(t *testing.T, what string, enough func(drift.Observation) bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	var last drift.Observation
	for {
		select {
		case <-l.told:
		case <-deadline:
			t.Fatalf("no %s; last found %q, gaps %v", what, found(last), last.Gaps)
		}
		l.mu.Lock()
		only := l.hints
		l.hints = nil
		l.mu.Unlock()
		if last = l.check.Observe(t.Context(), only); enough(last) {
			return
		}
	}
}

func TestWhatIsHintedIsFoundAndClears(t *testing.T) {
	for _, c := range []struct{ name, script, undo string }{
		{"sed -i", "sed -i s/a/b/ etc/kubernetes/kubelet.conf", "sed -i s/b/a/ etc/kubernetes/kubelet.conf"},
		{"deep and new", "mkdir -p etc/kubernetes/a/b/c; echo x > etc/kubernetes/a/b/c/d", "rm -r etc/kubernetes/a"},
		{"root moved", "mv etc/kubernetes etc/k", "mv etc/k etc/kubernetes"},
		{"drop-in", "mkdir -p etc/systemd/kubelet.service.d; touch etc/systemd/kubelet.service.d/1.conf", "rm -r etc/systemd"},
		{"a file alone", "mkdir etc/docker; echo {} > etc/docker/daemon.json", "rm -r etc/docker"},
		{"mode", "chmod 600 var/lib/kubelet/config.yaml", "chmod 644 var/lib/kubelet/config.yaml"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := node(t)
			recorded := record(t, dir)
			l := watched(t, dir, recorded, watch.New(openRoot(t, dir)))
			sh(t, dir, c.script)
			l.until(t, "finding", func(o drift.Observation) bool { return len(o.Findings) > 0 })
			sh(t, dir, c.undo)
			l.until(t, "clearing", func(o drift.Observation) bool { return len(o.Findings) == 0 })
		})
	}
}

// 200 files, each written right after its directories were made.
func TestCreationRace(t *testing.T) {
	dir := node(t)
	l := watched(t, dir, record(t, dir), watch.New(openRoot(t, dir)))
	for i := range 200 {
		hosttest.Write(t, dir, fmt.Sprintf("etc/kubernetes/n%d/a/b/f", i), "x")
	}
	l.until(t, "all files", func(o drift.Observation) bool {
		for i := range 200 {
			if _, seen := o.Facts[fmt.Sprintf("/etc/kubernetes/n%d/a/b/f", i)]; !seen {
				return false
			}
		}
		return true
	})
}

func TestKubeletsOwnFilesHintNothing(t *testing.T) {
	dir := node(t)
	w := watch.New(openRoot(t, dir))
	l := watched(t, dir, record(t, dir), w)
	watches := w.Watches()
	for i := range 50 {
		hosttest.Write(t, dir, fmt.Sprintf("var/lib/kubelet/pods/%d/volumes/x", i), "x")
		hosttest.Write(t, dir, "var/lib/kubelet/cpu_manager_state", fmt.Sprint(i))
		hosttest.Write(t, dir, "etc/kubernetes/tmp/x/y", fmt.Sprint(i))
	}
	hosttest.Write(t, dir, "var/lib/kubelet/config.yaml", "b")
	l.until(t, "finding", func(o drift.Observation) bool {
		return len(o.Findings) == 1
	})
	if now := w.Watches(); now != watches {
		t.Errorf("%d watches, then %d", watches, now)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, subject := range l.heard[1:] {
		if subject != "/var/lib/kubelet/config.yaml" {
			t.Errorf("hint for %q", subject)
		}
	}
}

func TestWithoutAWatcherItSaysSoAndResyncsMoreOften(t *testing.T) {
	dir := node(t)
	l := watched(t, dir, nil, nil)
	if len(l.modes) != 1 || l.modes[0] != drift.Poll || l.check.ResyncEvery() != time.Minute {
		t.Errorf("modes %v, resync every %s", l.modes, l.check.ResyncEvery())
	}
	l = watched(t, dir, nil, watch.New(openRoot(t, dir)))
	if len(l.modes) != 1 || l.modes[0] != drift.Event || l.check.ResyncEvery() != 10*time.Minute {
		t.Errorf("modes %v, resync every %s", l.modes, l.check.ResyncEvery())
	}
}
