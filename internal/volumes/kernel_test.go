package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/probe"
	"github.com/nodeguard/nodeguard/internal/probe/probetest"
)

// node is a host of the test's own, with a kubelet's directory on a disk of its own.
type node struct {
	t    *testing.T
	root *host.Root
	dir  string // of the kubelet
}

func newNode(t *testing.T) *node {
	t.Helper()
	hosttest.Mount(t, "/mnt", "-t", "tmpfs", "tmpfs")
	dir := kubeletRoots[1]
	if err := os.MkdirAll(filepath.Join(dir, "pods"), 0o755); err != nil {
		t.Fatal(err)
	}
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return &node{t, root, dir}
}

// volume makes the directory of a published CSI volume and returns its mount point.
func (n *node) volume(uid, pv string) string {
	n.t.Helper()
	at := filepath.Join(n.dir, "pods", uid, "volumes", csi, pv)
	hosttest.Write(n.t, at, volumeData, published(n.t, pv, "Persistent"))
	if err := os.MkdirAll(filepath.Join(at, csiTarget), 0o755); err != nil {
		n.t.Fatal(err)
	}
	return filepath.Join(at, csiTarget)
}

// sizes are the least that a file system may have, as its mkfs says.
var sizes = map[string]int64{"ext4": 16 << 20, "xfs": 300 << 20}

// disk makes a file system and returns its loop device.
func (n *node) disk(fstype string) string {
	n.t.Helper()
	mkfs := "mkfs." + fstype
	if _, err := exec.LookPath(mkfs); err != nil {
		n.t.Skip(mkfs + " is not installed")
	}
	image := filepath.Join("/mnt", "disk.img")
	f, err := os.Create(image)
	if err != nil {
		n.t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(sizes[fstype]); err != nil {
		n.t.Fatal(err)
	}
	hosttest.Run(n.t, mkfs, "-q", image)
	out, err := exec.Command("losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		n.t.Skipf("no loop device is to be had: %s", out)
	}
	device := strings.TrimSpace(string(out))
	n.t.Cleanup(func() { _ = exec.Command("losetup", "--detach", device).Run() })
	return device
}

// container runs a process in the cgroup of a pod's container, with what of the
// host bind-mounted at /srv, and returns how to end it.
func (n *node) container(uid, id, what string) (stop func()) {
	n.t.Helper()
	cgroup := n.cgroup(uid, id)
	defer unix.Close(cgroup)
	cmd := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", `mount --bind "$0" /srv && echo ready && exec sleep 1000`, what)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: cgroup, Pdeathsig: syscall.SIGKILL}
	ready, err := cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	n.t.Cleanup(stop)
	if _, err := ready.Read(make([]byte, 1)); err != nil {
		n.t.Fatalf("the container does not start: %v", err)
	}
	// "ready" comes before exec: the name of the process is what tells that it runs.
	for name := ""; name != "sleep\n"; {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", cmd.Process.Pid))
		if err != nil {
			n.t.Fatal(err)
		}
		name = string(data)
	}
	return stop
}

// cgroup makes the cgroup of a container, below one of the test's own.
func (n *node) cgroup(uid, id string) int {
	n.t.Helper()
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(filepath.Join(top, "cgroup.procs")); err != nil {
			continue
		}
		made := []string{filepath.Join(top, fmt.Sprintf("nodeguard-test-%s", n.t.Name()))}
		made = append(made, filepath.Join(made[0], "pod"+uid), filepath.Join(made[0], "pod"+uid, id))
		for _, dir := range made {
			if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
				n.t.Skipf("no cgroup is to be had: %v", err)
			}
			n.t.Cleanup(func() { _ = unix.Rmdir(dir) })
		}
		fd, err := unix.Open(made[2], unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			n.t.Fatal(err)
		}
		return fd
	}
	n.t.Skip("no cgroup v2 is mounted")
	return -1
}

