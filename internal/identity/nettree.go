package identity

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	maxTable      = 16 << 20
	maxInterfaces = 10_000
	maxSmall      = 64 << 10
	leases        = "/run/systemd/netif/leases"
)

// readTree reads what the files of a tree that stands in for a host tell of its
// network: of IPv4 and its main table alone. A tree without them has no network.
func readTree(root *host.Root) *network {
	n := &network{}
	names, err := root.ReadDir("/sys/class/net", maxInterfaces)
	if err != nil {
		return n
	}
	for i, name := range names {
		mtu, _ := strconv.Atoi(firstLine(root, "/sys/class/net/"+name+"/mtu"))
		n.links = append(n.links, link{index: i + 1, name: name, mac: firstLine(root, "/sys/class/net/"+name+"/address"), mtu: mtu})
	}
	subnets := n.readRoutes(text(root, "/proc/1/net/route", "/proc/net/route"))
	n.sort()
	n.readLocal(text(root, "/proc/1/net/fib_trie", "/proc/net/fib_trie"), subnets, leased(root))
	return n
}

// subnet is a network that an interface is in.
type subnet struct {
	prefix netip.Prefix
	link   int
}

// readRoutes reads /proc/net/route: interface, destination, gateway, flags, two
// counters, metric, mask.
func (n *network) readRoutes(table string) (subnets []subnet) {
	for line := range strings.Lines(table) {
		f := strings.Fields(line)
		if len(f) < 8 {
			continue
		}
		l, known := n.named(f[0])
		destination, err := hexAddr(f[1])
		mask, errMask := hexAddr(f[7])
		if !known || err != nil || errMask != nil {
			continue
		}
		gateway, _ := hexAddr(f[2])
		if gateway.IsUnspecified() {
			gateway = netip.Addr{}
		}
		switch {
		case destination.IsUnspecified() && mask.IsUnspecified():
			metric, _ := strconv.ParseUint(f[6], 10, 32)
			n.defaults = append(n.defaults, route{metric: uint32(metric), gateway: gateway, link: l.index})
		case !gateway.IsValid():
			subnets = append(subnets, subnet{netip.PrefixFrom(destination, ones(mask)), l.index})
		}
	}
	return subnets
}

// hexAddr reads an address as /proc/net/route has it: in the order of a little-endian host.
func hexAddr(s string) (netip.Addr, error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 4 {
		return netip.Addr{}, fmt.Errorf("%q is no address", s)
	}
	slices.Reverse(b)
	return netip.AddrFrom4([4]byte(b)), nil
}

func ones(mask netip.Addr) int {
	b := mask.As4()
	n := 0
	for m := binary.BigEndian.Uint32(b[:]); m&(1<<31) != 0; m <<= 1 {
		n++
	}
	return n
}

// readLocal reads /proc/net/fib_trie, whose leaves "|-- ADDRESS" are followed by
// "/32 host LOCAL" for the host's own addresses.
func (n *network) readLocal(trie string, subnets []subnet, leased []netip.Addr) {
	var leaf netip.Addr
	for line := range strings.Lines(trie) {
		line = strings.TrimSpace(line)
		if text, ok := strings.CutPrefix(line, "|-- "); ok {
			leaf, _ = netip.ParseAddr(text)
		}
		if line != "/32 host LOCAL" || !leaf.IsValid() {
			continue
		}
		for _, s := range subnets {
			a := address{prefix: netip.PrefixFrom(leaf, s.prefix.Bits()), link: s.link, permanent: !slices.Contains(leased, leaf)}
			if s.prefix.Contains(leaf) && !slices.Contains(n.addresses, a) {
				n.addresses = append(n.addresses, a)
			}
		}
	}
}

// leased are the addresses that systemd-networkd has leases for.
func leased(root *host.Root) (out []netip.Addr) {
	names, _ := root.ReadDir(leases, maxInterfaces)
	for _, name := range names {
		for line := range strings.Lines(text(root, leases+"/"+name)) {
			if value, ok := strings.CutPrefix(strings.TrimSpace(line), "ADDRESS="); ok {
				if ip, err := netip.ParseAddr(value); err == nil {
					out = append(out, ip)
				}
			}
		}
	}
	return out
}

// text is the first of the files that is there; "" where none is.
func text(root *host.Root, names ...string) string {
	for _, name := range names {
		if data, err := root.ReadFile(name, maxTable); err == nil {
			return string(data)
		}
	}
	return ""
}

// firstLine is the first line of a small file; "" where there is none.
func firstLine(root *host.Root, name string) string {
	data, err := root.ReadFile(name, maxSmall)
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSpace(line)
}
