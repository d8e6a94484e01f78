package host

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// script is one that reads what it is told, and says when it runs.
type script struct {
	*exec.Cmd
	in  io.Writer
	out io.Reader
}

// running starts a script and returns once it runs.
func running(t *testing.T, shell, commands string) script {
	t.Helper()
	cmd := exec.Command(shell, "-c", "echo up; "+commands)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _, _ = cmd.Process.Kill(), cmd.Wait(), in.Close() })
	s := script{cmd, in, out}
	s.says(t)
	return s
}

// says waits until it has said something.
func (s script) says(t *testing.T) {
	t.Helper()
	if _, err := s.out.Read(make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
}

func shellNamed(t *testing.T, name string) string {
	t.Helper()
	at := filepath.Join(t.TempDir(), name)
	hosttest.Run(t, "cp", "/bin/dash", at)
	return at
}

func has(t *testing.T, r *Root, pid int, comm string) bool {
	t.Helper()
	found, err := r.Processes(comm)
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(found, func(p Process) bool { return p.PID == pid })
}

// What a process is called is read once it is no new one any more, and not again.
func TestCommandNamesAreKept(t *testing.T) {
	r, err := Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.comms.youth = 0
	p := running(t, shellNamed(t, "kubelet"), "read x")
	times := func() map[int]time.Time {
		if !has(t, r, p.Process.Pid, "kubelet") {
			t.Fatal("it is not found")
		}
		out := map[int]time.Time{}
		for _, c := range r.comms.known {
			out[c.pid] = c.read
		}
		return out
	}
	first := times()
	if second := times(); !second[p.Process.Pid].Equal(first[p.Process.Pid]) {
		t.Error("its name was read again")
	}
	r.comms.known[slices.IndexFunc(r.comms.known, func(c command) bool { return c.pid == p.Process.Pid })].read = time.Now().Add(-commKept)
	if third := times(); !third[p.Process.Pid].After(first[p.Process.Pid]) {
		t.Error("its name is kept for ever")
	}
}

// A pid that somebody else has now is somebody else.
func TestPIDIsUsedAgain(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	r, err := Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	r.comms.youth = 0
	before := running(t, "/bin/dash", "read x")
	pid := before.Process.Pid
	for range 2 {
		if has(t, r, pid, "kubelet") {
			t.Fatal("a shell is taken for the kubelet")
		}
	}
	_, _ = before.Process.Kill(), before.Wait()
	kubelet := shellNamed(t, "kubelet")
	for range 1000 { // until the runtime's own threads take none in between
		if err := os.WriteFile("/proc/sys/kernel/ns_last_pid", []byte(strconv.Itoa(pid-1)), 0); err != nil {
			t.Fatal(err)
		}
		if p := running(t, kubelet, "read x"); p.Process.Pid == pid {
			if !has(t, r, pid, "kubelet") {
				t.Error("the kubelet is not found under a pid that a shell had")
			}
			return
		}
	}
	t.Fatal("the kernel does not give the pid again")
}

// A process executes what it was started for only after it is there.
func TestProcessExecutes(t *testing.T) {
	r, err := Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p := running(t, "/bin/dash", "read x; exec "+shellNamed(t, "kubelet")+` -c "echo again; read y"`)
	if has(t, r, p.Process.Pid, "kubelet") {
		t.Fatal("a shell is taken for the kubelet")
	}
	if _, err := io.WriteString(p.in, "go\n"); err != nil {
		t.Fatal(err)
	}
	p.says(t)
	if !has(t, r, p.Process.Pid, "kubelet") {
		t.Error("it executes the kubelet, and is not found")
	}
}

func BenchmarkProcesses(b *testing.B) {
	r, err := Open("/")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	for name, youth := range map[string]time.Duration{"kept": 0, "read": time.Hour} {
		b.Run(name, func(b *testing.B) {
			r.comms = comms{youth: youth}
			for b.Loop() {
				if _, err := r.Processes("kubelet"); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(r.comms.known)), "processes")
		})
	}
}