func (n *node) check(rules ...Rule) *Check {
	var bound []drift.Bound[Rule]
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			n.t.Fatal(err)
		}
		bound = append(bound, drift.Bound[Rule]{Operation: r.Find, Rule: r})
	}
	return New(n.root, bound, probe.NewMounts(n.root), nil)
}

func (n *node) wants(rules []Rule, want ...string) {
	n.t.Helper()
	wants(n.t, n.check(rules...).Observe(n.t.Context(), nil), want...)
}

func mount(t *testing.T, source, target, fstype string, flags uintptr, data string) {
	t.Helper()
	if err := unix.Mount(source, target, fstype, flags, data); err != nil {
		t.Fatalf("mount %s on %s: %v", fstype, target, err)
	}
	t.Cleanup(func() { _ = unix.Unmount(target, unix.MNT_DETACH) })
}

func umount(t *testing.T, target string) {
	t.Helper()
	if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
		t.Fatalf("umount %s: %v", target, err)
	}
}

// The life of a volume: mounted, unmounted by hand under its running pod, taken up
// by a container that was started since, and torn down by the kubelet.
func TestUnmountByHand(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	at := n.volume(podA, "a b\nc")
	subject := "pod " + podA + ` a b\x0ac`
	rules := []Rule{{Find: unmounted}, {Find: foreign}, {Find: shared}}
	mount(t, "tmpfs", at, "tmpfs", 0, "")
	first := n.container(podA, "c1", at)
	n.wants(rules)

	umount(t, at)
	n.wants(rules, "unmounted|host|"+subject+"|not mounted")
	second := n.container(podA, "c2", at)
	n.wants(rules, "unmounted||"+subject+"|a running container has the node's own disk at /srv")

	mount(t, "tmpfs", at, "tmpfs", 0, "")
	n.wants(rules, "unmounted||"+subject+"|a running container has the node's own disk at /srv")
	second()
	n.wants(rules)

	first()
	umount(t, at)
	n.wants(rules) // torn down: nobody runs
	if err := os.Remove(at); err != nil {
		t.Fatal(err)
	}
	n.wants(rules)
}

func TestOverlayOverVolume(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	at := n.volume(podA, "pv1")
	mount(t, "tmpfs", at, "tmpfs", 0, "")
	n.container(podA, "c1", at)
	rules := []Rule{{Find: unmounted}, {Find: foreign}}
	n.wants(rules)
	for _, dir := range []string{"/mnt/lower", "/mnt/upper", "/mnt/work"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mount(t, "overlay", at, "overlay", 0, "lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work")
	n.wants(rules, "foreign|covered|pod "+podA+" pv1|covered by another mount")
	umount(t, at)
	mount(t, at, at, "", unix.MS_BIND, "")
	n.wants(rules, "foreign|doubled|pod "+podA+" pv1|mounted twice")
}

// A real disk: mounted elsewhere too, used by two pods, failing.
func TestDiskOfVolume(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	device := n.disk("ext4")
	at := n.volume(podA, "pv1")
	mount(t, device, at, "ext4", 0, "errors=continue")
	n.container(podA, "c1", at)
	rules := []Rule{{Find: unmounted}, {Find: detached}, {Find: foreign}, {Find: shared}}
	n.wants(rules)

	elsewhere := "/mnt/by hand"
	if err := os.Mkdir(elsewhere, 0o755); err != nil {
		t.Fatal(err)
	}
	mount(t, device, elsewhere, "ext4", 0, "")
	n.wants(rules, "foreign|mounted|pod "+podA+" pv1 at "+elsewhere+"|also mounted at "+elsewhere)
	umount(t, elsewhere)
	n.wants(rules)

	second := n.volume(podB, "pv1")
	mount(t, at, second, "", unix.MS_BIND, "")
	stop := n.container(podB, "c1", second)
	n.wants(rules, "shared||pv1|used by pod "+podA+", pod "+podB)
	stop()
	umount(t, second)
	n.wants(rules)

	n.fail(device)
	// The kernel counts errors in a work queue.
	count := filepath.Join("/sys/fs/ext4", filepath.Base(device), "errors_count")
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); runtime.Gosched() {
		if data, err := os.ReadFile(count); err != nil || string(data) != "0\n" {
			break
		}
	}
	n.wants(rules, "detached|errors|pod "+podA+" pv1|the file system has recorded errors")
	if err := unix.Mount("", at, "", unix.MS_REMOUNT, "errors=remount-ro"); err != nil {
		t.Fatal(err)
	}
	n.fail(device)
	n.wants(rules, "detached||pod "+podA+" pv1|the file system became read-only")
}

