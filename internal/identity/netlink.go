package identity

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// patience is how long the kernel has to answer.
const patience = 2 * time.Second

// receiveBuffer is as much as the kernel says at once: with it nobody has to ask for the
// size of a message first.
const receiveBuffer = 32 << 10

// readNetlink asks the kernel about this network namespace, where it is the host's. Of the
// interfaces it keeps those that are named, and those of addresses and default routes.
func readNetlink(ctx context.Context, root *host.Root, named []string) (*network, error) {
	if err := root.CheckNetwork(); err != nil {
		return nil, err
	}
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{MessageBufferSize: receiveBuffer})
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink: %w", err)
	}
	defer conn.Close()
	// With it the kernel leaves out other routing tables; before Linux 4.20 it does not.
	_ = conn.SetOption(netlink.GetStrictCheck, true)
	deadline := time.Now().Add(patience)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, fmt.Errorf("limit rtnetlink: %w", err)
	}
	n := &network{}
	return n, n.read(conn, named)
}

func (n *network) read(conn *netlink.Conn, named []string) error {
	if err := dump(conn, unix.RTM_GETADDR, make([]byte, unix.SizeofIfAddrmsg), n.takeAddress); err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	if err := n.readDefaults(conn, unix.RT_TABLE_MAIN, n.takeDefault); err != nil {
		return fmt.Errorf("list routes: %w", err)
	}
	n.sort()
	if err := n.readLinks(conn, named); err != nil {
		return fmt.Errorf("ask for interfaces: %w", err)
	}
	if err := dump(conn, unix.RTM_GETRULE, make([]byte, ruleHeader), n.takeRule); err != nil {
		return fmt.Errorf("list rules: %w", err)
	}
	for i := range n.tables {
		t := &n.tables[i]
		if err := n.readDefaults(conn, t.id, func(m netlink.Message) error { return t.take(m) }); err != nil {
			return fmt.Errorf("list routes of table %d: %w", t.id, err)
		}
	}
	return nil
}

// readDefaults lists the routes of one table, of both families.
func (n *network) readDefaults(conn *netlink.Conn, table uint32, take func(netlink.Message) error) error {
	for _, family := range []byte{unix.AF_INET, unix.AF_INET6} {
		request := make([]byte, unix.SizeofRtMsg)
		request[0] = family
		attributes, err := netlink.MarshalAttributes([]netlink.Attribute{{Type: unix.RTA_TABLE, Data: binary.NativeEndian.AppendUint32(nil, table)}})
		if err != nil {
			return err
		}
		err = dump(conn, unix.RTM_GETROUTE, append(request, attributes...), take)
		// A kernel without IPv6 has no routes of it, and one without a table says so.
		if err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EAFNOSUPPORT) {
			return err
		}
	}
	return nil
}

// attempts is how often a list is asked for that changes while it is read.
const attempts = 3

func dump(conn *netlink.Conn, kind netlink.HeaderType, request []byte, take func(netlink.Message) error) error {
	var answers []netlink.Message
	for range attempts {
		var err error
		answers, err = conn.Execute(netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request | netlink.Dump}, Data: request})
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(answers, func(m netlink.Message) bool { return m.Header.Flags&netlink.DumpInterrupted != 0 }) {
			break
		}
	}
	for _, m := range answers {
		if err := take(m); err != nil {
			return err
		}
	}
	return nil
}

var errShort = errors.New("the kernel's answer is too short")

// attributes decodes what follows a header of this size.
func attributes(m netlink.Message, header int) (*netlink.AttributeDecoder, error) {
	if len(m.Data) < header {
		return nil, errShort
	}
	return netlink.NewAttributeDecoder(m.Data[header:])
}

// unsteadyFlags are those of privacy addresses and of ones that come or go.
const unsteadyFlags = unix.IFA_F_TEMPORARY | unix.IFA_F_DEPRECATED | unix.IFA_F_TENTATIVE | unix.IFA_F_DADFAILED

