// Package hosttest lets a test be pid 1 of a host of its own: new network, pid
// and mount namespaces, in which kernel state can be changed and nothing is left
// behind.
package hosttest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const inside = "NODEGUARD_TEST_HOST"

// Alone runs the rest of the test in namespaces of its own. It returns false in
// the parent, which then has nothing left to do:
//
//	if !hosttest.Alone(t) {
//		return
//	}
func Alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		settle(t)
		return true
	}
	if os.Geteuid() != 0 {
		t.Skip("making namespaces needs root; make test runs as root where it can")
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1")
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS,
		Pdeathsig:  syscall.SIGKILL,
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in namespaces: %v\n%s", err, out)
	}
	return false
}

// settle gives the namespaces a /proc of their own and keeps mounts inside.
func settle(t *testing.T) {
	t.Helper()
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("make mounts private: %v", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", 0, ""); err != nil {
		t.Fatalf("mount /proc: %v", err)
	}
}

// Run runs a command that has to succeed and returns what it printed.
func Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// Mount mounts over a path until the test ends; args are those of mount(8) before it.
func Mount(t *testing.T, path string, args ...string) {
	t.Helper()
	Run(t, "mount", append(args, path)...)
	t.Cleanup(func() { _ = unix.Unmount(path, unix.MNT_DETACH) })
}

// Write writes a file below a tree, with its directories.
func Write(t *testing.T, dir, name, content string) {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Sysctl sets a kernel parameter of the test's own namespaces.
func Sysctl(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile("/proc/sys/"+path, []byte(value), 0); err != nil {
		t.Fatal(fmt.Errorf("set %s: %w", path, err))
	}
}
