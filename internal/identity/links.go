package identity

import (
	"encoding/binary"
	"errors"
	"maps"
	"net"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// From linux/rtnetlink.h.
const (
	extMask   = unix.IFLA_EXT_MASK
	skipStats = 1 << 3 // RTEXT_FILTER_SKIP_STATS: counters, which are added up over all processors
)

// readLinks asks for the interfaces that are named and for those of addresses and default
// routes, one by one: a node has hundreds more, of pods, and a list of them is stale before
// it has been read.
func (n *network) readLinks(conn *netlink.Conn, named []string) error {
	for _, index := range n.linksInUse() {
		if err := n.readLink(conn, index); err != nil {
			return err
		}
	}
	for _, name := range named {
		if _, known := n.named(name); known || name == "" || len(name) >= unix.IFNAMSIZ {
			continue
		}
		if err := n.readLink(conn, 0, netlink.Attribute{Type: unix.IFLA_IFNAME, Data: append([]byte(name), 0)}); err != nil {
			return err
		}
	}
	return nil
}

// linksInUse are the interfaces of addresses and default routes. Each end of a pod has an
// address of its own link, which is no node's.
func (n *network) linksInUse() []int {
	used := map[int]bool{}
	for _, r := range n.defaults {
		used[r.link] = true
	}
	for _, a := range n.addresses {
		if !a.prefix.Addr().IsLinkLocalUnicast() {
			used[a.link] = true
		}
	}
	delete(used, 0) // of a route that leads nowhere
	return slices.Sorted(maps.Keys(used))
}

// readLink keeps one interface, unless it is gone.
func (n *network) readLink(conn *netlink.Conn, index int, more ...netlink.Attribute) error {
	request := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(request[4:], uint32(index))
	attributes, err := netlink.MarshalAttributes(append(more, netlink.Attribute{Type: extMask, Data: binary.NativeEndian.AppendUint32(nil, skipStats)}))
	if err != nil {
		return err
	}
	answers, err := conn.Execute(netlink.Message{Header: netlink.Header{Type: unix.RTM_GETLINK, Flags: netlink.Request}, Data: append(request, attributes...)})
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	for _, m := range answers {
		if err := n.takeLink(m); err != nil {
			return err
		}
	}
	return err
}

func (n *network) takeLink(m netlink.Message) error {
	ad, err := attributes(m, unix.SizeofIfInfomsg)
	if err != nil || m.Header.Type != unix.RTM_NEWLINK {
		return err
	}
	l := link{index: int(int32(binary.NativeEndian.Uint32(m.Data[4:])))}
	for ad.Next() {
		switch ad.Type() {
		case unix.IFLA_IFNAME:
			l.name = ad.String()
		case unix.IFLA_ADDRESS:
			l.mac = net.HardwareAddr(ad.Bytes()).String()
		case unix.IFLA_MTU:
			l.mtu = int(ad.Uint32())
		}
	}
	n.links = append(n.links, l)
	return ad.Err()
}
