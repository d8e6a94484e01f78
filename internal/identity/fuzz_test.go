package identity

import (
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

func FuzzMessages(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWLINK), []byte("\x00\x00\x01\x00\x02\x00\x00\x00\x43\x10\x01\x00\x00\x00\x00\x00\x09\x00\x03\x00eth0\x00\x00\x00\x00"))
	f.Add(uint16(unix.RTM_NEWADDR), []byte("\x02\x18\x80\x00\x02\x00\x00\x00\x08\x00\x02\x00\xc0\x00\x02\x0a"))
	f.Add(uint16(unix.RTM_NEWROUTE), []byte("\x02\x00\x00\x00\xfe\x03\x00\x01\x00\x00\x00\x00\x08\x00\x05\x00\xc0\x00\x02\x01\x0c\x00\x09\x00\x08\x00\x00\x00\x02\x00\x00\x00"))
	f.Add(uint16(unix.RTM_NEWRULE), []byte("\x02\x00\x20\x00\x00\x00\x00\x01\x00\x00\x00\x00\x08\x00\x02\x00\x0a\x00\x00\x01\x08\x00\x0f\x00\xeb\x03\x00\x00"))
	f.Fuzz(func(t *testing.T, kind uint16, data []byte) {
		m := netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(kind)}, Data: data}
		n := &network{}
		for _, take := range []func(netlink.Message) error{n.takeLink, n.takeAddress, n.takeDefault, n.takeRule} {
			_ = take(m)
		}
		matters(m)
		for _, r := range n.defaults {
			n.say(r)
			n.source(r)
		}
	})
}

func FuzzFiles(f *testing.F) {
	f.Add(aMachine["proc/net/route"], aMachine["proc/net/fib_trie"], "0-3,8")
	f.Fuzz(func(t *testing.T, routes, trie, cpus string) {
		n := &network{links: []link{{index: 1, name: "eth0"}}}
		n.readLocal(trie, n.readRoutes(routes), nil)
		for _, a := range n.addresses {
			if !a.prefix.IsValid() || !a.prefix.Addr().Is4() {
				t.Errorf("address %v", a)
			}
		}
		cpuCount(cpus)
		memTotal(routes)
		host.HostnameIn(trie)
	})
}
