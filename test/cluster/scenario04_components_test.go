//go:build e2e

package cluster

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The kubelet with another flag, and a runtime whose binary is not the one that runs.
func TestComponents(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[0], cluster.seen.Mark()
	flags := n.kubeletFlags
	restart := func(flags []string) func(testing.TB, *Node) {
		return func(t testing.TB, n *Node) {
			t.Helper()
			if err := n.kubelet.Stop(); err != nil {
				t.Fatal(err)
			}
			n.kubeletFlags = flags
			if err := n.StartKubelet(); err != nil {
				t.Fatal(err)
			}
		}
	}
	kubelet := Change{
		What: "kubelet restarted with --max-pods=250", Condition: "ComponentConfigDrift", Words: "kubelet --max-pods is 250, supported 110",
		Do: restart(append(flags[:len(flags)-1:len(flags)-1], "--max-pods=250")), Undo: restart(flags),
	}
	binary := "/usr/bin/containerd"
	containerd := Change{
		What: "containerd replaced while running", Condition: "ComponentConfigDrift", Words: "containerd binary is " + binary + " was replaced while running",
		Command: "mv " + binary + " " + binary + ".original; cp -p " + binary + ".original " + binary + "; echo >> " + binary,
		Undo: func(t testing.TB, n *Node) {
			n.Run(t, "mv -f "+binary+".original "+binary)
			if err := n.containerd.Stop(); err != nil {
				t.Fatal(err)
			}
			if err := n.StartContainerd(); err != nil {
				t.Fatal(err)
			}
		},
	}
	first := n.Drift(t, kubelet)
	n.event(t, "ComponentConfigDriftDetected", kubelet.Words)
	second := n.Drift(t, containerd)
	n.sees(t, mark, containerd.What, "KubernetesPathDrift", corev1.ConditionTrue, binary+" is content")
	n.Restore(t, kubelet, first)
	n.Restore(t, containerd, second)
	n.clear(t, "ComponentConfigDrift")
	n.clear(t, "KubernetesPathDrift")
	resolved = append(resolved, event{n.Name, "ComponentConfigDriftResolved", time.Now()})
	only(t, mark, n, "ComponentConfigDrift", "KubernetesPathDrift", "NodeOutOfSupport")
}
