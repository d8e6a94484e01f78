package sysctl

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// refuseBPF takes away what a BPF program would be attached to.
func refuseBPF(t *testing.T) {
	t.Helper()
	hosttest.Run(t, "umount", "--recursive", "--lazy", "/sys/fs/cgroup")
}

// fanotifyGroups are what /proc tells of the open ones, by descriptor.
func fanotifyGroups(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		if to, _ := os.Readlink(l); to != "anon_inode:[fanotify]" {
			continue
		}
		info, err := os.ReadFile(strings.Replace(l, "/fd/", "/fdinfo/", 1))
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(l)] = string(info)
	}
	return out
}

// marks counts those of the only group.
func marks(t *testing.T) int {
	t.Helper()
	groups := fanotifyGroups(t)
	if len(groups) != 1 {
		t.Fatalf("fanotify groups: %v", groups)
	}
	for _, info := range groups {
		return strings.Count(info, "fanotify ino:")
	}
	return 0
}

// Without BPF the writer is known all the same, under whatever name it writes.
func TestWriterIsKnownWithoutBPF(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	refuseBPF(t)
	_, to := listening(t)
	elsewhere := filepath.Join(t.TempDir(), "parameter")
	if err := os.WriteFile(elsewhere, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	hosttest.Mount(t, elsewhere, "--bind", "/proc/sys/net/ipv4/tcp_tw_reuse")
	for _, c := range []struct {
		name    string
		flags   uintptr
		command []string
		subject string
	}{
		{"beside the agent", 0, []string{"sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1"}, "net.ipv4.tcp_tw_reuse"},
		{"in a pid namespace below", syscall.CLONE_NEWPID, []string{"sysctl", "-qw", "net.ipv4.tcp_tw_reuse=0"}, "net.ipv4.tcp_tw_reuse"},
		{"in a mount namespace", syscall.CLONE_NEWNS, []string{"sysctl", "-qw", "net.ipv4.tcp_tw_reuse=2"}, "net.ipv4.tcp_tw_reuse"},
		{"by a bind mount", 0, []string{"sh", "-c", "echo 1 >" + elsewhere}, "net.ipv4.tcp_tw_reuse"},
		{"an interface", 0, []string{"sysctl", "-qw", "net.ipv4.conf.eth0.rp_filter=2"}, "net.ipv4.conf.eth0.rp_filter"},
		{"another name", 0, []string{"sysctl", "-qw", "net.ipv4.conf.all.forwarding=0"}, "net.ipv4.ip_forward"},
		{"handed on to interfaces", 0, []string{"sysctl", "-qw", "net.ipv4.conf.default.rp_filter=2"}, ""},
		{"reserved ports", 0, []string{"sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=30000"}, "net.ipv4.ip_local_port_range"},
	} {
		t.Run(c.name, func(t *testing.T) {
			writer := exec.Command(c.command[0], c.command[1:]...)
			writer.SysProcAttr = &syscall.SysProcAttr{Cloneflags: c.flags}
			if out, err := writer.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			seen := to.await(t, c.name, from(fanotifySource, c.subject))
			if h := seen[len(seen)-1]; h.PID != writer.Process.Pid || h.Early || h.At.IsZero() {
				t.Errorf("the writer is %d, heard %+v", writer.Process.Pid, h)
			}
		})
	}
	if len(to.failed) > 0 {
		t.Errorf("failed: %v", to.failed)
	}
}

// A thread's write is its process's.
func TestWriterIsTheProcessWithoutBPF(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	refuseBPF(t)
	_, to := listening(t)
	wrote := make(chan int)
	thread := os.Getpid()
	for thread == os.Getpid() {
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
			wrote <- unix.Gettid()
		}()
		thread = <-wrote
		seen := to.await(t, "a write", from(fanotifySource, "net.ipv4.tcp_tw_reuse"))
		if pid := seen[len(seen)-1].PID; pid != os.Getpid() {
			t.Errorf("thread %d of %d is said to be %d", thread, os.Getpid(), pid)
		}
	}
}

// Neither other network namespaces, nor other parameters, nor who reads, opens and
// tries in vain.
func TestOnlyTheHostsWritesAreHintedWithoutBPF(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	refuseBPF(t)
	_, to := listening(t)
	hosttest.Run(t, "unshare", "--net", "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1")
	hosttest.Run(t, "unshare", "--net", "sysctl", "-qw", "net.ipv4.ip_forward=0")
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.tcp_fin_timeout=60")
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.conf.veth1.rp_filter=0")
	hosttest.Run(t, "sysctl", "-q", "net.ipv4.ip_local_port_range")
	hosttest.Run(t, "sh", "-c", "true >/proc/sys/net/ipv4/tcp_tw_reuse; if echo xyz >/proc/sys/net/ipv4/tcp_tw_reuse; then exit 1; fi")
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 60999")
	if seen := to.await(t, "the host's own", from(fanotifySource, "net.ipv4.ip_local_port_range")); len(seen) != 1 {
		t.Errorf("heard %+v", seen)
	}
}

