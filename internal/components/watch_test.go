package components

import (
	"context"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/packages"
	"github.com/nodeguard/nodeguard/internal/units"
)

const deadline = 20 * time.Second

// recorder keeps what sources say, a line each.
type recorder struct {
	mu   sync.Mutex
	said sync.Cond
	all  []string
}

func newRecorder() *recorder {
	r := &recorder{}
	r.said.L = &r.mu
	return r
}

func (r *recorder) Hint(h drift.Hint) { r.add(h.Source + " hint " + h.Subject) }
func (r *recorder) Mode(source string, m drift.Mode, why string) {
	r.add(source + " " + string(m) + " " + why)
}
func (r *recorder) Failed(string, error) {}

func (r *recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, strings.TrimSpace(line))
	r.said.Broadcast()
}

// wait returns how many lines were said when the line was, after the n-th.
func (r *recorder) wait(t *testing.T, n int, line string) int {
	t.Helper()
	late := false
	timer := time.AfterFunc(deadline, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		late = true
		r.said.Broadcast()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if i := slices.Index(r.all[n:], line); i >= 0 {
			return n + i + 1
		}
		if late {
			t.Fatalf("%q was not said within %s: %q", line, deadline, r.all)
		}
		r.said.Wait()
	}
}

// aloneWithComponents makes the test pid 1 of a host whose programs stand in for
// components; false in the parent.
func aloneWithComponents(t *testing.T) bool {
	t.Helper()
	if !hosttest.Alone(t) {
		return false
	}
	hosttest.Mount(t, "/run", "-t", "tmpfs", "tmpfs") // no systemd runs this host
	hosttest.Mount(t, "/var/lib", "-t", "tmpfs", "tmpfs")
	hosttest.Mount(t, "/mnt", "-t", "tmpfs", "tmpfs")
	self, err := os.Executable()
	must(t, err)
	copyFile(t, self, "/mnt/kubelet")
	return true
}

func openHost(t *testing.T) *host.Root {
	t.Helper()
	root, err := host.Open("/")
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func watching(t *testing.T, c *Check, to drift.Sink) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.Watch(ctx, to) }()
	return sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Watch: %v", err)
		}
	})
}

// flag is what Observe says of a flag of the kubelet.
func flag(c *Check, name string) string {
	return values(c.Observe(context.Background(), nil))["kubelet "+name]
}

func (c *component) kill(t *testing.T) {
	t.Helper()
	must(t, c.cmd.Process.Kill())
	_ = c.cmd.Wait() // killed
}

func TestARestartIsNoticed(t *testing.T) {
	if !aloneWithComponents(t) {
		return
	}
	root := openHost(t)
	c := New(root, compareAll, baseline.Scope{}).WithUnits(units.New(root))
	kubelet := start(t, false, "/mnt/kubelet", "--max-pods=110")
	seen := newRecorder()
	defer watching(t, c, seen)()
	n := seen.wait(t, 0, "pidfd event")
	n = seen.wait(t, n, "pidfd hint")
	seen.wait(t, 0, "systemd off systemd does not run this host")

	kubelet.kill(t)
	n = seen.wait(t, n, "pidfd hint kubelet")
	n = seen.wait(t, n, "pidfd poll kubelet ended and is looked for")
	kubelet = start(t, false, "/mnt/kubelet", "--max-pods=200")
	n = seen.wait(t, n, "pidfd hint kubelet") // found by the search
	if got := flag(c, "--max-pods"); got != "200" {
		t.Errorf("observed --max-pods=%q after the restart", got)
	}
	n = seen.wait(t, n, "pidfd event")

	kubelet.kill(t)
	seen.wait(t, n, "pidfd hint kubelet")
}

// What Observe finds before the search does is held from then on.
func TestObserveArmsAgain(t *testing.T) {
	if !aloneWithComponents(t) {
		return
	}
	root := openHost(t)
	c := New(root, compareAll, baseline.Scope{})
	seen := newRecorder()
	defer watching(t, c, seen)()
	n := seen.wait(t, 0, "pidfd poll no component runs: they are looked for every 30 s")
	kubelet := start(t, false, "/mnt/kubelet", "--max-pods=110")
	if got := flag(c, "--max-pods"); got != "110" {
		t.Errorf("observed --max-pods=%q", got)
	}
	n = seen.wait(t, n, "pidfd event")
	kubelet.kill(t)
	seen.wait(t, n, "pidfd hint kubelet")
}

