package attribute

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

const writers = 300

// writer is a process that wrote and was gone.
type writer struct {
	pid  int
	comm string
	at   time.Time
}

// write starves the test of its processors and lets 300 processes write and end.
// event is called when a write is heard of, which may be late.
func write(t *testing.T, event func(writer)) []writer {
	t.Helper()
	dir := t.TempDir()
	cp := named(t, "cp", "cp")
	hosttest.Write(t, dir, "source", "x")
	defer spin(2 * runtime.NumCPU())()
	all := make([]writer, writers)
	var writing sync.WaitGroup
	const side = 10 // by side
	for first := range side {
		writing.Go(func() {
			for i := first; i < writers; i += side {
				all[i] = writeOnce(t, dir, cp, fmt.Sprintf("writer-%03d", i), event)
			}
		})
	}
	writing.Wait()
	return all
}

func writeOnce(t *testing.T, dir, cp, comm string, event func(writer)) writer {
	path := filepath.Join(dir, comm)
	if err := os.Symlink(cp, path); err != nil {
		t.Error(err)
		return writer{}
	}
	cmd := exec.Command(path, filepath.Join(dir, "source"), filepath.Join(dir, "to-"+comm))
	if err := cmd.Start(); err != nil {
		t.Error(err)
		return writer{}
	}
	w := writer{cmd.Process.Pid, comm, time.Now()}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	event(w)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	return w
}

// spin keeps processors busy.
func spin(n int) (stop func()) {
	var ended atomic.Bool
	var spinning sync.WaitGroup
	for range n {
		spinning.Go(func() {
			for !ended.Load() {
			}
		})
	}
	return func() {
		ended.Store(true)
		spinning.Wait()
	}
}

func count(t *testing.T, a *attributor, all []writer) (right int) {
	t.Helper()
	for _, w := range all {
		switch who := a.Actor(w.pid, w.at); {
		case who == nil:
		case who.Comm == w.comm && who.PID == w.pid && len(who.Parents) > 0 && who.Parents[0].PID == os.Getpid():
			right++
		default:
			t.Errorf("%s with pid %d is said to be %+v", w.comm, w.pid, who)
		}
	}
	return right
}

func TestShortLivedWritersHaveNames(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := withExits(t)
	all := write(t, func(w writer) { a.Seen(w.pid, w.at) })
	if len(a.seen.last) > 0 {
		t.Error("processes were looked at though there is time")
	}
	if right := count(t, a, all); right < writers*99/100 {
		t.Errorf("%d of %d have names", right, writers)
	}
}

func TestWithoutBPFNamesAreRightOrNone(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := newAttributor(t)
	right := count(t, a, write(t, func(w writer) { a.Seen(w.pid, w.at) }))
	t.Logf("%d of %d have names", right, writers)
}

func TestADeadProcess(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := withExits(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv (util-linux) gives the process two user ids")
	}
	writer := named(t, "wr\x1bter", "true")
	shell := exec.Command("/bin/sh", "-c", setpriv+" --ruid=4711 --euid=4712 --clear-groups "+writer+" --token=abc x & echo $!; wait")
	text, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	got := a.Actor(pid, at)
	want := &drift.Actor{
		PID: pid, Comm: `wr\x1bter`, Command: drift.Printable(writer) + " --token=*** x", UID: 4712, LoginUID: loginUID(t), At: at,
		Parents: []drift.Ancestor{{PID: shell.Process.Pid, Comm: "sh"}, {PID: 1, Comm: comm(1)}},
	}
	if got != nil && got.Command == "" {
		want.Command = "" // before Linux 6.16
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(drift.Actor{}, "Pod", "Container")); diff != "" {
		t.Errorf("Actor (-want +got):\n%s", diff)
	}
	if who := a.Actor(pid, at.Add(-time.Hour)); who != nil {
		t.Errorf("an hour before its start it was %+v", who)
	}
}