// An interface that comes later is marked as well, one that is gone no longer, and
// what is marked stays so.
func TestFanotifyFollowsInterfaces(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := newHostCheck(t), newHeard()
	for _, name := range []string{heldSource, inotifySource, fanotifySource, netconfSource} {
		serving(t, named(c, name), to)
	}
	before := marks(t)
	for range 3 {
		hosttest.Run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "veth7")
		to.await(t, "the interface", from(netconfSource, ""))
		to.await(t, "its peer", from(netconfSource, ""))
		hosttest.Sysctl(t, "net/ipv4/conf/eth7/rp_filter", "2")
		to.await(t, "a write", from(fanotifySource, "net.ipv4.conf.eth7.rp_filter"))
		hosttest.Run(t, "ip", "link", "delete", "eth7")
		to.await(t, "its end", from(netconfSource, ""))
		to.await(t, "its peer's end", from(netconfSource, ""))
		hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
		to.await(t, "another write", from(fanotifySource, "net.ipv4.tcp_tw_reuse"))
		if after := marks(t); after != before {
			t.Errorf("%d marks, before there were %d", after, before)
		}
	}
	if len(to.failed) > 0 {
		t.Errorf("failed: %v", to.failed)
	}
}

// Whichever ends when the other one has taken over, that one goes on to follow.
func TestSuccessorsFollowInterfaces(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	for i, c := range [][2]string{{inotifySource, fanotifySource}, {fanotifySource, inotifySource}} {
		t.Run(c[1], func(t *testing.T) {
			check, to := newHostCheck(t), newHeard()
			serving(t, named(check, heldSource), to)
			end := named(check, c[0]).start(t.Context(), to)
			serving(t, named(check, c[1]), to)
			serving(t, named(check, netconfSource), to)
			end("")
			name := fmt.Sprintf("eth%d", i)
			hosttest.Run(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "veth"+name)
			to.await(t, "the interface", from(netconfSource, ""))
			to.await(t, "its peer", from(netconfSource, ""))
			hosttest.Sysctl(t, "net/ipv4/conf/"+name+"/rp_filter", "2")
			to.await(t, "a write", from(c[1], "net.ipv4.conf."+name+".rp_filter"))
		})
	}
}

func TestFanotifySurvivesDentryReclaim(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := newHostCheck(t), newHeard()
	serving(t, named(c, heldSource), to)
	serving(t, named(c, fanotifySource), to)
	for range 3 {
		hosttest.Sysctl(t, "vm/drop_caches", "3")
	}
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.conf.all.forwarding=1")
	to.await(t, "a write after reclaim", from(fanotifySource, "net.ipv4.ip_forward"))
}

func TestEventsLeaveNoDescriptors(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := newHostCheck(t), newHeard()
	serving(t, named(c, heldSource), to)
	serving(t, named(c, fanotifySource), to)
	before := openDescriptors(t)
	for i := range 10_000 {
		hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", []string{"0", "1"}[i%2])
		if h := <-to.hints; h.Lost || h.Subject != "net.ipv4.tcp_tw_reuse" {
			t.Fatalf("heard %+v", h)
		}
	}
	settled(t, "descriptors", before, func() int { return openDescriptors(t) })
}

// Writes of one process to one file become one event while that waits, so that it
// takes many files, or many mounts of them, to fill the queue.
func TestFanotifyOverflowIsSaid(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	for i := range 20 {
		hosttest.Run(t, "ip", "link", "add", fmt.Sprintf("eth%d", i), "type", "veth", "peer", "name", fmt.Sprintf("eth%d", 100+i))
	}
	c := newHostCheck(t)
	to := &slow{heard: newHeard(), block: make(chan struct{})}
	for _, name := range []string{heldSource, fanotifySource} {
		end := named(c, name).start(t.Context(), to)
		defer end("")
	}
	before := openDescriptors(t)
	dir := t.TempDir()
	t.Cleanup(func() { _ = unix.Unmount(dir, unix.MNT_DETACH) })
	for range 256 {
		if err := unix.Mount("/proc/sys/net/ipv4", dir, "", unix.MS_BIND, ""); err != nil {
			t.Fatal(err)
		}
		for path := range c.held.parameters {
			name, per := strings.CutPrefix(path, "net/ipv4/conf/eth")
			if !per {
				continue
			}
			if err := os.WriteFile(filepath.Join(dir, "conf/eth"+name), []byte("1"), 0); err != nil {
				t.Fatal(err)
			}
		}
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Fatal(err)
		}
	}
	if now := openDescriptors(t); now > before+1 {
		t.Errorf("%d descriptors for what waits", now-before)
	}
	close(to.block)
	seen := to.await(t, "an overflow", func(h drift.Hint) bool { return h.Source == fanotifySource && h.Lost })
	if len(seen) < 10_000 || seen[len(seen)-1].Subject != "" {
		t.Errorf("%d hints, the last one %+v", len(seen), seen[len(seen)-1])
	}
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "0")
	to.await(t, "a write after the overflow", from(fanotifySource, "net.ipv4.tcp_tw_reuse"))
}

