package identity

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// network is what the host's network namespace has of interest.
type network struct {
	links     []link
	addresses []address
	defaults  []route // of the main table, the preferred one first
	tables    []table // that rules send pods to
}

// link is a network interface.
type link struct {
	index int
	name  string
	mac   string
	mtu   int
}

// address is one of the host's own.
type address struct {
	prefix    netip.Prefix
	link      int
	permanent bool // without a lease
	unsteady  bool // an IPv6 privacy address, or one on its way out or in
}

// route is a default route.
type route struct {
	ipv6    bool
	metric  uint32
	gateway netip.Addr // invalid where there is none
	link    int
	source  netip.Addr // preferred; mostly invalid
}

// table is a routing table that rules name for single addresses that are not the
// host's own, which are those of pods.
type table struct {
	id         uint32
	ipv6       bool
	hasDefault bool
}

// clusterIPs is the interface that holds the addresses of Services, which are no node's.
const clusterIPs = "kube-ipvs0"

func (n *network) link(index int) (link, bool) {
	i := slices.IndexFunc(n.links, func(l link) bool { return l.index == index })
	if i < 0 {
		return link{}, false
	}
	return n.links[i], true
}

func (n *network) named(name string) (link, bool) {
	i := slices.IndexFunc(n.links, func(l link) bool { return l.name == name })
	if i < 0 {
		return link{}, false
	}
	return n.links[i], true
}

// holds returns the address of the host that is this one.
func (n *network) holds(ip netip.Addr) (address, bool) {
	for _, a := range n.addresses {
		if a.prefix.Addr() != ip {
			continue
		}
		if l, _ := n.link(a.link); l.name != clusterIPs {
			return a, true
		}
	}
	return address{}, false
}

// source is the address that the host speaks with by a default route.
func (n *network) source(r route) (address, bool) {
	if r.source.IsValid() {
		return n.holds(r.source)
	}
	i := slices.IndexFunc(n.addresses, func(a address) bool {
		ip := a.prefix.Addr()
		return a.link == r.link && ip.Is6() == r.ipv6 && !a.unsteady && !ip.IsLinkLocalUnicast() && !ip.IsLoopback()
	})
	if i < 0 {
		return address{}, false
	}
	return n.addresses[i], true
}

// preferred is the default route that counts: of IPv4 where there is one.
func (n *network) preferred() (route, bool) {
	if i := slices.IndexFunc(n.defaults, func(r route) bool { return !r.ipv6 }); i >= 0 {
		return n.defaults[i], true
	}
	if len(n.defaults) == 0 {
		return route{}, false
	}
	return n.defaults[0], true
}

// say writes a route as ip(8) does. Routers of IPv6 advertise themselves and take
// turns: there the interface alone tells.
func (n *network) say(r route) string {
	var words []string
	if r.gateway.IsValid() && !r.ipv6 {
		words = append(words, "via", r.gateway.String())
	}
	l, _ := n.link(r.link)
	return strings.Join(append(words, "dev", drift.Printable(l.name)), " ")
}

// place writes an address with its interface.
func (n *network) place(a address) string {
	l, _ := n.link(a.link)
	return a.prefix.String() + " dev " + drift.Printable(l.name)
}

// family names the kind of an address.
func family(ip netip.Addr) string {
	if ip.Is4() {
		return "ipv4"
	}
	return "ipv6"
}

// sort brings default routes into the order in which the kernel prefers them.
func (n *network) sort() {
	slices.SortStableFunc(n.defaults, func(a, b route) int { return int(int64(a.metric) - int64(b.metric)) })
}
