package units

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// The bus of these tests is a real dbus-daemon of their own. What answers on it as
// systemd knows the least that connecting, listening and losing the connection
// need; the real one is listened to in make e2e.

const deadline = 20 * time.Second

// recorder keeps what is said, a line each.
type recorder struct {
	mu   sync.Mutex
	said sync.Cond
	all  []string
}

func newRecorder() *recorder {
	r := &recorder{}
	r.said.L = &r.mu
	return r
}

func (r *recorder) Hint(h drift.Hint) {
	line := "hint " + h.Subject
	if h.Lost {
		line = "lost"
	}
	r.add(line)
}

func (r *recorder) Mode(_ string, m drift.Mode, why string) {
	r.add(fmt.Sprintf("mode %s %s", m, why))
}
func (r *recorder) Failed(string, error) {}

func (r *recorder) add(line string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, strings.TrimSpace(line))
	r.said.Broadcast()
}

// wait returns when the lines were said in this order, after the n-th, and how
// many were said by then.
func (r *recorder) wait(t *testing.T, n int, lines ...string) int {
	t.Helper()
	late := false
	timer := time.AfterFunc(deadline, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		late = true
		r.said.Broadcast()
	})
	defer timer.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, line := range lines {
		for {
			i := slices.IndexFunc(r.all[n:], func(said string) bool { return strings.HasPrefix(said, line) })
			if i >= 0 {
				n += i + 1
				break
			}
			if late {
				t.Fatalf("%q was not said within %s: %q", line, deadline, r.all)
			}
			r.said.Wait()
		}
	}
	return n
}

// machine is a tree with a bus in it.
type machine struct {
	t      *testing.T
	root   *host.Root
	socket string
	daemon *exec.Cmd
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Fatal("dbus-daemon is not installed; the package dbus has it")
	}
	dir := t.TempDir()
	for _, name := range []string{"run/systemd/system", "run/dbus"} {
		must(t, os.MkdirAll(filepath.Join(dir, name), 0o755))
	}
	root, err := host.Open(dir)
	must(t, err)
	t.Cleanup(func() { _ = root.Close() })
	m := &machine{t: t, root: root, socket: filepath.Join(dir, systemBus)}
	t.Cleanup(m.killDaemon)
	return m
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// startDaemon returns when the bus takes connections.
func (m *machine) startDaemon() {
	m.t.Helper()
	m.daemon = exec.Command("dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address", "--address=unix:path="+m.socket)
	m.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := m.daemon.StdoutPipe()
	must(m.t, err)
	must(m.t, m.daemon.Start())
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		m.t.Fatalf("dbus-daemon: %v", err)
	}
}

func (m *machine) killDaemon() {
	if m.daemon != nil {
		_ = m.daemon.Process.Kill()
		_ = m.daemon.Wait()
		m.daemon = nil
	}
}

// manager is what stands in for systemd.
type manager struct{ conn *dbus.Conn }

// Subscribe is the method that systemd is asked to tell changes with.
func (manager) Subscribe() *dbus.Error { return nil }

