package firewall

import (
	"path"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// TunnelTier is the tier of tunnels.
const TunnelTier = "tunnel"

// tunnelSubject is what cannot be looked at where interfaces cannot.
const tunnelSubject = "network interfaces"

const (
	netClass    = "/sys/class/net"
	maxLinks    = 100_000
	maxLinkFile = 4 << 10
)

// tunnel is a network interface that leads into a tunnel.
type tunnel struct{ name, kind string }

// fallbacks are the interfaces that every network namespace has once the kernel has
// loaded the module; nobody made them.
var fallbacks = []string{"tunl0", "sit0", "gre0", "gretap0", "erspan0", "ip6tnl0", "ip6gre0", "ip_vti0", "ip6_vti0"}

// hardware types of tunnels, as linux/if_arp.h numbers them.
var tunnelTypes = map[string]string{"768": "ipip", "769": "ip6tnl", "776": "sit", "778": "gre", "823": "ip6gre"}

// readTunnels lists the tunnels that sysfs shows. Without it there are none to see.
func readTunnels(root *host.Root) ([]tunnel, error) {
	names, err := root.ReadDir(netClass, maxLinks)
	if absent(err) {
		return nil, nil
	}
	var out []tunnel
	for _, name := range names {
		if kind := tunnelKind(root, path.Join(netClass, name)); kind != "" && !slices.Contains(fallbacks, name) {
			out = append(out, tunnel{name, kind})
		}
	}
	return out, err
}

// tunnelKind is "" of an interface that is no tunnel, or gone meanwhile.
func tunnelKind(root *host.Root, dir string) string {
	uevent, err := root.ReadFile(dir+"/uevent", maxLinkFile)
	if err != nil {
		return ""
	}
	if slices.Contains(strings.Fields(string(uevent)), "DEVTYPE=wireguard") {
		return "wireguard"
	}
	if root.Exists(dir + "/tun_flags") {
		return "tun"
	}
	number, err := root.ReadFile(dir+"/type", maxLinkFile)
	if err != nil {
		return ""
	}
	return tunnelTypes[strings.TrimSpace(string(number))]
}

// tunnelled adds the tunnels that are nobody's.
func (j *judgement) tunnelled() {
	for _, t := range j.tunnels {
		if !j.rule.ignores(t.name) {
			j.add(TunnelTier, drift.Finding{Subject: "interface " + drift.Printable(t.name), Observed: t.kind + " tunnel", Supported: "no tunnel"})
		}
	}
}
