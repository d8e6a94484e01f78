//go:build e2e

package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Somebody installs a node's operating system anew: another machine-id, and nothing of
// what was recorded. That is history and no drift.
func TestNodeReinstalled(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[1], cluster.seen.Mark()
	before := n.identity(t)
	began := time.Now()
	n.Crash()
	if err := os.WriteFile(n.Disk("etc/machine-id"), []byte(strings.Repeat("a", 32)+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	state, err := filepath.Glob(n.Disk("var/lib/nodeguard/*"))
	if err != nil || len(state) == 0 {
		t.Fatalf("no state in %s: %v", n.Disk("var/lib/nodeguard"), err)
	}
	for _, name := range state {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Boot(); err != nil {
		t.Fatal(err)
	}
	n.event(t, "NodeReinstalled", "a new baseline will be recorded")
	took := time.Since(began)
	err = cluster.seen.Await(2*patience, n.Name+" has another identity", func() bool {
		now := cluster.seen.nodes[n.Name].Annotations[identity]
		return now != "" && now != before
	})
	if err != nil {
		t.Fatal(err)
	}
	n.settled(t)
	n.baseline(t)
	note(t, n.Name+": another machine-id and no state, until the event", "event NodeReinstalled", took, time.Since(began))
	only(t, mark, nil)
}

const identity = "nodeguard.io/identity"

func (n *Node) identity(t testing.TB) string {
	t.Helper()
	digest := kubectl(t, "get", "node", n.Name, "-o", `jsonpath={.metadata.annotations.nodeguard\.io/identity}`)
	if digest == "" {
		t.Fatalf("%s has no %s", n.Name, identity)
	}
	return digest
}
