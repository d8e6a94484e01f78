//go:build e2e

package host

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

// The real logind announces that the machine shuts down.
func TestAShutdownIsAnnounced(t *testing.T) {
	m := Boot(t)
	m.Run("systemctl start systemd-logind")
	root, err := host.Open(fmt.Sprintf("/proc/%d/root", m.init))
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	ctx, cancel := context.WithCancel(t.Context())
	turns, done := make(chan bool, 100), make(chan struct{})
	go func() {
		defer close(done)
		units.Shutdowns(ctx, root, func(ending bool) { turns <- ending })
	}()
	defer func() { cancel(); <-done }()

	told := func(want bool) {
		t.Helper()
		select {
		case got := <-turns:
			if got != want {
				t.Fatalf("ending is %t, want %t", got, want)
			}
		case <-time.After(commandDeadline):
			t.Fatalf("ending %t was not told", want)
		}
	}
	told(false)
	// An inhibitor holds the machine up for as long as the announcement is looked at.
	m.Run("systemd-run --quiet systemd-inhibit --what=shutdown --mode=delay sleep 60")
	m.Run("until systemd-inhibit --list --no-legend | grep -q shutdown; do :; done")
	m.Run("busctl call org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager PowerOff b false")
	told(true)
}
