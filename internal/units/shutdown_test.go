package units

import (
	"context"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
	"github.com/godbus/dbus/v5/prop"
)

// login stands in for logind; the real one is heard in make e2e.
type login struct{ conn *dbus.Conn }

func (m *machine) startLogind(preparing bool) login {
	m.t.Helper()
	conn, err := dbus.Connect("unix:path=" + m.socket)
	must(m.t, err)
	m.t.Cleanup(func() { _ = conn.Close() })
	_, err = prop.Export(conn, logindPath, prop.Map{logindManager: {"PreparingForShutdown": {Value: preparing}}})
	must(m.t, err)
	_, err = conn.RequestName(logind, dbus.NameFlagDoNotQueue)
	must(m.t, err)
	return login{conn}
}

func (l login) announce(t *testing.T, ending bool) {
	t.Helper()
	must(t, l.conn.Emit(logindPath, logindManager+".PrepareForShutdown", ending))
}

func shutdowns(t *testing.T, m *machine) <-chan bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	turns, done := make(chan bool, 100), make(chan struct{})
	go func() {
		defer close(done)
		Shutdowns(ctx, m.root, func(ending bool) { turns <- ending })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return turns
}

func next(t *testing.T, turns <-chan bool, want bool) {
	t.Helper()
	select {
	case got := <-turns:
		if got != want {
			t.Fatalf("ending is %t, want %t", got, want)
		}
	case <-time.After(deadline):
		t.Fatalf("ending %t was not told", want)
	}
}

func TestShutdownsAreTold(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	l := m.startLogind(false)
	turns := shutdowns(t, m)
	next(t, turns, false)
	l.announce(t, true)
	next(t, turns, true)
	l.announce(t, false) // somebody cancelled it
	next(t, turns, false)
}

func TestAShutdownThatHasBegunIsTold(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	m.startLogind(true)
	next(t, shutdowns(t, m), true)
}

func TestShutdownsAfterTheBusCameBack(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	m.startLogind(false)
	turns := shutdowns(t, m)
	next(t, turns, false)
	m.killDaemon()
	m.startDaemon()
	l := m.startLogind(false)
	next(t, turns, false)
	l.announce(t, true)
	next(t, turns, true)
}

// Others on the bus cannot announce in logind's name.
func TestOnlyLogindAnnounces(t *testing.T) {
	m := newMachine(t)
	m.startDaemon()
	l := m.startLogind(false)
	turns := shutdowns(t, m)
	next(t, turns, false)
	other, err := dbus.Connect("unix:path=" + m.socket)
	must(t, err)
	defer other.Close()
	login{other}.announce(t, true)
	must(t, other.BusObject().Call("org.freedesktop.DBus.Peer.Ping", 0).Err) // it has left
	l.announce(t, false)
	next(t, turns, false)
}
