package sysctl

import (
	"context"
	"testing"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// What a look costs is counted here; how long it takes is for make bench. That the
// safety read allocates nothing is TestPollAllocatesNothing.
func TestAllocationsOfALook(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newHostCheck(t)
	c.Observe(context.Background(), nil)
	for name, look := range map[string]struct {
		only   []string
		atMost float64
	}{
		"at what was hinted": {[]string{"net.ipv4.ip_forward"}, 500},
		"at everything":      {nil, 1500},
	} {
		n := testing.AllocsPerRun(20, func() { c.Observe(context.Background(), look.only) })
		t.Logf("%s: %.0f allocations", name, n)
		if n > look.atMost {
			t.Errorf("a look %s makes %.0f allocations, at most %.0f", name, n, look.atMost)
		}
	}
}
