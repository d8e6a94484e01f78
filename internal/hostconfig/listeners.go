package hostconfig

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const maxNet = 16 << 20

// listeners tell how far a TCP port that the host listens on can be reached: on a
// public address of its own or not. What a provider translates in front of the
// host does not show here.
func (l *look) listeners(_ Rule, port string) *table {
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return faulty("port "+port, &fault{"not a port: " + drift.Printable(port), ""})
	}
	t := newTable("")
	t.area = "port " + port
	t.owns = func(subject string) bool { return subject == t.area }
	sockets, found, err := l.listening(uint16(number))
	switch {
	case err != nil:
		t.fault = faultOf("/proc/1/net", err)
		return t
	case !found && !l.root.Live():
		return skipped()
	case len(sockets) == 0:
		return t
	}
	own, err := l.ownAddresses()
	if err != nil {
		t.fault = faultOf("/proc/1/net", err)
		return t
	}
	t.entries[t.area] = entry{value: reach(sockets, own), want: "private addresses only"}
	return t
}

// listening are the addresses that the port is listened on at.
func (l *look) listening(port uint16) (out []netip.Addr, found bool, err error) {
	for _, name := range []string{"/proc/1/net/tcp", "/proc/1/net/tcp6"} {
		data, err := l.root.ReadFile(name, maxNet)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, found, &fileError{name, err}
		}
		found = true
		for _, s := range parseListeners(data) {
			if s.Port() == port {
				out = append(out, s.Addr())
			}
		}
	}
	return out, found, nil
}

// parseListeners are the sockets of /proc/net/tcp in the state LISTEN.
func parseListeners(data []byte) []netip.AddrPort {
	var out []netip.AddrPort
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 4 || fields[3] != "0A" {
			continue
		}
		address, port, ok := strings.Cut(fields[1], ":")
		addr, good := hexAddr(address)
		number, err := strconv.ParseUint(port, 16, 16)
		if ok && good && err == nil {
			out = append(out, netip.AddrPortFrom(addr, uint16(number)))
		}
	}
	return out
}

// hexAddr reads an address of /proc/net: words of 32 bits in the host's byte order.
func hexAddr(text string) (netip.Addr, bool) {
	raw, err := hex.DecodeString(text)
	if err != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.Addr{}, false
	}
	if littleEndian {
		for i := 0; i < len(raw); i += 4 {
			slices.Reverse(raw[i : i+4])
		}
	}
	addr, ok := netip.AddrFromSlice(raw)
	return addr.Unmap(), ok
}

// ownAddresses are the host's own: of IPv4 those that the kernel's routes call
// local, of IPv6 those of its interfaces.
func (l *look) ownAddresses() ([]netip.Addr, error) {
	var out []netip.Addr
	for name, parse := range map[string]func([]byte) []netip.Addr{
		"/proc/1/net/fib_trie": parseFibTrie, "/proc/1/net/if_inet6": parseInet6,
	} {
		data, err := l.root.ReadFile(name, maxNet)
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, &fileError{name, err}
		}
		out = append(out, parse(data)...)
	}
	return out, nil
}

func parseFibTrie(data []byte) []netip.Addr {
	var out []netip.Addr
	var last netip.Addr
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if rest, ok := strings.CutPrefix(text, "|-- "); ok {
			last, _ = netip.ParseAddr(rest)
		} else if strings.HasPrefix(text, "/32 host LOCAL") && last.IsValid() && !slices.Contains(out, last) {
			out = append(out, last)
		}
	}
	return out
}

func parseInet6(data []byte) []netip.Addr {
	var out []netip.Addr
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 6 {
			continue
		}
		if raw, err := hex.DecodeString(fields[0]); err == nil && len(raw) == 16 {
			addr, _ := netip.AddrFromSlice(raw)
			out = append(out, addr)
		}
	}
	return out
}

// reach says whether one of the sockets is on a public address.
func reach(sockets, own []netip.Addr) string {
	for _, s := range sockets {
		if public(s) {
			return "listens on the public address " + s.String()
		}
		for _, a := range own {
			if s.IsUnspecified() && (s.Is6() || a.Is4()) && public(a) {
				return "listens on all addresses, " + a.String() + " among them"
			}
		}
	}
	return "listens on private addresses"
}

// carrierNAT is shared between a provider and its customers (RFC 6598).
func public(a netip.Addr) bool {
	carrierNAT := netip.PrefixFrom(netip.AddrFrom4([4]byte{100, 64, 0, 0}), 10)
	return a.IsGlobalUnicast() && !a.IsPrivate() && !carrierNAT.Contains(a)
}
