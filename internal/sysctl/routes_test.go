package sysctl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// A default route that moves is heard of at once; all other routes are not.
func TestDefaultRouteMoves(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := listening(t)
	hosttest.Run(t, "ip", "link", "set", "eth0", "up")
	hosttest.Run(t, "ip", "link", "set", "veth1", "up")
	moved := from(netconfSource, "")
	route := func(args string) { hosttest.Run(t, "ip", strings.Fields("route "+args)...) }
	leadsTo := func(name string) {
		t.Helper()
		found, err := findInterfaces(c.root)
		if err != nil || strings.Join(found.defaultRoute, " ") != name {
			t.Errorf("the default route leads to %q, want %q (%v)", found.defaultRoute, name, err)
		}
	}

	route("add default dev eth0")
	to.await(t, "new default route", moved)
	leadsTo("eth0")
	for i := range 50 {
		route(fmt.Sprintf("add 10.%d.0.0/16 dev eth0", i))
		route(fmt.Sprintf("del 10.%d.0.0/16 dev eth0", i))
	}
	route("add default dev eth0 table 100")
	route("replace default dev veth1")
	heard := to.await(t, "moved default route", moved)
	leadsTo("veth1")
	for _, h := range append(heard[:len(heard)-1], to.now()...) {
		if h.Source == netconfSource {
			t.Errorf("heard of another route: %+v", h)
		}
	}
	route("del default dev veth1")
	to.await(t, "lost default route", moved)
	leadsTo("")
}

// Without a rule that goes by it, nobody listens to routes.
func TestNobodyListensToRoutesInVain(t *testing.T) {
	if (&Check{rules: ackRules[:1]}).followsDefaultRoute() || !(&Check{rules: ackRules}).followsDefaultRoute() {
		t.Error("the wrong rules follow the default route")
	}
}
