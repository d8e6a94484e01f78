package identity

import (
	"context"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/node"
)

func open(t testing.TB, dir string) *host.Root {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func bound(rules ...Rule) (out []drift.Bound[Rule]) {
	for _, r := range rules {
		out = append(out, drift.Bound[Rule]{Operation: "op", Rule: r})
	}
	return out
}

// recorded lets a check look and returns one that compares with it.
func recorded(t testing.TB, root *host.Root, nodes *node.Source, rules ...Rule) *Check {
	t.Helper()
	o := New(root, bound(rules...), nodes, nil).Observe(t.Context(), nil)
	if len(o.Gaps) > 0 {
		t.Fatalf("gaps: %+v", o.Gaps)
	}
	c := New(root, bound(rules...), nodes, baseline.ScopeOf(o.Facts, o.Gaps))
	c.pause = atOnce
	return c
}

// atOnce is a pause in which nothing happens.
func atOnce(context.Context, time.Duration) bool { return true }

// said are the findings in short.
func said(o drift.Observation) (out []string) {
	for _, f := range o.Findings {
		out = append(out, f.Subject+" is "+f.Observed+", supported "+f.Supported)
	}
	return out
}

func ip(t *testing.T, commands ...string) {
	t.Helper()
	for _, c := range commands {
		hosttest.Run(t, "ip", strings.Fields(c)...)
	}
}

var theNetwork = Rule{Same: []Aspect{Address, DefaultRoute, Interface, MAC, LinkMTU, DHCP}}

// aNode gives the network namespace what a node has.
func aNode(t *testing.T) {
	t.Helper()
	ip(t,
		"link add eth0 address 02:00:00:00:00:01 type veth peer name gw0", "link set lo up", "link set gw0 up",
		"link set eth0 up", "address add 192.0.2.10/24 dev eth0 valid_lft 3600 preferred_lft 3600", "route add default via 192.0.2.1 dev eth0",
	)
}

func TestNetwork(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	c := recorded(t, open(t, "/"), nil, theNetwork)
	want := map[string]string{
		"address ipv4": "192.0.2.10/24 dev eth0", "default route": "via 192.0.2.1 dev eth0", "lease of the address": "dynamic",
		"primary interface": "eth0", "primary interface mac": "02:00:00:00:00:01", "primary interface mtu": "1500",
	}
	if diff := cmp.Diff(baseline.Scope(want), c.recorded); diff != "" {
		t.Fatalf("recorded:\n%s", diff)
	}
	const back = "address replace 192.0.2.10/24 dev eth0 valid_lft 3600 preferred_lft 3600"
	for _, s := range []struct {
		name         string
		change, undo []string
		want         []string
	}{
		{name: "untouched"},
		{name: "a lease renewed", change: []string{"address change 192.0.2.10/24 dev eth0 valid_lft 7200 preferred_lft 7200"}},
		{name: "a second address, as of an ENI or a virtual one",
			change: []string{"address add 192.0.2.99/32 dev eth0", "link add eth1 type veth", "address add 198.51.100.9/24 dev eth1", "link set eth1 up"},
			undo:   []string{"address del 192.0.2.99/32 dev eth0", "link del eth1"}},
		{name: "interfaces of network plugins",
			change: []string{"link add cni0 type veth", "address add 10.244.0.1/24 dev cni0", "link add nodelocaldns type veth", "address add 169.254.20.10/32 dev nodelocaldns",
				"link add kube-ipvs0 type veth", "address add 10.96.0.1/32 dev kube-ipvs0", "link add cali1 type veth", "link set cali1 up"},
			undo: []string{"link del cni0", "link del nodelocaldns", "link del kube-ipvs0", "link del cali1"}},
		{name: "a worse default route", change: []string{"route add default via 192.0.2.2 dev eth0 metric 500"}, undo: []string{"route del default metric 500"}},
		{name: "a default route as good", change: []string{"route prepend default via 192.0.2.2 dev eth0"}, undo: []string{"route del default via 192.0.2.2"}},
		{name: "a better default route", change: []string{"route replace default via 192.0.2.1 dev eth0 metric 100", "route del default metric 0", "route add default via 192.0.2.2 dev eth0 metric 50"},
			undo: []string{"route del default metric 50", "route add default via 192.0.2.1 dev eth0", "route del default metric 100"},
			want: []string{"default route is via 192.0.2.2 dev eth0, supported via 192.0.2.1 dev eth0"}},
		{name: "a global IPv6 address", change: []string{"address add 2001:db8::5/64 dev eth0"}, undo: []string{"address del 2001:db8::5/64 dev eth0"}},
		{name: "another address",
			change: []string{"address del 192.0.2.10/24 dev eth0", "address add 192.0.2.20/24 dev eth0 valid_lft 3600 preferred_lft 3600", "route replace default via 192.0.2.1 dev eth0"},
			undo:   []string{"address del 192.0.2.20/24 dev eth0", back, "route replace default via 192.0.2.1 dev eth0"},
			want:   []string{"address ipv4 is 192.0.2.20/24 dev eth0, supported 192.0.2.10/24 dev eth0"}},
		{name: "the address of the node is a Service's now",
			change: []string{"link add kube-ipvs0 type veth", "address del 192.0.2.10/24 dev eth0", "address add 192.0.2.10/32 dev kube-ipvs0"},
			undo:   []string{"link del kube-ipvs0", back, "route replace default via 192.0.2.1 dev eth0"},
			want:   []string{"address ipv4 is absent, supported 192.0.2.10/24 dev eth0", "default route is absent, supported via 192.0.2.1 dev eth0"}},
		{name: "no default route", change: []string{"route del default"}, undo: []string{"route add default via 192.0.2.1 dev eth0"},
			want: []string{"default route is absent, supported via 192.0.2.1 dev eth0"}},
		{name: "another gateway", change: []string{"route replace default via 192.0.2.254 dev eth0"}, undo: []string{"route replace default via 192.0.2.1 dev eth0"},
			want: []string{"default route is via 192.0.2.254 dev eth0, supported via 192.0.2.1 dev eth0"}},
		{name: "another MTU", change: []string{"link set eth0 mtu 1400"}, undo: []string{"link set eth0 mtu 1500"},
			want: []string{"primary interface mtu is 1400, supported 1500"}},
		{name: "another MAC", change: []string{"link set eth0 address 02:00:00:00:00:02"}, undo: []string{"link set eth0 address 02:00:00:00:00:01"},
			want: []string{"primary interface mac is 02:00:00:00:00:02, supported 02:00:00:00:00:01"}},
		{name: "no lease", change: []string{"address change 192.0.2.10/24 dev eth0 valid_lft forever preferred_lft forever"}, undo: []string{back},
			want: []string{"lease of the address is static, supported dynamic"}},
		{name: "no interface", change: []string{"link del eth0"},
			want: []string{"address ipv4 is absent, supported 192.0.2.10/24 dev eth0", "default route is absent, supported via 192.0.2.1 dev eth0", "primary interface is absent, supported eth0"}},
	} {
		t.Run(s.name, func(t *testing.T) {
			ip(t, s.change...)
			o := c.Observe(t.Context(), nil)
			if diff := cmp.Diff(s.want, said(o)); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("-want +got\n%s%v", diff, o.Gaps)
			}
			ip(t, s.undo...)
		})
	}
}

