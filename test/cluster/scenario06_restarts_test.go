//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

var reused = Change{
	What: "tcp_tw_reuse=1 while the agent is killed", Condition: "KernelParameterDrift", Words: "net.ipv4.tcp_tw_reuse is 1",
	Command: "kill -9 $(pgrep -x nodeguard); sysctl -qw net.ipv4.tcp_tw_reuse=1", Back: "sysctl -qw net.ipv4.tcp_tw_reuse=2",
}

// The agent is killed: nothing flips but what drifted meanwhile.
func TestAgentKilled(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[0], cluster.seen.Mark()
	n.Restore(t, reused, n.Drift(t, reused))
	n.clear(t, reused.Condition)
	only(t, mark, n, "KernelParameterDrift", "NodeOutOfSupport")
}

// The agents are rolled to another image: nothing flips.
func TestAgentRolled(t *testing.T) {
	install(t)
	mark := cluster.seen.Mark()
	for _, n := range cluster.nodes {
		n.Run(t, "ctr -n k8s.io images tag localhost/nodeguard:dev localhost/nodeguard:next")
	}
	began := time.Now()
	kubectl(t, "-n", "nodeguard", "set", "image", "daemonset/nodeguard", "nodeguard=localhost/nodeguard:next")
	rolledOut(t)
	note(t, "roll to another image until the last agent is ready", "none", 0, time.Since(began))
	for _, n := range cluster.nodes {
		n.metric(t, `nodeguard_condition{condition="NodeOutOfSupport",status="False"} 1`)
	}
	only(t, mark, nil)
}

// An agent is evicted: nothing flips but what drifted meanwhile.
func TestAgentEvicted(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[1], cluster.seen.Mark()
	pod := n.agent(t)
	eviction := fmt.Sprintf("%s/eviction.json", t.TempDir())
	body := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":"nodeguard"}}`, pod)
	if err := os.WriteFile(eviction, []byte(body), 0o644); err != nil {
		t.Fatal(err)
	}
	evicted := Change{
		What: "a file edited while the agent is evicted", Condition: "KubernetesPathDrift", Words: "/etc/kubernetes/policy.yaml is content",
		Do: func(t testing.TB, n *Node) {
			kubectl(t, "create", "--raw", "/api/v1/namespaces/nodeguard/pods/"+pod+"/eviction", "-f", eviction)
			n.Run(t, "while pgrep -x nodeguard > /dev/null; do :; done; cd /etc/kubernetes; cp policy.yaml /srv/args; echo '# edited' >> policy.yaml")
		},
		Back: "cat /srv/args > /etc/kubernetes/policy.yaml",
	}
	r := n.Drift(t, evicted)
	rolledOut(t)
	n.Restore(t, evicted, r)
	n.clear(t, evicted.Condition)
	only(t, mark, n, "KubernetesPathDrift", "NodeOutOfSupport")
}

// The node loses its power, and somebody edits its disk: nothing else flips while
// kubelet, runtime and all pods come back.
func TestNodeRebooted(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[1], cluster.seen.Mark()
	file := "/etc/kubernetes/policy.yaml"
	rebooted := Change{
		What: "a file edited while the node is off", Condition: "KubernetesPathDrift", Words: file + " is content",
		Do: func(t testing.TB, n *Node) {
			n.Crash()
			text, err := os.ReadFile(n.Disk(file))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(n.Disk("etc/args"), text, 0o644); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(n.Disk(file), append(text, "# edited\n"...), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := n.Boot(); err != nil {
				t.Fatal(err)
			}
		},
		Back: "cat /etc/args > " + file,
	}
	r := n.Drift(t, rebooted)
	err := cluster.seen.Await(patience, n.Name+" Ready", func() bool { return cluster.seen.ready(n.Name) })
	if err != nil {
		t.Fatal(err)
	}
	n.Restore(t, rebooted, r)
	n.clear(t, rebooted.Condition)
	only(t, mark, n, "KubernetesPathDrift", "NodeOutOfSupport")
	if status := find(cluster.seen.nodes[n.Name], "NodeRebuildAdvised").Status; status != corev1.ConditionFalse {
		t.Errorf("NodeRebuildAdvised is %s", status)
	}
}

// agent is the name of the node's pod.
func (n *Node) agent(t testing.TB) string {
	t.Helper()
	return kubectl(t, "-n", "nodeguard", "get", "pods", "--field-selector=spec.nodeName="+n.Name, "-o", "jsonpath={.items[0].metadata.name}")
}

func rolledOut(t testing.TB) {
	t.Helper()
	rolled(t)
}
