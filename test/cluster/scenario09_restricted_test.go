//go:build e2e

package cluster

import (
	"fmt"
	"testing"
)

// Without SYS_ADMIN the verdicts are the same; they come later, and the sources say so.
func TestRestricted(t *testing.T) {
	install(t)
	mark := cluster.seen.Mark()
	apply(t, "restricted")
	only(t, mark, nil)
	mark = cluster.seen.Mark()
	n := cluster.nodes[0]
	for source, mode := range map[string]string{"bpf-sysctl": "off", "held-sysctl": "poll", "netconf": "event", "inotify": "event", "nftables": "event"} {
		n.metric(t, fmt.Sprintf("nodeguard_source_info{mode=%q,source=%q} 1", mode, source))
	}
	n.Drifts(t, Change{
		What: "tcp_tw_reuse=1, restricted", Condition: "KernelParameterDrift", Words: "net.ipv4.tcp_tw_reuse is 1",
		Command: "sysctl -qw net.ipv4.tcp_tw_reuse=1", Back: "sysctl -qw net.ipv4.tcp_tw_reuse=2",
	})
	n.Drifts(t, Change{
		What: "a file added, restricted", Condition: "KubernetesPathDrift", Words: "/etc/kubernetes/added is new file",
		Command: "echo x > /etc/kubernetes/added", Back: "rm /etc/kubernetes/added",
	})
	n.Drifts(t, Change{
		What: "a rule set, restricted", Condition: "FirewallInterference", Words: "nftables table inet mine is enforcing",
		Command: "nft 'add table inet mine { chain in { type filter hook input priority 0; policy accept; tcp dport 9 drop; } ; }'", Back: "nft delete table inet mine",
	})
	only(t, mark, n, "KernelParameterDrift", "KubernetesPathDrift", "FirewallInterference", "NodeOutOfSupport")
	apply(t, "enforce")
}
