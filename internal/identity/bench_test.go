package identity

import (
	"slices"
	"testing"

	"github.com/nodeguard/nodeguard/internal/node"
)

// BenchmarkObserve looks at all of the host's identity, as every hint and every
// resync does.
func BenchmarkObserve(b *testing.B) {
	rules := slices.Concat(ofTheMachine, ofTheNode, []Rule{{PolicyRoutes: complete}})
	c := New(open(b, "/"), bound(rules...), source(node.Node{UID: "u1"}), nil)
	for b.Loop() {
		c.Observe(b.Context(), nil)
	}
}
