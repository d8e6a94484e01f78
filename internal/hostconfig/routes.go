package hostconfig

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/bits"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	routesFile = "/proc/1/net/route"

	defaultRoute  = "default"
	bridgeOverlap = "bridge-overlap"
)

// routes are the host's IPv4 routes: the default route, or each network of
// Docker's bridge that another route covers or is covered by.
func (l *look) routes(_ Rule, which string) *table {
	data, err := l.root.ReadFile(routesFile, maxNet)
	if gone(err) && !l.root.Live() {
		return skipped()
	}
	if err != nil {
		return faulty("route", faultOf(routesFile, err))
	}
	all := parseRoutes(data)
	t := newTable("route")
	if which == defaultRoute {
		for _, r := range all {
			if r.to.Bits() == 0 {
				t.entries[defaultRoute] = entry{value: present, args: map[string]string{"interface": r.device}}
			}
		}
	}
	if which == bridgeOverlap {
		for _, bridge := range all {
			if bridge.device == "docker0" && bridge.to.Bits() > 0 && !l.dead(bridge.device) {
				t.entries["docker0"] = entry{value: overlap(bridge, all), want: "no overlap with other routes"}
			}
		}
	}
	return t
}

// dead tells whether the kernel passes over the routes of an interface, as it does
// without a carrier where it is told to. Others go first all the same.
func (l *look) dead(device string) bool {
	carrier, err := l.root.ReadFile("/sys/class/net/"+device+"/carrier", maxFile)
	ignored, errIgnored := l.root.Sysctl(host.SysctlName("net/ipv4/conf/" + device + "/ignore_routes_with_linkdown"))
	return err == nil && errIgnored == nil && strings.TrimSpace(string(carrier)) == "0" && slices.Equal(ignored, []string{"1"})
}

// route is one of IPv4.
type route struct {
	device string
	to     netip.Prefix
}

// parseRoutes reads /proc/net/route: words of 32 bits in the host's byte order.
func parseRoutes(data []byte) []route {
	var out []route
	for line := range bytes.Lines(data) {
		fields := strings.Fields(string(line))
		if len(fields) < 8 {
			continue
		}
		to, ok := hexAddr(fields[1])
		mask, err := hex.DecodeString(fields[7])
		flags, _ := strconv.ParseUint(fields[3], 16, 16)
		if !ok || !to.Is4() || err != nil || len(mask) != 4 || flags&1 == 0 {
			continue
		}
		ones := bits.OnesCount32(binary.NativeEndian.Uint32(mask))
		out = append(out, route{drift.Printable(fields[0]), netip.PrefixFrom(to, ones)})
	}
	return out
}

// overlap says which other route has addresses of the bridge's network.
func overlap(bridge route, all []route) string {
	for _, r := range all {
		if r.device != bridge.device && r.to.Bits() > 0 && r.to.Overlaps(bridge.to) {
			return fmt.Sprintf("%s overlaps %s on %s", bridge.to, r.to, r.device)
		}
	}
	return "apart"
}