// A DHCP client that starts anew takes its address away and puts it back.
func TestAnAddressThatComesBackIsNothing(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	c := recorded(t, open(t, "/"), nil, theNetwork)
	ip(t, "address del 192.0.2.10/24 dev eth0")
	c.pause = func(context.Context, time.Duration) bool {
		ip(t, "address add 192.0.2.10/24 dev eth0 valid_lft 3600 preferred_lft 3600", "route add default via 192.0.2.1 dev eth0")
		return true
	}
	if got := said(c.Observe(t.Context(), nil)); got != nil {
		t.Errorf("raised: %v", got)
	}
	ip(t, "route del default")
	c.pause = atOnce
	if got := said(c.Observe(t.Context(), nil)); len(got) != 1 {
		t.Fatalf("what stays away is found: %v", got)
	}
	c.pause = func(context.Context, time.Duration) bool {
		t.Error("what lasts is waited for")
		return true
	}
	if got := said(c.Observe(t.Context(), nil)); len(got) != 1 {
		t.Errorf("what stays away is found: %v", got)
	}
}

// The table of a network interface that was taken away leads nowhere, while rules
// still send pods to it.
func TestPolicyRoutes(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	ip(t,
		"link add eth1 type veth", "link set eth1 up", "address add 198.51.100.2/24 dev eth1",
		"route add default via 198.51.100.1 dev eth1 table 1003", "rule add from 198.51.100.77/32 lookup 1003", "rule add from 198.51.100.78/32 lookup 1003",
		"rule add from 198.51.100.2/32 lookup 9", // the host's own
		"rule add from 10.0.0.0/8 lookup 10",     // no single pod
		"rule add fwmark 0x80/0x80 lookup 11",
	)
	c := New(open(t, "/"), bound(Rule{PolicyRoutes: complete}), nil, nil)
	c.pause = atOnce
	if o := c.Observe(t.Context(), nil); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("with all routes: %+v", o)
	}
	ip(t, "rule del from 198.51.100.2/32 lookup 9", "link del eth1")
	want := []string{"table 1003 is no default route, though rules send pods there, supported a default route"}
	if diff := cmp.Diff(want, said(c.Observe(t.Context(), nil))); diff != "" {
		t.Error(diff)
	}
	ip(t, "rule del from 198.51.100.77/32 lookup 1003", "rule del from 198.51.100.78/32 lookup 1003") // its pods are gone: it was idle
	if got := said(c.Observe(t.Context(), nil)); got != nil {
		t.Errorf("of an idle interface: %v", got)
	}
}

