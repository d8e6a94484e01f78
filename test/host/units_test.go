//go:build e2e

package host

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

// said is what a source says, a line each.
type said chan string

func (s said) Hint(h drift.Hint)                       { s <- "hint " + h.Subject }
func (s said) Mode(_ string, m drift.Mode, why string) { s <- fmt.Sprintf("mode %s %s", m, why) }
func (s said) Failed(string, error)                    {}

// wait returns when the line was said.
func (s said) wait(t *testing.T, what, line string) {
	t.Helper()
	var before []string
	for late := time.After(commandDeadline); ; {
		select {
		case got := <-s:
			if strings.HasPrefix(got, line) {
				return
			}
			before = append(before, got)
		case <-late:
			t.Fatalf("%s: %q was not said, but %q", what, line, before)
		}
	}
}

// A unit that changes is told by systemd itself, also after the bus died under
// the connection.
func TestUnitsAreHeard(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	root, err := host.Open(fmt.Sprintf("/proc/%d/root", m.init))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithCancel(t.Context())
	heard, done := make(said, 10000), make(chan struct{})
	go func() {
		defer close(done)
		units.New(root).Watch(ctx, map[string]string{"ufw.service": "ufw", "firewalld.service": "firewalld"}, heard)
	}()
	defer func() { cancel(); <-done }()

	heard.wait(t, "the connection", "mode event")
	m.Run("systemctl stop ufw")
	heard.wait(t, "ufw stopped", "hint ufw")
	m.Run("systemctl start firewalld") // not loaded before
	heard.wait(t, "firewalld started", "hint firewalld")

	m.Run("systemctl kill -s KILL dbus.service")
	heard.wait(t, "the bus died", "mode poll")
	heard.wait(t, "the bus is back", "mode event")
	m.Run("systemctl start ufw")
	heard.wait(t, "ufw started", "hint ufw")
}
