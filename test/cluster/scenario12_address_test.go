//go:build e2e

package cluster

import "testing"

// The node gets another address, with which it reaches the API server as before.
func TestNodeAddress(t *testing.T) {
	install(t)
	n, mark := cluster.nodes[0], cluster.seen.Mark()
	recorded, other := n.IP, "10.99.0.111"
	address := func(from, to string) func(testing.TB, *Node) {
		return func(t testing.TB, n *Node) {
			t.Helper()
			n.Run(t, "ip address del "+from+"/24 dev eth0; ip address add "+to+"/24 dev eth0; ip route add default via "+machineIP)
			n.IP = to
		}
	}
	n.Drifts(t, Change{
		What: "another address", Condition: "NodeIdentityDrift",
		Words: "address ipv4 is " + other + "/24 dev eth0, supported " + recorded + "/24 dev eth0 (ack.worker.node-ip)",
		Do:    address(recorded, other), Undo: address(other, recorded),
	})
	only(t, mark, n, "NodeIdentityDrift", "NodeOutOfSupport")
}
