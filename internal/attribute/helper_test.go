package attribute

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// attributor is one whose modes are told.
type attributor struct {
	*Attributor
	mu    sync.Mutex
	modes map[string]drift.Mode
	why   map[string]string
	armed chan struct{}
}

func newAttributor(t *testing.T) *attributor {
	t.Helper()
	a := &attributor{modes: map[string]drift.Mode{}, why: map[string]string{}, armed: make(chan struct{})}
	a.Attributor = New(open(t, "/"), func(source string, m drift.Mode, why string) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.modes[source], a.why[source] = m, why
		if source == ExitMap {
			close(a.armed)
		}
	})
	return a
}

// withExits has the exit map, for as long as the test runs.
func withExits(t *testing.T) *attributor {
	t.Helper()
	a := newAttributor(t)
	var running sync.WaitGroup
	running.Go(func() { a.Run(t.Context()) })
	t.Cleanup(running.Wait)
	<-a.armed
	switch why := a.why[ExitMap]; {
	case a.modes[ExitMap] == drift.Event:
	case strings.Contains(why, "is missing"), strings.Contains(why, "lacks"):
		t.Skip("there is no exit map here: " + why)
	default:
		t.Fatal(why)
	}
	return a
}

// named is a program under another name, which is what it is called while it runs.
func named(t *testing.T, name, program string) string {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	return link
}

// alive starts a process that lives until the test ends.
func alive(t *testing.T, path string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(path, args...)
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
	t.Cleanup(func() {
		_ = in.Close()
		_, _ = out.Read(make([]byte, 1))
		_ = cmd.Wait()
	})
	return cmd
}

// gone runs a process to its end.
func gone(t *testing.T, path string, args ...string) int {
	t.Helper()
	cmd := exec.Command(path, args...)
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid
}

// withPID starts processes until one has the pid: threads of the test take some, too.
func withPID(t *testing.T, pid int, start func() *exec.Cmd) *exec.Cmd {
	t.Helper()
	for range 200 {
		hosttest.Sysctl(t, "kernel/ns_last_pid", strconv.Itoa(pid-1))
		if cmd := start(); cmd.Process.Pid == pid {
			return cmd
		}
	}
	t.Fatalf("no process got pid %d", pid)
	return nil
}
