//go:build e2e

package cluster

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

const overlays = "testdata/"

// apply does what the README says, with the times of the tests, and returns when
// every agent has settled.
func apply(t testing.TB, overlay string) {
	t.Helper()
	kubectl(t, "apply", "-k", overlays+overlay)
	rolled(t)
	for _, n := range cluster.nodes {
		n.settled(t)
	}
}

// rolled waits until all agents are the new ones and ready; it says what keeps them.
func rolled(t testing.TB) {
	t.Helper()
	if _, err := tryKubectl("-n", "nodeguard", "rollout", "status", "daemonset/nodeguard", "--timeout=120s"); err != nil {
		pods, _ := tryKubectl("-n", "nodeguard", "describe", "pods")
		t.Fatalf("%v\n%s", err, pods)
	}
}

// settled waits until every condition is False with nothing more to come.
func (n *Node) settled(t testing.TB) {
	t.Helper()
	err := cluster.seen.Await(patience, n.Name+" settled", func() bool {
		return find(cluster.seen.nodes[n.Name], "NodeOutOfSupport") != nil && !slices.ContainsFunc(ours, func(kind string) bool {
			c := find(cluster.seen.nodes[n.Name], kind)
			return c != nil && (c.Status != corev1.ConditionFalse || c.Reason == "BaselineSettling")
		})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// installed tells whether install was tried, and worked.
var installed, tried bool

// install installs nodeguard once for all scenarios.
func install(t testing.TB) {
	t.Helper()
	switch {
	case installed:
	case tried:
		t.Fatal("nodeguard is not installed, see above")
	default:
		tried = true
		apply(t, "enforce")
		installed = true
	}
}

// A fresh install: every condition is False within 10 s on every node, stays so
// when the baseline is recorded, and nothing else of the Nodes is another than before.
func TestInstall(t *testing.T) {
	before := map[string]string{}
	for _, n := range cluster.nodes {
		before[n.Name] = foreign(t, n)
	}
	began := time.Now()
	install(t)
	settled := time.Since(began)
	turns := cluster.seen.Since(0)
	for _, turn := range turns {
		if turn.Status != corev1.ConditionFalse {
			t.Errorf("in between: %v", turn)
		}
	}
	var first time.Duration // until the later of the nodes has all of them, as they come in one patch
	for _, n := range cluster.nodes {
		at := turns[slices.IndexFunc(turns, func(turn Turn) bool { return turn.Node == n.Name })].At
		first = max(first, at.Sub(began))
	}
	note(t, "kubectl apply until all are False", "all", 0, first)
	note(t, "kubectl apply until the baseline is recorded", "all", 0, settled)
	if first > 10*time.Second {
		t.Errorf("it took %v", first)
	}
	for _, n := range cluster.nodes {
		if diff := cmp.Diff(before[n.Name], foreign(t, n)); diff != "" {
			t.Errorf("%s, what is not nodeguard's (-before +after):\n%s", n.Name, diff)
		}
		for _, source := range []string{"bpf-sysctl", "netconf", "inotify", "nftables", "pidfd"} {
			n.metric(t, fmt.Sprintf(`nodeguard_source_info{mode="event",source=%q} 1`, source))
		}
	}
}

// foreign is what of a Node is neither nodeguard's nor changes on its own.
func foreign(t testing.TB, n *Node) string {
	t.Helper()
	var node corev1.Node
	if err := yaml.Unmarshal([]byte(kubectl(t, "get", "node", n.Name, "-o", "yaml")), &node); err != nil {
		t.Fatal(err)
	}
	node.ManagedFields, node.ResourceVersion = nil, ""
	node.Status.Images = nil
	maps.DeleteFunc(node.Annotations, func(key, _ string) bool {
		return strings.HasPrefix(key, "nodeguard.io/") || strings.HasSuffix(key, "/ttl")
	})
	node.Status.Conditions = slices.DeleteFunc(node.Status.Conditions, func(c corev1.NodeCondition) bool { return slices.Contains(ours, string(c.Type)) })
	for i := range node.Status.Conditions {
		node.Status.Conditions[i].LastHeartbeatTime.Reset()
	}
	out, err := yaml.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