// A server that never answers does not keep the look from its other findings, and
// is told of after the time that the rule gives it.
func TestHungVolume(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	at := n.volume(podA, "nas")
	_, release := probetest.Silent(t, at)
	n.container(podA, "c1", "/mnt")
	rules := []Rule{{Find: unmounted}, {Find: detached}, {Find: deleted}, {Find: denied}, {Find: hung, After: 2 * time.Second, Types: []string{"fuse*"}}}
	check := n.check(rules...)
	begun := time.Now()
	o := check.Observe(t.Context(), nil)
	if took := time.Since(begun); took < 2*time.Second || took > 20*time.Second {
		t.Errorf("took %v", took)
	}
	wants(t, o, "hung||pod "+podA+" nas|does not answer",
		"gap|deleted|pod "+podA+" nas|it has not answered yet", "gap|denied|pod "+podA+" nas|it has not answered yet")
	n.wants([]Rule{{Find: hung, After: time.Second, Types: []string{"nfs*"}}})
	// The mounts of the host are the same server.
	n.wants([]Rule{{Find: hung, After: 2 * time.Second, Everywhere: true}}, "hung||pod "+podA+" nas|does not answer")
	// Under another mount nobody gets at it.
	mount(t, "tmpfs", n.dir, "tmpfs", 0, "")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	n.wants([]Rule{{Find: hung, After: 2 * time.Second, Everywhere: true}})
	umount(t, n.dir)
	release()
}

// A server that is gone, as those of object stores mounted with FUSE go, and how
// long its answer counts.
func TestDeadServer(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	at := n.volume(podA, "oss")
	device := probetest.Dead(t, at)
	n.container(podA, "c1", "/mnt")
	check := n.check(Rule{Find: hung, After: patience}, Rule{Find: denied}, Rule{Find: deleted})
	asked := func(only []string) time.Time {
		t.Helper()
		wants(t, check.Observe(t.Context(), only), "hung||pod "+podA+" oss|transport endpoint is not connected")
		return check.mounts.Answer(probe.Mount{Path: at, Device: device}).At
	}
	first := asked(nil)
	if again := asked([]string{anyMount}); !again.Equal(first) {
		t.Error("asked anew within a minute")
	}
	if again := asked(nil); again.Equal(first) {
		t.Error("not asked anew when nothing is to be trusted")
	}
}

