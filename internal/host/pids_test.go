package host_test

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

const pidsHere = "NODEGUARD_TEST_PIDS"

// In a pod without hostPID the kernel's pids are still the host's, and those that
// it tells the reader are not.
func TestPIDs(t *testing.T) {
	r := open(t, "/")
	kernel := r.KernelPIDs()
	if own, err := os.Readlink("/proc/self/ns/pid"); err != nil || kernel != (own == "pid:[4026531836]") {
		t.Errorf("the kernel's pids: %v, in %s (%v)", kernel, own, err)
	}
	if !r.OwnPIDs() {
		t.Error("the pids of this very host are not its own")
	}
	if os.Geteuid() != 0 {
		t.Skip("making namespaces needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestPIDsHere$", "-test.v")
	cmd.Env = append(os.Environ(), pidsHere+"="+fmt.Sprint(kernel, false))
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestPIDsHere is the half of TestPIDs in a pid namespace of its own.
func TestPIDsHere(t *testing.T) {
	want := os.Getenv(pidsHere)
	if want == "" {
		return
	}
	r := open(t, "/")
	if got := fmt.Sprint(r.KernelPIDs(), r.OwnPIDs()); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A host that is a container counts for itself.
func TestPIDsOfAContainer(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	if r := open(t, "/"); r.KernelPIDs() || !r.OwnPIDs() {
		t.Errorf("%v %v", r.KernelPIDs(), r.OwnPIDs())
	}
	if r := open(t, t.TempDir()); r.KernelPIDs() || r.OwnPIDs() {
		t.Error("a tree has no processes")
	}
}

func TestOpenMountNamespace(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	f, err := open(t, "/").OpenMountNamespace()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	own, err := os.Stat("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := f.Stat(); err != nil || !os.SameFile(s, own) {
		t.Errorf("%v, %v", s, err)
	}
	if f, err := open(t, t.TempDir()).OpenMountNamespace(); err == nil {
		t.Error("a tree has a mount namespace:", f.Name())
	}
}