// A zombie has lost its control group, and its arguments.
func TestAProcessThatWaitsForItsParent(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := withExits(t)
	cmd := exec.Command(named(t, "zombie", "true"), "x")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, cmd.Process.Pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	p, err := a.process(cmd.Process.Pid, sinceBoot())
	dead, _ := a.lookup(cmd.Process.Pid)
	if diff := cmp.Diff(dead.process, p, cmp.AllowUnexported(process{}, parent{}, arguments{})); diff != "" || err != nil || p.comm != "zombie" {
		t.Errorf("it is not from the exit map, %v (-want +got):\n%s", err, diff)
	}
}

func TestOneProcessHasOneNameAndOneStart(t *testing.T) {
	living := process{pid: 7, comm: "a", started: 5 * tick}
	for _, tt := range []struct {
		dead process
		want bool
	}{
		{process{pid: 7, comm: "a", started: 5*tick + 1}, true},
		{process{pid: 7, comm: "b", started: 5*tick + 1}, false},
		{process{pid: 7, comm: "a", started: 6 * tick}, false},
		{process{pid: 8, comm: "a", started: 5 * tick}, false},
	} {
		if got := same(living, tt.dead); got != tt.want {
			t.Errorf("same(%+v) = %t", tt.dead, got)
		}
	}
}

func TestForkWithoutExec(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := withExits(t)
	shell := exec.Command("/bin/sh", "-c", "(read pid rest </proc/self/stat; echo $pid); :")
	text, err := shell.Output()
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid == shell.Process.Pid {
		t.Fatalf("the subshell is %d, %v", pid, err)
	}
	got := a.Actor(pid, time.Now())
	if got == nil || got.Comm != "sh" || len(got.Parents) == 0 || got.Parents[0] != (drift.Ancestor{PID: shell.Process.Pid, Comm: "sh"}) {
		t.Errorf("Actor = %+v", got)
	}
}

// A thread that ends is not its process's end.
func TestOnlyTheLastThreadIsKept(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := withExits(t)
	ended := make(chan int)
	thread := os.Getpid()
	for thread == os.Getpid() { // the first thread outlives its goroutine
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			ended <- unix.Gettid()
		}()
		thread = <-ended
	}
	for end := time.Now().Add(time.Minute); comm(thread) != ""; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("the thread does not end")
		}
	}
	for _, pid := range []int{thread, os.Getpid()} {
		if e, found := a.lookup(pid); found {
			t.Errorf("there is an end of %d: %+v", pid, e)
		}
	}
}

func TestAnotherProcessWithThePIDIsNotBlamed(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	const pid = 31000
	first, second := named(t, "first", "true"), named(t, "second", "true")
	third := named(t, "third", "cat")
	run := func(path string) func() *exec.Cmd {
		return func() *exec.Cmd {
			cmd := exec.Command(path)
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			return cmd
		}
	}
	who := func(a *attributor, at time.Time) string {
		if actor := a.Actor(pid, at); actor != nil {
			return actor.Comm
		}
		return ""
	}
	a := withExits(t)
	blind := newAttributor(t)
	gone(t, "/bin/true") // the first takes more than one id
	started := time.Now()
	withPID(t, pid, run(first))
	afterFirst := time.Now()
	for time.Since(afterFirst) < 2*tick { // /proc is no more exact than that
	}
	if got := who(a, afterFirst); got != "first" {
		t.Errorf("after the first it is %q", got)
	}
	living := withPID(t, pid, func() *exec.Cmd { return alive(t, third, "-") })
	afterThird := time.Now()
	for _, tt := range []struct {
		name  string
		at    time.Time
		want  string
		blind string
	}{
		{"before any", started.Add(-time.Second), "", ""},
		{"between", afterFirst, "first", ""},
		{"just after the living one started", afterThird, "", "third"},
		{"much later", afterThird.Add(lag + time.Second), "third", "third"},
	} {
		if got := who(a, tt.at); got != tt.want {
			t.Errorf("%s: it is %q, want %q", tt.name, got, tt.want)
		}
		if got := who(blind, tt.at); got != tt.blind {
			t.Errorf("%s, without BPF: it is %q, want %q", tt.name, got, tt.blind)
		}
	}
	if err := living.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = living.Wait()
	withPID(t, pid, run(second))
	afterSecond := time.Now()
	for _, tt := range []struct {
		name string
		at   time.Time
		want string
	}{
		{"its end is not kept any more", afterThird, ""},
		{"just after the last", afterSecond, ""},
		{"much later", afterSecond.Add(2 * lag), "second"},
	} {
		if got := who(a, tt.at); got != tt.want {
			t.Errorf("all dead, %s: it is %q, want %q", tt.name, got, tt.want)
		}
	}
}

