package main

import (
	"bufio"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// announcer is a bus with something on it that announces as logind does; make e2e
// has the real one.
func announcer(t *testing.T) (announce func(ending bool)) {
	t.Helper()
	for _, dir := range []string{"/run/dbus", "/run/systemd/system"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const address = "unix:path=/run/dbus/system_bus_socket"
	daemon := exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", "--address="+address)
	daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := daemon.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := daemon.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = daemon.Process.Kill(); _ = daemon.Wait() })
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	conn, err := dbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	const manager = "org.freedesktop.login1.Manager"
	known, err := prop.Export(conn, "/org/freedesktop/login1", prop.Map{manager: {"PreparingForShutdown": {Value: false}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName("org.freedesktop.login1", dbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return func(ending bool) {
		t.Helper()
		known.SetMust(manager, "PreparingForShutdown", ending) // for who subscribes after the announcement
		if err := conn.Emit("/org/freedesktop/login1", manager+".PrepareForShutdown", ending); err != nil {
			t.Fatal(err)
		}
	}
}

// What services do on their way down is no drift, and what is left when a shutdown
// was called off is.
func TestNothingIsRaisedWhileTheHostShutsDown(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	announce := announcer(t)
	a := startAgent(t)
	defer a.stop()
	a.wait(`"msg":"baseline recorded"`)
	announce(true)
	a.wait(`"msg":"nothing is raised any more"`, "the host is shutting down")
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
	announce(false)
	a.wait(`"msg":"findings are raised again"`)
	if got := a.wait(`"msg":"raised"`, "ip_forward")["subject"]; got != "net.ipv4.ip_forward" {
		t.Errorf("raised %v", got)
	}
}
