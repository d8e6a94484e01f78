//go:build e2e

package cluster

import (
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Somebody deletes a Node, and its kubelet registers it anew when it is started again:
// the same machine, past its node pool. The agent runs on, with its baseline.
func TestNodeDeleted(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[1], cluster.seen.Mark()
	uid, recorded := n.uid(t), n.baseline(t)
	agent := n.agent(t)
	deleted := Change{
		What: "kubectl delete node, and the kubelet restarted", Condition: "NodeIdentityDrift", Words: "Node object is ",
		Do: func(t testing.TB, n *Node) {
			kubectl(t, "delete", "node", n.Name)
			if err := n.kubelet.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := n.StartKubelet(); err != nil {
				t.Fatal(err)
			}
		},
		Undo: func(t testing.TB, n *Node) {
			digest := regexp.MustCompile(`to accept this state: (sha256:[0-9a-f]+)`).FindStringSubmatch(n.message(t, "NodeIdentityDrift"))
			if digest == nil {
				t.Fatalf("the condition does not say how to accept it: %s", n.message(t, "NodeIdentityDrift"))
			}
			kubectl(t, "annotate", "node", n.Name, "nodeguard.io/accept-baseline="+digest[1])
		},
	}
	r := n.Drift(t, deleted)
	now := n.uid(t)
	if now == uid {
		t.Errorf("it is the same Node as before: %s", uid)
	}
	n.sees(t, mark, deleted.What, "NodeIdentityDrift", "True", "Node object is "+now+", supported "+uid+" (ack.nodepool.kubectl-delete-node)")
	if err := cluster.seen.Await(patience, n.Name+" Ready", func() bool { return cluster.seen.ready(n.Name) }); err != nil {
		t.Fatal(err)
	}
	for _, kind := range ours {
		n.has(t, kind)
	}
	if diff := cmp.Diff(recorded, n.baseline(t)); diff != "" {
		t.Errorf("the baseline is another one (-before +after):\n%s", diff)
	}
	n.Restore(t, deleted, r)
	n.clear(t, "NodeIdentityDrift")
	n.settled(t)
	if after := n.agent(t); after != agent {
		t.Errorf("another agent runs, %s after %s", after, agent)
	}
	only(t, mark, n, "NodeIdentityDrift", "NodeOutOfSupport")
}

func (n *Node) uid(t testing.TB) string {
	t.Helper()
	return kubectl(t, "get", "node", n.Name, "-o", "jsonpath={.metadata.uid}")
}

// has waits until the Node has a condition.
func (n *Node) has(t testing.TB, kind string) {
	t.Helper()
	err := cluster.seen.Await(patience, n.Name+" has "+kind, func() bool { return find(cluster.seen.nodes[n.Name], kind) != nil })
	if err != nil {
		t.Fatal(err)
	}
}

// message is that of a condition now.
func (n *Node) message(t testing.TB, kind string) (message string) {
	t.Helper()
	err := cluster.seen.Await(time.Second, n.Name+" has "+kind, func() bool {
		c := find(cluster.seen.nodes[n.Name], kind)
		if c != nil {
			message = c.Message
		}
		return c != nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return message
}

// baseline are the digests of what is recorded of the node.
func (n *Node) baseline(t testing.TB) []string {
	t.Helper()
	metrics, err := n.metrics()
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^nodeguard_baseline_info\{.*$`).FindAllString(metrics, -1)
	if len(lines) == 0 {
		t.Fatalf("%s has no baseline", n.Name)
	}
	slices.Sort(lines)
	return lines
}
