//go:build e2e

package cluster

import "testing"

// Kernel parameters of one node's network namespace: that node's condition, and no other.
func TestKernelParameters(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[0], cluster.seen.Mark()
	set := func(parameter, value, back, words string) Change {
		return Change{
			What: parameter + "=" + value, Condition: "KernelParameterDrift", Words: words,
			Command: "sysctl -qw " + parameter + "='" + value + "'", Back: "sysctl -qw " + parameter + "='" + back + "'",
		}
	}
	n.Drifts(t,
		set("net.ipv4.ip_forward", "0", "1", "net.ipv4.ip_forward is 0, supported 1 (ack.net.ip-forward)"),
		set("net.ipv4.conf.eth0.rp_filter", "1", "0", "net.ipv4.conf.eth0.rp_filter is 1, supported 0 (ack.net.rp-filter)"),
		set("net.ipv4.tcp_tw_reuse", "1", "2", "net.ipv4.tcp_tw_reuse is 1, supported 0 or 2 (ack.net.tcp-tw-reuse)"),
		set("net.ipv4.ip_local_port_range", "1024 60999", "32768 60999", "net.ipv4.ip_local_port_range is 1024 60999"),
	)
	only(t, mark, n, "KernelParameterDrift", "NodeOutOfSupport")
}