func TestMTUOfABond(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := New(open(t, "/"), bound(Rule{MTU: &MTU{Interface: "bond0", Is: 1500}}), nil, nil)
	c.pause = atOnce
	if got := said(c.Observe(t.Context(), nil)); got != nil {
		t.Errorf("without a bond: %v", got)
	}
	ip(t, "link add bond0 type veth", "link set bond0 mtu 9000")
	if diff := cmp.Diff([]string{"mtu of bond0 is 9000, supported 1500"}, said(c.Observe(t.Context(), nil))); diff != "" {
		t.Error(diff)
	}
}

// Another network namespace answers about itself: that is a gap, and what was
// recorded stays.
func TestForeignNamespaces(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	c := recorded(t, open(t, "/"), nil, theNetwork, Rule{Same: []Aspect{Hostname}}, Rule{PolicyRoutes: complete}, Rule{MTU: &MTU{Interface: "bond0", Is: 1500}})
	seen := make(chan drift.Observation)
	go observeElsewhere(t, c, seen)
	o := <-seen
	if len(o.Findings) > 0 {
		t.Errorf("found in a foreign namespace: %v", said(o))
	}
	var blind []string
	for _, g := range o.Gaps {
		blind = append(blind, g.Subject)
	}
	if diff := cmp.Diff([]string{"address ipv4", "default route", "hostname", "lease of the address", "mtu of bond0", primary, primaryMAC, primaryMTU, "table"}, blind); diff != "" {
		t.Errorf("gaps: %s", diff)
	}
	if diff := cmp.Diff(c.recorded, baseline.ScopeOf(o.Facts, nil)); diff != "" {
		t.Errorf("facts: %s", diff)
	}
}

// observeElsewhere looks from a thread with namespaces of its own, which ends with it.
// The first thread is left alone: it is pid 1.
func observeElsewhere(t *testing.T, c *Check, seen chan<- drift.Observation) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		go observeElsewhere(t, c, seen)
		select {} // keep the first thread
	}
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWUTS); err != nil {
		t.Error(err)
	}
	if err := unix.Sethostname([]byte("another")); err != nil {
		t.Error(err)
	}
	seen <- c.Observe(t.Context(), nil)
}

// The kernel is asked only for what the kubelet would be known by: a privacy address
// is none.
func TestSourceOfADefaultRoute(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Sysctl(t, "net/ipv6/conf/all/disable_ipv6", "0")
	ip(t, "link add eth0 type veth peer name gw0", "link set gw0 up", "link set eth0 up",
		"address add 2001:db8::bad/64 dev eth0 nodad preferred_lft 0", "address add 2001:db8::5/64 dev eth0 nodad", "address add 2001:db8::bae/64 dev eth0 nodad preferred_lft 0", "route add default via 2001:db8::1 dev eth0")
	n, err := readNetlink(context.Background(), open(t, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := n.preferred()
	a, found := n.source(r)
	if !ok || !found || a.prefix.String() != "2001:db8::5/64" || n.say(r) != "dev eth0" {
		t.Errorf("route %+v %t, address %+v %t", r, ok, a, found)
	}
}

func TestInterfaceNamesAreAsTheKernelHasThem(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	n, err := readNetlink(context.Background(), open(t, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	want, err := net.InterfaceByName("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := n.named("eth0"); !ok || got.index != want.Index || got.mac != want.HardwareAddr.String() || got.mtu != want.MTU {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A node has hundreds of interfaces of pods: only those are asked for that can matter.
func TestInterfacesOfPodsAreNotAskedFor(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	aNode(t)
	ip(t, "link add cali1 type veth peer name lxc1", "link set cali1 up", "link set lxc1 up", "address add fe80::ecee:eeff:feee:eeee/64 dev cali1 nodad",
		"link add named type veth peer name used", "address add 192.0.2.77/32 dev used")
	n, err := readNetlink(context.Background(), open(t, "/"), []string{"named", "gone", "", "longer-than-a-name-can-be"})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]bool{"eth0": true, "named": true, "used": true, "cali1": false, "lxc1": false, "gone": false} {
		if _, known := n.named(name); known != want {
			t.Errorf("%s is known: %t", name, known)
		}
	}
}
