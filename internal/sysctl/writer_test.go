package sysctl

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/bpf"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// The writer is named by its id in the agent's pid namespace, though the kernel and
// the writer itself have others.
func TestWriterIsKnown(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	_, to := listening(t)
	for name, flags := range map[string]uintptr{"beside the agent": 0, "in a pid namespace below": syscall.CLONE_NEWPID} {
		t.Run(name, func(t *testing.T) {
			writer := exec.Command("sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1")
			writer.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
			if out, err := writer.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			seen := to.await(t, name, from(bpfSource, "net.ipv4.tcp_tw_reuse"))
			if pid := seen[len(seen)-1].PID; pid != writer.Process.Pid {
				t.Errorf("the writer is said to be %d, and is %d", pid, writer.Process.Pid)
			}
		})
	}
}

// A thread's write is its process's.
func TestWriterIsTheProcess(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	_, to := listening(t)
	wrote := make(chan int)
	thread := os.Getpid()
	for thread == os.Getpid() { // the first thread outlives its goroutine
		go func() {
			runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
			wrote <- unix.Gettid()
		}()
		thread = <-wrote
		seen := to.await(t, "a write", from(bpfSource, "net.ipv4.tcp_tw_reuse"))
		if pid := seen[len(seen)-1].PID; pid != os.Getpid() {
			t.Errorf("thread %d of %d is said to be %d", thread, os.Getpid(), pid)
		}
	}
}

// Who has no id in the host's /proc that the agent could know is nobody, though the
// write counts.
func TestWriterIsNobody(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	for _, tt := range []struct {
		name    string
		unshare []string
		source  string
		write   string // who writes
	}{
		{"a writer outside the agent's pid namespace", []string{"--mount-proc"}, bpfSource, "another"},
		{"an agent in a pod without hostPID", nil, bpfSource, "the agent"},
		{"a writer outside, through the agent's mount, without BPF", nil, fanotifySource, "another"},
		{"an agent in a pod without hostPID and BPF", nil, fanotifySource, "the agent"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := heardApart(t, tt.source, tt.write, tt.unshare...); !slices.Equal(got, []string{"writer 0"}) {
				t.Errorf("heard %q", got)
			}
		})
	}
}

const (
	whoWrites = "NODEGUARD_TEST_WRITES"
	whoHears  = "NODEGUARD_TEST_HEARS"
)

// heardApart is what TestHearTheWriter says in a pid namespace below.
func heardApart(t *testing.T, source, who string, unshare ...string) (heard []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	agent := exec.Command("unshare", append(unshare, "--pid", "--fork", "--kill-child", self, "-test.run=^TestHearTheWriter$", "-test.v")...)
	agent.Env = append(os.Environ(), whoWrites+"="+who, whoHears+"="+source)
	agent.Stderr = os.Stderr
	stdout, err := agent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(stdout)
	for said.Scan() && said.Text() != "armed" {
	}
	if who == "another" {
		hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	}
	for said.Scan() {
		if strings.HasPrefix(said.Text(), "writer") {
			heard = append(heard, said.Text())
		}
	}
	if err := agent.Wait(); err != nil {
		t.Error(err)
	}
	return heard
}

// TestHearTheWriter is the half of TestWriterIsNobody that is the agent.
func TestHearTheWriter(t *testing.T) {
	who := os.Getenv(whoWrites)
	if who == "" {
		return
	}
	c, to := newHostCheck(t), newHeard()
	source := os.Getenv(whoHears)
	serving(t, named(c, heldSource), to)
	serving(t, named(c, source), to)
	fmt.Println("armed")
	if who == "the agent" {
		hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	}
	seen := to.await(t, "a write", from(source, "net.ipv4.tcp_tw_reuse"))
	fmt.Println("writer", seen[len(seen)-1].PID)
}

// A kernel that keeps process ids elsewhere still tells of writes.
func TestWriterWithoutIDsIsNobody(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	types, err := bpf.LoadTypes()
	if err != nil {
		t.Fatal(err)
	}
	rename(t, types, "task_struct", "group_leader")
	at, err := offsetsIn(types)
	if err != nil || at.named {
		t.Fatalf("named: %t, %v", at.named, err)
	}
	network, err := ownNetwork()
	if err != nil {
		t.Fatal(err)
	}
	root := mustOpen(t, "/")
	b := &bpfWrites{check: New(root, ackRules, "", nil), network: network}
	if err := b.makeMaps(); err != nil {
		t.Fatal(err)
	}
	if err := b.loadProgram(root, at); err != nil {
		t.Fatal(err)
	}
	to := newHeard()
	defer run(b, to)()
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	seen := to.await(t, "a write", from(bpfSource, "net.ipv4.tcp_tw_reuse"))
	if pid := seen[len(seen)-1].PID; pid != 0 {
		t.Errorf("the writer is said to be %d", pid)
	}
	rename(t, types, "nsproxy", "net_ns")
	if at, err := offsetsIn(types); err == nil {
		t.Errorf("there are offsets without a network namespace: %+v", at)
	}
}

// rename hides a member, as a kernel does that calls it otherwise.
func rename(t *testing.T, types bpf.Types, of, member string) {
	t.Helper()
	var s *btf.Struct
	if err := types.TypeByName(of, &s); err != nil {
		t.Fatal(err)
	}
	for i := range s.Members {
		if s.Members[i].Name == member {
			s.Members[i].Name = "renamed"
			return
		}
	}
	t.Fatalf("struct %s has no member %s", of, member)
}

// run takes what the program tells until it is stopped.
func run(b *bpfWrites, to drift.Sink) (stop func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = b.run(to)
	}()
	return func() {
		_ = b.Close()
		<-done
	}
}

// A write in another network namespace is nobody's business.
func TestWriterByPID(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("loading a BPF program needs root; make test runs as root where it can")
	}
	root := mustOpen(t, "/")
	// It waits for a line before it writes, in a network namespace of its own.
	writer := exec.Command("unshare", "--net", "sh", "-c", "echo up; read line; echo 1 >/proc/sys/net/ipv4/tcp_tw_reuse; echo 1 >/proc/sys/net/ipv4/ip_forward")
	stdin, err := writer.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	var theirs unix.Stat_t
	if err := unix.Stat(fmt.Sprintf("/proc/%d/ns/net", writer.Process.Pid), &theirs); err != nil {
		t.Fatal(err)
	}
	b := &bpfWrites{check: New(root, ackRules, "", nil), network: uint32(theirs.Ino)}
	if err := b.load(root); err != nil {
		t.Fatal(err)
	}
	to := newHeard()
	defer run(b, to)()
	_ = stdin.Close()
	seen := to.await(t, "the second write", from(bpfSource, "net.ipv4.ip_forward"))
	if len(seen) != 2 || seen[0].PID != writer.Process.Pid {
		t.Errorf("heard %+v, the writer is %d", seen, writer.Process.Pid)
	}
	_ = writer.Wait()
}