// What a server answers, as each rule takes it.
func TestAnswers(t *testing.T) {
	h := newTree(t).named(podA, "shop", "web")
	at := filepath.Join(kubelet, "pods", podA, "volumes/kubernetes.io~nfs/nas")
	h.mkdir(at).mount("0:55", "/", at, "nfs4", "rw", "rw").running(podA, "app").check(nil)
	now := time.Now()
	for _, c := range []struct {
		name   string
		answer probe.Answer
		want   []string
	}{
		{"all is well", probe.Answer{At: now}, nil},
		{"stale", probe.Answer{At: now, Errno: unix.ESTALE}, []string{"deleted||shop/web nas|stale file handle"}},
		{"gone", probe.Answer{At: now, Errno: unix.ENOENT}, []string{"deleted||shop/web nas|no such file or directory"}},
		{"denied", probe.Answer{At: now, Errno: unix.EACCES}, []string{"denied||shop/web nas|permission denied"}},
		{"gives up", probe.Answer{At: now, Errno: unix.ETIMEDOUT}, []string{"hung||shop/web nas|connection timed out"}},
		{"silent for too long", probe.Answer{At: now, Open: now.Add(-time.Minute)}, []string{"hung||shop/web nas|does not answer"}},
		{"slow", probe.Answer{At: now, Open: now.Add(-time.Second)}, nil},
		{"slow from the first", probe.Answer{Open: now.Add(-time.Second)}, []string{
			"gap|deleted|shop/web nas|it has not answered yet", "gap|denied|shop/web nas|it has not answered yet", "gap|hung|shop/web nas|it has not answered yet",
		}},
		{"hidden", probe.Answer{At: now, Hidden: true}, []string{
			"gap|deleted|shop/web nas|nodeguard does not see this mount of the host", "gap|denied|shop/web nas|nodeguard does not see this mount of the host",
			"gap|hung|shop/web nas|nodeguard does not see this mount of the host",
		}},
		{"not asked", probe.Answer{Failed: "why"}, []string{
			"gap|deleted|shop/web nas|it could not be asked: why", "gap|denied|shop/web nas|it could not be asked: why", "gap|hung|shop/web nas|it could not be asked: why",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			root, err := host.Open(h.dir)
			if err != nil {
				t.Fatal(err)
			}
			defer root.Close()
			j := &judge{scene: look(root), live: true, answers: func(probe.Mount) probe.Answer { return c.answer }}
			for _, rule := range []Rule{{Find: deleted}, {Find: denied}, {Find: hung, After: 30 * time.Second}} {
				j.operation, j.rule = rule.Find, rule
				j.find()
			}
			wants(t, drift.Observation{Findings: j.findings, Gaps: j.gaps}.Sorted(), c.want...)
		})
	}
	// A file system that has shut down, of which only an answer tells.
	d, _ := disk1(t, "rw", "rw")
	d.mounted[len(d.mounted)-1] = strings.Replace(d.mounted[len(d.mounted)-1], "ext4", "xfs", 1)
	d.check(nil)
	root, err := host.Open(d.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	j := &judge{scene: look(root), live: true, operation: detached, rule: Rule{Find: detached}, answers: func(probe.Mount) probe.Answer { return probe.Answer{At: now, Errno: unix.EIO} }}
	j.find()
	wants(t, drift.Observation{Findings: j.findings, Gaps: j.gaps}, "detached||shop/db-0 pv1|the file system answers with I/O errors")
	if got := j.toAsk(); len(got) != 1 || got[0].subject != "shop/db-0 pv1" {
		t.Errorf("asked: %+v", got)
	}
}

// A directory that was deleted under a mount of it.
func TestDeletedDirectory(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	at := n.volume(podA, "nas")
	hosttest.Write(t, "/mnt/exports/web", "f", "")
	mount(t, "/mnt/exports/web", at, "", unix.MS_BIND, "")
	n.container(podA, "c1", at)
	n.wants([]Rule{{Find: deleted}})
	if err := os.RemoveAll("/mnt/exports/web"); err != nil {
		t.Fatal(err)
	}
	n.wants([]Rule{{Find: deleted}}, "deleted||pod "+podA+" nas|its directory was deleted")
}

// heard is a sink that hands its hints on.
type heard struct {
	hints chan drift.Hint
	modes chan string
}

func (h heard) Hint(hint drift.Hint)                       { h.hints <- hint }
func (h heard) Mode(source string, m drift.Mode, _ string) { h.modes <- source + " " + string(m) }
func (h heard) Failed(string, error)                       {}
func newHeard() heard                                      { return heard{make(chan drift.Hint, 1000), make(chan string, 10)} }

// all are the first n modes.
func (h heard) all(n int) (modes []string) {
	for range n {
		modes = append(modes, <-h.modes)
	}
	slices.Sort(modes)
	return modes
}

func (h heard) until(t *testing.T, match func(drift.Hint) bool) {
	t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case hint := <-h.hints:
			if match(hint) {
				return
			}
		case <-timeout:
			t.Fatal("no such hint")
		}
	}
}

// patience is more than a look takes that waits for nobody.
const patience = 5 * time.Second