// The pod of a process whose control group is gone, of each hierarchy.
func TestThePodOfADeadProcess(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Mount(t, "/var/log", "-t", "tmpfs", "none")
	hosttest.Write(t, podLogs, "shop_web-0_"+uid+"/nginx/0.log", "")
	hosttest.Write(t, containerLogs, "web-0_shop_nginx-"+id+".log", "")
	a := withExits(t)
	for _, hierarchy := range hierarchies(t) {
		t.Run(hierarchy, func(t *testing.T) {
			for _, below := range []string{"", "/system.slice/a.service"} {
				group := "nodeguard-test.slice/kubepods-besteffort-pod" + underlined + ".slice/cri-containerd-" + id + ".scope" + below
				pid := writeIn(t, hierarchy, group)
				got := a.Actor(pid, time.Now())
				if got == nil || got.Pod != "shop/web-0" || got.Container != "nginx" {
					t.Errorf("in %s the actor is %+v", group, got)
				}
			}
		})
	}
	if got := a.Actor(gone(t, named(t, "host", "true")), time.Now()); got == nil || got.Pod != "" || got.Container != "" {
		t.Errorf("a process of the host is %+v", got)
	}
}

// hierarchies are the mounts that a container's group is in.
func hierarchies(t *testing.T) []string {
	t.Helper()
	mounts, err := open(t, "/").Mounts()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range mounts {
		if m.FSType == "cgroup2" || m.FSType == "cgroup" && strings.Contains(","+m.VFSOptions+",", ",memory,") {
			out = append(out, m.Mountpoint)
		}
	}
	if len(out) == 0 {
		t.Skip("no control groups are mounted")
	}
	return out
}

// writeIn runs a process in a group that is gone when it returns.
func writeIn(t *testing.T, hierarchy, group string) int {
	t.Helper()
	dir := filepath.Join(hierarchy, group)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer func() {
		for ; dir != hierarchy; dir = filepath.Dir(dir) {
			if err := os.Remove(dir); err != nil {
				t.Errorf("a control group is left behind: %v", err)
			}
		}
	}()
	return gone(t, "/bin/sh", "-c", `echo 0 >"$1/cgroup.procs"; exec "$2"`, "sh", dir, named(t, "inside", "true"))
}

func TestTheExitMapIsGivenBack(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	gone(t, "/bin/true")
	newAttributor(t) // the first root and the first process leave something open
	before := hosttest.Use(t)
	t.Run("run", func(t *testing.T) {
		a := withExits(t)
		if a.modes[ExitMap] != drift.Event || a.modes[ProcFS] != drift.Event {
			t.Errorf("modes = %v", a.modes)
		}
		gone(t, "/bin/true")
	})
	if now, exceeded := before.Exceeded(t); exceeded {
		t.Errorf("before %+v, now %+v", before, now)
	}
}

// Without a capability the reason is said and the living have names.
func TestWithoutCapabilities(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := newAttributor(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread has lost them for good
		data := [2]unix.CapUserData{}
		if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
			t.Error(err)
			return
		}
		a.Run(t.Context())
	}()
	<-done
	if a.modes[ExitMap] != drift.Off || !strings.Contains(a.why[ExitMap], "SYS_ADMIN") {
		t.Errorf("the exit map is %s: %s", a.modes[ExitMap], a.why[ExitMap])
	}
	cmd := alive(t, named(t, "living", "cat"), "-")
	at := time.Now()
	a.Seen(cmd.Process.Pid, at)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if who := a.Actor(cmd.Process.Pid, at); who == nil || who.Comm != "living" {
		t.Errorf("who was seen is %+v", who)
	}
	if who := a.Actor(cmd.Process.Pid, at.Add(time.Second)); who != nil {
		t.Errorf("who was not seen is %+v", who)
	}
}