// A pid that Observe saw just before its process ended holds nothing.
func TestAnObservationThatIsLate(t *testing.T) {
	if !aloneWithComponents(t) {
		return
	}
	root := openHost(t)
	seen := newRecorder()
	f := newFollower(root, seen)
	ctx, cancel := context.WithCancel(t.Context())
	kubelet := start(t, false, "/mnt/kubelet")
	found, fault := findProcesses(root)
	if fault != nil || found[Kubelet] == nil {
		t.Fatalf("found %v, %v", found, fault)
	}
	kubelet.kill(t)
	f.follow(ctx, found)
	if len(f.held) > 0 || f.fault != "" {
		t.Errorf("holds %v, fault %q", f.held, f.fault)
	}
	cancel()
	f.letGo()
}

const inForeignPIDs = "COMPONENTS_TEST_FOREIGN_PIDS"

// A pid of the host's /proc means another process, or none, in a pid namespace
// of one's own.
func TestForeignPIDsAreNotHeld(t *testing.T) {
	if os.Getenv(inForeignPIDs) != "" {
		seen := newRecorder()
		defer watching(t, New(openHost(t), compareAll, baseline.Scope{}), seen)()
		seen.wait(t, 0, "pidfd poll "+errForeignPIDs.Error())
		seen.wait(t, 0, "pidfd hint")
		return
	}
	if !aloneWithComponents(t) {
		return
	}
	kubelet := start(t, false, "/mnt/kubelet")
	defer kubelet.kill(t)
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self, "-test.run=^TestForeignPIDsAreNotHeld$", "-test.v")
	cmd.Env = append(os.Environ(), inForeignPIDs+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Pdeathsig: unix.SIGKILL} // and /proc stays the outer one's
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWatchLeavesNothingBehind(t *testing.T) {
	if !aloneWithComponents(t) {
		return
	}
	root := openHost(t)
	c := New(root, compareAll, baseline.Scope{}).WithUnits(units.New(root))
	kubelet := start(t, false, "/mnt/kubelet")
	defer kubelet.kill(t)
	for i := range 3 {
		before := hosttest.Use(t)
		seen := newRecorder()
		stop := watching(t, c, seen)
		seen.wait(t, 0, "pidfd event")
		stop()
		if now, exceeded := before.Exceeded(t); i > 0 && exceeded { // the first opens what the runtime keeps
			t.Errorf("held %+v, were %+v", now, before)
		}
	}
}

// Where the package manager keeps what it has installed, changes are heard of.
func TestPackagesAreWatched(t *testing.T) {
	for _, database := range []string{"/var/lib/dpkg/status", "/usr/lib/sysimage/rpm/rpmdb.sqlite"} {
		_, root := plant(t, tree{database: "x"})
		got := New(root, compareAll, nil).WithPackages(packages.NewInventory(nil)).WatchedDirectories()
		if !slices.Contains(got, path.Dir(database)) {
			t.Errorf("%s is not among %q", path.Dir(database), got)
		}
	}
}

func TestWatchedDirectories(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, worker())
	write(t, dir, tree{
		"/etc/containerd/config.toml": "version = 2\nimports = [\"/opt/containerd/*.toml\"]\n",
		"/srv/kubelet":                "KUBELET_EXTRA_ARGS=--max-pods=110\n",
	})
	must(t, os.MkdirAll(dir+"/etc/default", 0o755))
	must(t, os.Symlink("/srv/kubelet", dir+"/etc/default/kubelet"))
	root, err := host.Open(dir)
	must(t, err)
	defer root.Close()
	got := New(root, compareAll, baseline.Scope{"kubelet --config-dir": "/etc/kubernetes/kubelet.d"}).WatchedDirectories()
	for _, want := range []string{
		"/var/lib/kubelet", "/etc/default", "/etc/sysconfig", "/etc/kubernetes", "/etc/containerd", "/opt/containerd", "/srv",
		"/etc/kubernetes/kubelet.d",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %q", want, got)
		}
	}
	if !slices.IsSorted(got) || len(got) > 20 {
		t.Errorf("%d directories: %q", len(got), got)
	}
}
