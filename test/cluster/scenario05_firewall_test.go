//go:build e2e

package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Rules in the node's own network namespace, beside those of the kubelet, of the
// network plugin and of kube-proxy in both of its modes. firewalld and ufw
// themselves, under a real systemd, are the tests of package host.
func TestFirewall(t *testing.T) {
	install(t)
	kubectl(t, "apply", "-f", "testdata/pods.yaml")
	kubectl(t, "rollout", "status", "daemonset/pods", "--timeout=60s")
	for i, n := range cluster.nodes {
		for _, chain := range []string{"KUBE-FIREWALL", "CNI-HOSTPORT-DNAT", []string{"table ip kube-proxy", "KUBE-SERVICES"}[i]} {
			n.hasRules(t, chain)
		}
		n.clear(t, "FirewallInterference")
		mark := cluster.seen.Mark()
		n.Drifts(t,
			Change{What: "firewalld's table", Condition: "FirewallInterference", Words: "firewalld is enforcing",
				Command: "nft 'add table inet firewalld { chain filter_INPUT { type filter hook input priority 10; policy accept; ct state invalid drop; } ; }'", Back: "nft delete table inet firewalld"},
			Change{What: "a rule set of nobody's", Condition: "FirewallInterference", Words: "nftables table inet mine is enforcing",
				Command: "nft 'add table inet mine { chain in { type filter hook input priority 0; policy accept; tcp dport 9 drop; } ; }'", Back: "nft delete table inet mine"},
			Change{What: "a rule added with iptables", Condition: "FirewallInterference", Words: "nftables table ip filter is enforcing",
				Command: "iptables -w -I INPUT -p tcp --dport 9 -j DROP", Back: "iptables -w -D INPUT -p tcp --dport 9 -j DROP"},
		)
		only(t, mark, n, "FirewallInterference", "NodeOutOfSupport")
	}
}

// There is one event a minute about a condition: those that it cleared come later.
// An agent that ends before has no more to say, so this goes before what ends them.
func TestResolvedEvents(t *testing.T) {
	for _, e := range resolved {
		err := cluster.seen.Await(70*time.Second, e.node+": event "+e.reason, func() bool {
			return cluster.seen.hasEvent(e.node, e.reason, "", e.since.Add(-time.Minute))
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// hasRules waits for rules without which it says nothing that there is no finding.
func (n *Node) hasRules(t testing.TB, chain string) {
	t.Helper()
	err := eventually(patience, func() error {
		if !strings.Contains(n.Run(t, "nft list ruleset"), chain) {
			return fmt.Errorf("%s has no %s", n.Name, chain)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