func TestWatch(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	check := n.check(Rule{Find: unmounted}, Rule{Find: hung, After: patience})
	check.Observe(t.Context(), nil) // the runtime opens its poller once
	if r, w, err := os.Pipe(); err == nil {
		_, _ = r.Close(), w.Close()
	}
	before := hosttest.Use(t)
	at := n.volume(podA, "nas")
	ctx, cancel := context.WithCancel(t.Context())
	to, ended := newHeard(), make(chan error)
	go func() { ended <- check.Watch(ctx, to) }()
	to.until(t, func(h drift.Hint) bool { return h.Source == mountSource && h.Subject == "" })
	if got := to.all(4); !slices.Equal(got, []string{"fanotify-errors event", "fanotify-mounts " + mountersMode(t), "mount-probes poll", "mountinfo event"}) || check.ResyncEvery() != compareEvery {
		t.Errorf("modes %v, resync every %v", got, check.ResyncEvery())
	}
	mount(t, "tmpfs", at, "tmpfs", 0, "")
	to.until(t, func(h drift.Hint) bool { return h.Source == mountSource && h.Subject == anyMount })
	umount(t, at)
	to.until(t, func(h drift.Hint) bool { return h.Source == mountSource && h.Subject == anyMount })

	_, release := probetest.Silent(t, at)
	stop := n.container(podA, "c1", "/mnt")
	begun := time.Now()
	o := check.Observe(t.Context(), []string{anyMount})
	if took := time.Since(begun); took >= patience {
		t.Errorf("a look that somebody repeats took %v", took)
	}
	if len(o.Findings) == 0 && len(o.Gaps) == 0 {
		t.Error("a mount that has not answered yet is neither a finding nor a gap")
	}
	to.until(t, func(h drift.Hint) bool {
		return h.Source == probeSource && len(check.Observe(t.Context(), []string{anyMount}).Findings) > 0
	})
	release()
	stop()
	to.until(t, func(h drift.Hint) bool { return h.Source == probeSource })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if now, more := before.Exceeded(t); more {
		t.Errorf("%+v is held, was %+v: %s", now, before, hosttest.Run(t, "ls", "-l", fmt.Sprintf("/proc/%d/fd", os.Getpid())))
	}
}

// Without mountinfo there is the clock.
func TestWatchOfATree(t *testing.T) {
	h := newTree(t)
	root, err := host.Open(h.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	check := New(root, nil, nil, nil)
	ctx, cancel := context.WithCancel(t.Context())
	to, ended := newHeard(), make(chan error)
	go func() { ended <- check.Watch(ctx, to) }()
	to.until(t, func(drift.Hint) bool { return true })
	if got := to.all(3); !slices.Equal(got, []string{"fanotify-errors off", "fanotify-mounts off", "mountinfo poll"}) || check.ResyncEvery() != pollEvery {
		t.Errorf("%s, every %v", got, check.ResyncEvery())
	}
	cancel()
	<-ended
}

// A container's mounts come before its process: what it has is looked at again when
// it has started, and then no more.
func TestMountsAreLookedAtTwice(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	n := newNode(t)
	at := n.volume(podA, "nas")
	check := n.check(Rule{Find: unmounted})
	ctx, cancel := context.WithCancel(t.Context())
	to, ended := newHeard(), make(chan error)
	go func() { ended <- check.Watch(ctx, to) }()
	to.until(t, func(h drift.Hint) bool { return h.Source == mountSource && h.Subject == "" })
	mounts := func(h drift.Hint) bool { return h.Source == mountSource && h.Subject == anyMount }
	mount(t, "tmpfs", at, "tmpfs", 0, "")
	var first time.Time
	to.until(t, func(h drift.Hint) bool { first = h.At; return mounts(h) })
	to.until(t, func(h drift.Hint) bool { return mounts(h) && h.At.Sub(first) >= time.Second })
	select {
	case h := <-to.hints:
		t.Errorf("and again: %+v", h)
	case <-time.After(2 * started):
	}
	umount(t, at)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