func (n *network) takeAddress(m netlink.Message) error {
	ad, err := attributes(m, unix.SizeofIfAddrmsg)
	if err != nil || m.Header.Type != unix.RTM_NEWADDR {
		return err
	}
	flags := uint32(m.Data[2])
	var own, local []byte
	for ad.Next() {
		switch ad.Type() {
		case unix.IFA_ADDRESS:
			own = ad.Bytes()
		case unix.IFA_LOCAL: // of a point-to-point link, whose IFA_ADDRESS is the peer's
			local = ad.Bytes()
		case unix.IFA_FLAGS:
			flags = ad.Uint32()
		}
	}
	if local != nil {
		own = local
	}
	if ip, ok := netip.AddrFromSlice(own); ok && m.Data[0] != unix.AF_UNSPEC {
		if m.Data[0] == unix.AF_INET {
			flags &^= unix.IFA_F_TEMPORARY // the same bit means secondary there
		}
		n.addresses = append(n.addresses, address{
			prefix: netip.PrefixFrom(ip, int(m.Data[1])), link: int(binary.NativeEndian.Uint32(m.Data[4:])),
			permanent: flags&unix.IFA_F_PERMANENT != 0, unsteady: flags&unsteadyFlags != 0,
		})
	}
	return ad.Err()
}

func (n *network) takeDefault(m netlink.Message) error {
	r, table, err := parseDefault(m)
	if err != nil || table != unix.RT_TABLE_MAIN {
		return err
	}
	n.defaults = append(n.defaults, r)
	return nil
}

func (t *table) take(m netlink.Message) error {
	r, table, err := parseDefault(m)
	t.hasDefault = t.hasDefault || err == nil && table == t.id && r.ipv6 == t.ipv6
	return err
}

// parseDefault returns a default route with its table; table 0 is no default route.
func parseDefault(m netlink.Message) (r route, table uint32, err error) {
	ad, err := attributes(m, unix.SizeofRtMsg)
	if err != nil || m.Header.Type != unix.RTM_NEWROUTE {
		return r, 0, err
	}
	family, length, kind := m.Data[0], m.Data[1], m.Data[7]
	if length != 0 || kind != unix.RTN_UNICAST || family != unix.AF_INET && family != unix.AF_INET6 {
		return r, 0, nil
	}
	r.ipv6, table = family == unix.AF_INET6, uint32(m.Data[4])
	for ad.Next() {
		switch ad.Type() {
		case unix.RTA_TABLE:
			table = ad.Uint32()
		case unix.RTA_PRIORITY:
			r.metric = ad.Uint32()
		case unix.RTA_PREFSRC:
			r.source, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_GATEWAY:
			r.gateway, _ = netip.AddrFromSlice(ad.Bytes())
		case unix.RTA_OIF:
			r.link = int(ad.Uint32())
		case unix.RTA_MULTIPATH:
			r.firstHop(ad.Bytes())
		}
	}
	return r, table, ad.Err()
}

// nextHopHeader is struct rtnexthop: length, flags, hops, interface.
const nextHopHeader = 8

// firstHop takes the first of several ways, which stands for all of them.
func (r *route) firstHop(data []byte) {
	if len(data) < nextHopHeader {
		return
	}
	r.link = int(binary.NativeEndian.Uint32(data[4:]))
	end := min(int(binary.NativeEndian.Uint16(data)), len(data))
	ad, err := netlink.NewAttributeDecoder(data[nextHopHeader:max(end, nextHopHeader)])
	for err == nil && ad.Next() {
		if ad.Type() == unix.RTA_GATEWAY {
			r.gateway, _ = netip.AddrFromSlice(ad.Bytes())
		}
	}
}

// From linux/fib_rules.h.
const (
	ruleHeader  = 12
	ruleSource  = 2  // FRA_SRC
	ruleTable   = 15 // FRA_TABLE
	ruleToTable = 1  // FR_ACT_TO_TBL
)

// takeRule keeps the table that a single address is sent to which is not the host's.
func (n *network) takeRule(m netlink.Message) error {
	ad, err := attributes(m, ruleHeader)
	if err != nil || m.Header.Type != unix.RTM_NEWRULE {
		return err
	}
	t := table{id: uint32(m.Data[4]), ipv6: m.Data[0] == unix.AF_INET6}
	var source netip.Addr
	for ad.Next() {
		switch ad.Type() {
		case ruleTable:
			t.id = ad.Uint32()
		case ruleSource:
			source, _ = netip.AddrFromSlice(ad.Bytes())
		}
	}
	single := source.IsValid() && int(m.Data[2]) == source.BitLen()
	_, own := n.holds(source)
	builtIn := t.id == unix.RT_TABLE_UNSPEC || t.id >= unix.RT_TABLE_DEFAULT && t.id <= unix.RT_TABLE_LOCAL
	if single && !own && !builtIn && m.Data[7] == ruleToTable && !slices.Contains(n.tables, t) {
		n.tables = append(n.tables, t)
	}
	return ad.Err()
}
