package firewall

import (
	"slices"
	"testing"

	"github.com/google/nftables/expr"
	"github.com/google/nftables/xt"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const portRule = `
services: [iptables, netfilter-persistent]
redirects: [10250]
ignore: [KUBE-*]
`

// A port is redirected in the kernel, by either backend, or will be after the boot.
func TestRedirectsInTheKernel(t *testing.T) {
	t.Setenv(ruleVariable, portRule)
	by := func(table string) []string {
		return []string{"port 10250: redirected by " + table + ", supported not redirected [enforcing active]"}
	}
	portmap := `
$IPT -t nat -N CNI-HOSTPORT-DNAT; $IPT -t nat -N CNI-DN-1
$IPT -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
$IPT -t nat -A CNI-HOSTPORT-DNAT -p tcp --dport 10250 -j CNI-DN-1
$IPT -t nat -A CNI-DN-1 -p tcp --dport 10250 -j DNAT --to-destination 10.0.0.9:80
`
	others := `
$IPT -t nat -N KUBE-SEP-1
$IPT -t nat -A PREROUTING -j KUBE-SEP-1
$IPT -t nat -A KUBE-SEP-1 -p tcp --dport 10250 -j DNAT --to-destination 10.0.0.9:10250
$IPT -t nat -A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.0.0.9:10250
$IPT -t nat -A PREROUTING -p tcp ! --dport 10250 -d 192.0.2.1 -j DNAT --to-destination 10.0.0.9
$IPT -t nat -A PREROUTING -p tcp --dport 10250 -j RETURN
$IPT -A INPUT -p tcp --dport 10250 -j DROP
`
	for name, c := range map[string]struct {
		script string
		want   []string
	}{
		"hostPort, nft":     {withNFT(portmap), by("nftables table ip nat")},
		"hostPort, legacy":  {withLegacy(portmap), by("iptables-legacy table nat")},
		"a range":           {withLegacy("$IPT -t nat -A PREROUTING -p udp --dport 10000:11000 -j REDIRECT --to-ports 1"), by("iptables-legacy table nat")},
		"native":            {"nft 'add table inet t; add chain inet t c { type nat hook prerouting priority dstnat; }; add rule inet t c tcp dport 10250 dnat ip to 10.0.0.9'", by("nftables table inet t")},
		"what else, nft":    {withNFT(others), nil},
		"what else, legacy": {withLegacy(others), nil},
	} {
		t.Run(name, func(t *testing.T) {
			diff(t, c.want, onHost(t, nil, c.script))
		})
	}
}

// Older iptables-nft leaves the matches to xtables.
func TestRedirectsOfXtablesMatches(t *testing.T) {
	dnat := &expr.Target{Name: "DNAT"}
	only := [2]uint16{10250, 10250}
	for name, c := range map[string]struct {
		exprs []expr.Any
		want  []ports
	}{
		"tcp":           {[]expr.Any{&expr.Match{Name: "tcp", Info: &xt.Tcp{DstPorts: only}}, dnat}, []ports{{10250, 10250}}},
		"udp":           {[]expr.Any{&expr.Match{Name: "udp", Info: &xt.Udp{DstPorts: only}}, dnat}, []ports{{10250, 10250}}},
		"tcp, inverted": {[]expr.Any{&expr.Match{Name: "tcp", Info: &xt.Tcp{DstPorts: only, InvFlags: xt.TcpInvDestPorts}}, dnat}, nil},
		"udp, inverted": {[]expr.Any{&expr.Match{Name: "udp", Info: &xt.Udp{DstPorts: only, InvFlags: xt.UdpInvDestPorts}}, dnat}, nil},
		"any port":      {[]expr.Any{&expr.Match{Name: "tcp", Info: &xt.Tcp{DstPorts: [2]uint16{0, 65535}}}, dnat}, nil},
		"no DNAT":       {[]expr.Any{&expr.Match{Name: "tcp", Info: &xt.Tcp{DstPorts: only}}, &expr.Target{Name: "LOG"}}, nil},
	} {
		if got := nftRedirect(c.exprs); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestRedirectsAtBoot(t *testing.T) {
	t.Setenv(ruleVariable, portRule)
	saves := func(rule string) map[string]string {
		return map[string]string{
			"usr/sbin/netfilter-persistent": "", "usr/lib/systemd/system/netfilter-persistent.service": "[Service]\n",
			"etc/systemd/system/multi-user.target.wants/netfilter-persistent.service": "->/usr/lib/systemd/system/netfilter-persistent.service",
			"etc/iptables/rules.v4": "*nat\n:PREROUTING ACCEPT [0:0]\n" + rule + "\nCOMMIT\n",
		}
	}
	want := []string{"port 10250: redirected by the rules that netfilter-persistent.service loads, supported not redirected [enabled pending]"}
	for rule, want := range map[string][]string{
		"-A PREROUTING -p tcp -m tcp --dport 10250 -j DNAT --to-destination 10.0.0.9:80":                 want,
		"-A PREROUTING -p tcp -m multiport --dports 80,10000:11000 -j DNAT --to-destination 10.0.0.9:80": want,
		"-A PREROUTING -p tcp -m tcp ! --dport 10250 -j DNAT --to-destination 10.0.0.9:80":               nil,
		"-A PREROUTING -p tcp -m tcp --dport 10250 -j ACCEPT":                                            nil,
		"-A KUBE-X -p tcp -m tcp --dport 10250 -j DNAT --to-destination 10.0.0.9:80":                     nil,
	} {
		dir := t.TempDir()
		tree(t, dir, saves(rule))
		diff(t, want, lines(observe(t, dir)))
	}
}

func TestTunnels(t *testing.T) {
	dir := t.TempDir()
	link := func(name, kind, uevent string) {
		tree(t, dir, map[string]string{
			"sys/devices/virtual/net/" + name + "/type": kind, "sys/devices/virtual/net/" + name + "/uevent": "INTERFACE=" + name + "\n" + uevent,
			"sys/class/net/" + name: "->../../devices/virtual/net/" + name,
		})
	}
	link("eth0", "1\n", "")
	link("lo", "772\n", "")
	link("tunl0", "768\n", "")
	link("vxlan0", "1\n", "DEVTYPE=vxlan\n")
	link("wireguard.cali", "65534\n", "DEVTYPE=wireguard\n")
	link("wg0", "65534\n", "DEVTYPE=wireguard\n")
	link("gre1", "778\n", "")
	link("tun3", "65534\n", "")
	tree(t, dir, map[string]string{"sys/devices/virtual/net/tun3/tun_flags": "0x1001\n"})
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	check := New(root, []drift.Bound[Rule]{{Operation: "aks.net.custom", Rule: Rule{Tunnels: true, Ignore: []string{"wireguard.cali"}}}})
	diff(t, []string{
		"interface gre1: gre tunnel, supported no tunnel [tunnel active]",
		"interface tun3: tun tunnel, supported no tunnel [tunnel active]",
		"interface wg0: wireguard tunnel, supported no tunnel [tunnel active]",
	}, lines(check.Observe(t.Context(), nil)))
}
