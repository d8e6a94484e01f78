// Package host boots a real Debian, systemd and all, and runs nodeguard in it.
package host

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed boot.sh
var bootScript string

//go:embed cgroups.sh
var cgroupsScript string

const (
	bootDeadline    = 60 * time.Second
	commandDeadline = 60 * time.Second
)

// Machine is a booted Debian with its own pid, mount and network namespaces. It ends with its test,
// however that ends.
type Machine struct {
	t    testing.TB
	init int // pid of its first process, seen from here
}

// Boot boots the tree and returns when systemd has started everything. The commands of prepare run in
// the tree before that.
func Boot(t testing.TB, prepare ...string) *Machine {
	t.Helper()
	name := fmt.Sprintf("%s-%d", required(t, "NODEGUARD_E2E_NAME"), time.Now().UnixNano())
	ready := listen(t, name)

	var console bytes.Buffer
	args := []string{"-c", bootScript, "boot.sh", required(t, "NODEGUARD_E2E_TREE"), required(t, "NODEGUARD_E2E_BINARY"), name}
	cmd := exec.Command("bash", append(args, prepare...)...)
	cmd.Env = append(os.Environ(), "NOTIFY_SOCKET="+ready.LocalAddr().String())
	cmd.Stdout, cmd.Stderr = &console, &console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL, // and with the first process its whole pid namespace
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("boot: %v", err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
		_ = ready.Close()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if out, err := exec.Command("bash", "-c", cgroupsScript, "cgroups.sh", name).CombinedOutput(); err != nil {
			t.Errorf("remove cgroups: %v\n%s", err, out)
		}
	})

	if err := waitReady(ready); err != nil {
		_ = cmd.Process.Kill()
		<-ended
		t.Fatalf("the machine did not boot: %v\n%s", err, &console)
	}
	init, err := onlyChild(cmd.Process.Pid)
	if err != nil {
		t.Fatalf("find the machine's first process: %v", err)
	}
	return &Machine{t: t, init: init}
}

// Run runs a shell command in the machine and returns what it printed; the test ends where it fails.
func (m *Machine) Run(command string) string {
	m.t.Helper()
	out, err := m.Try(command)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", command, err, out)
	}
	return out
}

// Try is Run for commands that may fail.
func (m *Machine) Try(command string) (string, error) {
	cmd, cancel := m.command("sh", "-ec", command)
	defer cancel()
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// Freeze stops the machine's systemd: its sockets still accept, and nobody answers.
func (m *Machine) Freeze() {
	m.t.Helper()
	if err := syscall.Kill(m.init, syscall.SIGSTOP); err != nil {
		m.t.Fatalf("stop the machine's systemd: %v", err)
	}
}

func (m *Machine) command(args ...string) (*exec.Cmd, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(context.Background(), commandDeadline)
	enter := []string{"-t", strconv.Itoa(m.init), "-m", "-u", "-i", "-n", "-p", "-C", "-r", "-w", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	return cmd, cancel
}

func required(t testing.TB, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: run these tests with make e2e", name)
	}
	return value
}

// listen opens the socket on which the machine says that it is up; its name is abstract and leaves no file.
func listen(t testing.TB, name string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "@" + name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

func waitReady(conn *net.UnixConn) error {
	if err := conn.SetReadDeadline(time.Now().Add(bootDeadline)); err != nil {
		return err
	}
	message := make([]byte, 4096)
	for {
		n, err := conn.Read(message)
		if errors.Is(err, net.ErrClosed) {
			return errors.New("it ended")
		}
		if err != nil {
			return err
		}
		if strings.Contains(string(message[:n]), "READY=1") {
			return nil
		}
	}
}

func onlyChild(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	children := strings.Fields(string(data))
	if len(children) != 1 {
		return 0, fmt.Errorf("systemd-nspawn has %d children", len(children))
	}
	return strconv.Atoi(children[0])
}
