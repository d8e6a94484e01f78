package attribute

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

func TestALivingProcess(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	a := newAttributor(t)
	setpriv, err := exec.LookPath("setpriv")
	if err != nil {
		t.Skip("setpriv (util-linux) gives the process two user ids")
	}
	program := named(t, "writer", "cat")
	shell := alive(t, "/bin/sh", "-c", setpriv+" --ruid=4711 --euid=4712 --clear-groups "+program+" - -- --token=abc; exit 0")
	pid := childOf(t, shell.Process.Pid, "writer")
	at := time.Now()
	got := a.Actor(pid, at)
	cat, _ := exec.LookPath("cat")
	want := &drift.Actor{
		PID: pid, Comm: "writer", Command: program + " - -- --token=***", Exe: resolved(t, cat), UID: 4712, LoginUID: loginUID(t), At: at,
		Parents: []drift.Ancestor{{PID: shell.Process.Pid, Comm: "sh"}, {PID: 1, Comm: comm(1)}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Actor (-want +got):\n%s", diff)
	}
	if who := a.Actor(pid, at.Add(-time.Hour)); who != nil {
		t.Errorf("an hour before its start it was %+v", who)
	}
	if who := a.Actor(0, at); who != nil {
		t.Errorf("an unknown process is %+v", who)
	}
}

// childOf waits for a child that runs under the name.
func childOf(t *testing.T, parent int, name string) int {
	t.Helper()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); runtime.Gosched() {
		p := strconv.Itoa(parent)
		children, _ := os.ReadFile("/proc/" + p + "/task/" + p + "/children")
		if pid, err := strconv.Atoi(strings.TrimSpace(string(children))); err == nil && comm(pid) == name {
			return pid
		}
	}
	t.Fatalf("%d has no child %s", parent, name)
	return 0
}

func comm(pid int) string {
	text, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return strings.TrimSuffix(string(text), "\n")
}

func resolved(t *testing.T, path string) string {
	t.Helper()
	at, err := open(t, "/").Resolve(path)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func loginUID(t *testing.T) uint32 {
	t.Helper()
	text, err := os.ReadFile("/proc/self/loginuid")
	if err != nil {
		return drift.NoLogin // a kernel without audit
	}
	return number(string(text), 0)
}

func TestHostileNamesAreEscaped(t *testing.T) {
	a := newAttributor(t)
	if err := hostPIDs(a.root); err != nil {
		t.Skip("who lives is asked in /proc, which shows other process ids here: ", err)
	}
	cmd := alive(t, named(t, "e\x1b[2J\n\xff) S 1", "cat"), "-", "\x1b]0;x\a", "\xff\u202e"+strings.Repeat("é", 200))
	got := a.Actor(cmd.Process.Pid, time.Now())
	if got == nil || got.Comm != `e\x1b[2J\x0a\xff) S 1` || got.PID != cmd.Process.Pid || len(got.Command) > maxCommand {
		t.Fatalf("Actor = %+v", got)
	}
	if shown := got.Command + got.Exe; strings.ContainsAny(shown, "\x1b\n\a\u202e") || !utf8.ValidString(shown) {
		t.Errorf("shows %q", shown)
	}
}

// Whether the wall clock was set since the event does not matter.
func TestASetClockDoesNotMatter(t *testing.T) {
	at := time.Now()
	before := bootTime(at)
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		if after := bootTime(stepped(at, step)); (after - before).Abs() > 100*time.Millisecond {
			t.Errorf("with the clock set by %s the event moved by %s", step, after-before)
		}
	}
}

// stepped is a time as it would be had the wall clock been another one then.
func stepped(at time.Time, by time.Duration) time.Time {
	const secondsShift = 30 // of time.Time's wall with a monotonic reading
	words := (*struct{ wall, ext uint64 })(unsafe.Pointer(&at))
	words.wall += uint64(int64(by/time.Second) << secondsShift)
	return at
}

func TestTheCommandMayHoldAnything(t *testing.T) {
	got, err := parseStat([]byte("7 (a) R 1 (\n) S 42 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 2200 1 1 1\n"))
	want := stat{comm: "a) R 1 (\n", parent: 42, started: 22 * time.Second}
	if err != nil || got != want {
		t.Errorf("parseStat = %+v, %v", got, err)
	}
	for _, text := range []string{"", "7 (a", "7 )a(", "7 (a) S 1", "7 (a) S x 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 2200 1"} {
		if _, err := parseStat([]byte(text)); err == nil {
			t.Errorf("parseStat(%q) has no error", text)
		}
	}
}

// A tree that is not live, and a /proc in which we have another pid, name nobody.
func TestForeignPIDsNameNobody(t *testing.T) {
	const below = "NODEGUARD_TEST_BELOW"
	if os.Getenv(below) != "" {
		a := newAttributor(t)
		ended, end := context.WithCancel(t.Context())
		end()
		a.Run(ended)
		if a.modes[ProcFS] != drift.Off || a.modes[ExitMap] != drift.Off || !strings.Contains(a.why[ProcFS], "hostPID: true") {
			t.Errorf("modes = %v, %v", a.modes, a.why)
		}
		a.Seen(1, time.Now())
		if who := a.Actor(1, time.Now()); who != nil {
			t.Errorf("pid 1 is %+v", who)
		}
		return
	}
	if !hosttest.Alone(t) {
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), below+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in a pid namespace of its own: %v\n%s", err, out)
	}
	dir := t.TempDir()
	hosttest.Write(t, dir, "proc/self/status", "NSpid:\t1\n")
	hosttest.Write(t, dir, "proc/1/status", "Tgid:\t1\nUid:\t0\t0\t0\t0\n")
	hosttest.Write(t, dir, "proc/1/stat", "1 (init) S 0 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 2 1 1 1\n")
	tree := New(open(t, dir), func(string, drift.Mode, string) {})
	if who := tree.Actor(1, time.Now()); who != nil {
		t.Errorf("pid 1 of a tree is %+v", who)
	}
}

// Some sources have the id of a thread.
func TestAThreadIsItsProcess(t *testing.T) {
	a := newAttributor(t)
	if err := hostPIDs(a.root); err != nil {
		t.Skip("who lives is asked in /proc, which shows other process ids here: ", err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	other := make(chan int)
	done := make(chan struct{})
	defer close(done)
	go func() {
		runtime.LockOSThread()
		other <- unix.Gettid()
		<-done
	}()
	got := a.Actor(<-other, time.Now())
	if got == nil || got.PID != os.Getpid() || got.Comm != drift.Printable(comm(os.Getpid())) {
		t.Errorf("Actor = %+v", got)
	}
}