// What was written cannot be opened to see which it is: anything may have been.
func TestEventWithoutDescriptorIsLost(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := newHostCheck(t), newHeard()
	serving(t, named(c, heldSource), to)
	serving(t, named(c, fanotifySource), to)
	f, err := os.OpenFile("/proc/sys/net/ipv4/tcp_tw_reuse", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	_, writeErr := f.WriteString("1")
	seen := to.await(t, "a loss", func(h drift.Hint) bool { return h.Source == fanotifySource })
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || writeErr != nil {
		t.Fatal(err, writeErr)
	}
	if !seen[0].Lost || seen[0].Subject != "" || len(to.failed) != 1 {
		t.Errorf("heard %+v, failed %v", seen, to.failed)
	}
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "0")
	to.await(t, "the next write", from(fanotifySource, "net.ipv4.tcp_tw_reuse"))
}

// What an interface had is no longer there to be marked or opened, which is no
// reason to give up.
func TestFanotifyOutlivesAnInterface(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "eth8")
	c := newHostCheck(t)
	to := &slow{heard: newHeard(), block: make(chan struct{})}
	for _, name := range []string{heldSource, fanotifySource} {
		end := named(c, name).start(t.Context(), to)
		defer end("")
	}
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	hosttest.Sysctl(t, "net/ipv4/conf/eth7/rp_filter", "1")
	hosttest.Run(t, "ip", "link", "delete", "eth7")
	late := named(c, fanotifySource).start(t.Context(), to)
	defer late("")
	close(to.block)
	to.await(t, "the first write", from(fanotifySource, "net.ipv4.tcp_tw_reuse"))
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "0")
	to.await(t, "a later write", from(fanotifySource, "net.ipv4.tcp_tw_reuse"))
	to.await(t, "a later write, by who started late", from(fanotifySource, "net.ipv4.tcp_tw_reuse"))
	if m, why := to.mode(fanotifySource); m != drift.Event || len(to.failed) > 0 {
		t.Errorf("%s: %s, failed %v", m, why, to.failed)
	}
}

// SYS_ADMIN is enough.
func TestFanotifyNeedsOneCapability(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	refuseBPF(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
	out := hosttest.Run(t, "setpriv", "--inh-caps=-all", "--bounding-set=-all,+sys_admin", self, "-test.run=^TestModesHere$", "-test.v")
	if !strings.Contains(out, "mode fanotify-procfs event") || strings.Contains(out, "mode inotify-sysctl") {
		t.Error(out)
	}
}

func TestFanotifyIsExplained(t *testing.T) {
	for err, want := range map[error]string{
		unix.EPERM:  "the capability SYS_ADMIN is missing (operation not permitted)",
		unix.ENOSYS: "the kernel lacks fanotify (function not implemented)",
		unix.EMFILE: "start fanotify: too many open files",
	} {
		if got := explainFanotify(err); got.Error() != want || !errors.Is(got, err) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Its value shows in what is polled.
func TestWhatIsWrittenInsteadIsNotPolled(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
	c, to := newHostCheck(t), newHeard()
	serving(t, named(c, heldSource), to)
	hosttest.Sysctl(t, "net/ipv4/conf/default/rp_filter", "2")
	hosttest.Sysctl(t, "net/ipv4/conf/all/forwarding", "0")
	c.Poll(to)
	if seen := to.now(); len(seen) != 1 || seen[0].Subject != "net.ipv4.ip_forward" {
		t.Errorf("heard %+v", seen)
	}
}

func TestWrittenInstead(t *testing.T) {
	got := parametersOf(ackRules, interfaces{names: []string{"eth0"}}, &names{})
	var unread []string
	for path, w := range got {
		if subject, named := subjectOf(ackRules, path); !named || subject != w.subject {
			t.Errorf("%s bears on %q, held for %q", path, subject, w.subject)
		}
		if w.unread {
			unread = append(unread, path)
		}
	}
	slices.Sort(unread)
	if want := []string{"net/ipv4/conf/all/forwarding", "net/ipv4/conf/default/forwarding", "net/ipv4/conf/default/rp_filter"}; !slices.Equal(unread, want) {
		t.Errorf("got %q, want %q", unread, want)
	}
}