func (m *machine) startManager() manager {
	m.t.Helper()
	conn, err := dbus.Connect("unix:path=" + m.socket)
	must(m.t, err)
	m.t.Cleanup(func() { _ = conn.Close() })
	s := manager{conn}
	must(m.t, conn.Export(s, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"))
	_, err = conn.RequestName("org.freedesktop.systemd1", dbus.NameFlagDoNotQueue)
	must(m.t, err)
	return s
}

func (s manager) changed(t *testing.T, unit string) {
	t.Helper()
	at := dbus.ObjectPath("/org/freedesktop/systemd1/unit/" + systemd.PathBusEscape(unit))
	must(t, s.conn.Emit(at, "org.freedesktop.DBus.Properties.PropertiesChanged", "org.freedesktop.systemd1.Unit",
		map[string]dbus.Variant{"ActiveState": dbus.MakeVariant("active")}, []string{}))
}

// watch watches until the test ends or stop is called.
func watch(t *testing.T, b *Bus, subjects map[string]string) (seen *recorder, stop func()) {
	t.Helper()
	seen = newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.Watch(ctx, subjects, seen)
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	t.Cleanup(stop)
	return seen, stop
}

var ufw = map[string]string{"ufw.service": "ufw"}

func TestUnitsThatAreWatched(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	s := m.startManager()
	b := New(m.root)
	firewalls, _ := watch(t, b, ufw)
	n := firewalls.wait(t, 0, "mode event", "hint")
	runtimes, _ := watch(t, b, map[string]string{"containerd.service": "containerd"})
	runtimes.wait(t, 0, "mode event", "hint")

	s.changed(t, "sshd.service")
	s.changed(t, "ufw.service")
	firewalls.wait(t, n, "hint ufw")
	s.changed(t, "containerd.service")
	runtimes.wait(t, 2, "hint containerd")
	firewalls.mu.Lock()
	defer firewalls.mu.Unlock()
	if got := firewalls.all[n:]; len(got) != 1 {
		t.Errorf("said %q of one change", got)
	}
}

func TestADeadBusIsConnectedToAgain(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	m.startManager()
	seen, _ := watch(t, New(m.root), ufw)
	n := seen.wait(t, 0, "mode event", "hint")
	m.killDaemon()
	n = seen.wait(t, n, "mode poll systemd cannot be heard over D-Bus: ")
	m.startDaemon()
	s := m.startManager()
	n = seen.wait(t, n, "mode event", "hint")
	s.changed(t, "ufw.service")
	seen.wait(t, n, "hint ufw")
}

// A daemon that hangs closes nothing: only asking finds it.
func TestAHungBusIsFoundByAsking(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	m.startManager()
	b := New(m.root)
	seen, _ := watch(t, b, ufw)
	n := seen.wait(t, 0, "mode event", "hint")
	must(t, m.daemon.Process.Signal(syscall.SIGSTOP))
	b.Poll()
	n = seen.wait(t, n, "mode poll systemd cannot be heard over D-Bus: no answer in time")
	must(t, m.daemon.Process.Signal(syscall.SIGCONT))
	seen.wait(t, n, "mode event", "hint")
}

// A bus without systemd on it would tell nothing for ever.
func TestASystemdThatLeftTheBusIsFoundByAsking(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	s := m.startManager()
	b := New(m.root)
	seen, _ := watch(t, b, ufw)
	n := seen.wait(t, 0, "mode event", "hint")
	must(t, s.conn.Close())
	b.Poll()
	n = seen.wait(t, n, "mode poll systemd cannot be heard over D-Bus: org.freedesktop.DBus.Error.")
	m.startManager()
	seen.wait(t, n, "mode event", "hint")
}

func TestABusThatAnswersStays(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	s := m.startManager()
	b := New(m.root)
	seen, _ := watch(t, b, ufw)
	n := seen.wait(t, 0, "mode event", "hint")
	b.Poll()
	s.changed(t, "ufw.service")
	seen.wait(t, n, "hint ufw")
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if got := seen.all[n:]; len(got) != 1 {
		t.Errorf("said %q", got)
	}
}

// The handshake's deadline does not end the conversation.
func TestTheConnectionOutlivesItsHandshake(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	m.startManager()
	l, err := open(t.Context(), m.root, 1)
	must(t, err)
	defer l.bus.Close()
	select {
	case <-l.closed():
		t.Error("closed by its deadline")
	case <-time.After(patience + patience/4):
	}
	must(t, l.ping(t.Context()))
}

func TestOverflowIsSaid(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	s := m.startManager()
	b := New(m.root)
	l, err := open(t.Context(), m.root, 1) // nobody takes the second of these
	must(t, err)
	defer l.bus.Close()
	for range 3 {
		s.changed(t, "sshd.service")
	}
	seen := newRecorder()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	b.hearers[&hearer{ufw, seen}] = true
	for len(l.dropped) == 0 {
		runtime.Gosched()
	}
	go func() { done <- b.listen(&session{ctx: ctx, cancel: cancel}, l) }()
	seen.wait(t, 0, "lost")
	cancel()
	<-done
}

func TestWithoutASystemd(t *testing.T) {
	dir := t.TempDir()
	root, err := host.Open(dir)
	must(t, err)
	defer root.Close()
	for want, b := range map[string]*Bus{
		"mode off systemd does not run this host": New(root),
		"mode off systemd is not listened to":     nil,
	} {
		seen, stop := watch(t, b, ufw)
		seen.wait(t, 0, want)
		b.Poll()
		stop()
	}
}

func TestWithoutABus(t *testing.T) {
	m := newMachine(t)
	seen, _ := watch(t, New(m.root), ufw)
	n := seen.wait(t, 0, "mode poll systemd cannot be heard over D-Bus: no such file or directory")
	m.startDaemon()
	m.startManager()
	seen.wait(t, n, "mode event", "hint")
}

func TestNothingIsLeftBehind(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	m.startManager()
	b := New(m.root)
	for i := range 3 {
		before := hosttest.Use(t)
		seen, stop := watch(t, b, ufw)
		seen.wait(t, 0, "mode event", "hint")
		stop()
		if now, exceeded := before.Exceeded(t); i > 0 && exceeded { // the first opens what the runtime keeps
			t.Errorf("held %+v, were %+v", now, before)
		}
	}
}

func TestAsk(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	m.startManager()
	asked := false
	must(t, Ask(t.Context(), m.root, func(context.Context, *systemd.Conn) error { asked = true; return nil }))
	if !asked {
		t.Error("nobody was asked")
	}
	m.killDaemon()
	err := Ask(t.Context(), m.root, func(context.Context, *systemd.Conn) error { return nil })
	if err == nil || Cause(err) != "connection refused" {
		t.Errorf("error %v", err)
	}
}
