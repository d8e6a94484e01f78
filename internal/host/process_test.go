package host_test

import (
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// start starts a command and returns how to end it.
func start(t *testing.T, name string, args ...string) (stop func()) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// count counts processes by name, those of containers too.
func count(t *testing.T, comm string) (n int) {
	t.Helper()
	all, err := procfs.AllProcs()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		if c, err := p.Comm(); err == nil && c == comm {
			n++
		}
	}
	return n
}

// waitFor polls for something that another process does, at most ten seconds.
func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !done(); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("it did not happen")
		}
	}
}

// unshareAndCheck looks at the network from a thread with a namespace of its own,
// which ends with it. The first thread is left alone: it is pid 1.
func unshareAndCheck(r *host.Root) error {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		other := make(chan error)
		go func() { other <- unshareAndCheck(r) }()
		return <-other
	}
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	return r.CheckNetwork()
}
