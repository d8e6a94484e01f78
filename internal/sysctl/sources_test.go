package sysctl

import (
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

func newHostCheck(t testing.TB) *Check {
	t.Helper()
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return New(root, ackRules, "", nil)
}

// listening starts with known values, and everything armed and quiet.
func listening(t *testing.T) (*Check, *heard) {
	t.Helper()
	hosttest.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth1")
	for path, value := range map[string]string{"net/ipv4/ip_forward": "1", "net/ipv4/tcp_tw_reuse": "2", "net/ipv4/conf/all/rp_filter": "0", "net/ipv4/conf/eth0/rp_filter": "0"} {
		hosttest.Sysctl(t, path, value)
	}
	c, to := newHostCheck(t), newHeard()
	watching(t, c, to)
	first := to.await(t, "the first for everything", func(h drift.Hint) bool { return h.Subject == "" })
	if len(first) != 1 {
		t.Errorf("hints before everything was armed: %+v", first)
	}
	return c, to
}

func TestEverySourceIsArmed(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := listening(t)
	for source, want := range map[string]drift.Mode{bpfSource: drift.Event, netconfSource: drift.Event, heldSource: drift.Poll, fanotifySource: "", inotifySource: ""} {
		if m, why := to.mode(source); m != want {
			t.Errorf("%s is %q (%s), want %q", source, m, why, want)
		}
	}
	if c.PollEvery() != pollBesideEvents || c.ResyncEvery() != resync {
		t.Errorf("polls every %s, resyncs every %s", c.PollEvery(), c.ResyncEvery())
	}
	if len(to.failed) > 0 {
		t.Errorf("failed: %v", to.failed)
	}
	if groups := fanotifyGroups(t); len(groups) > 0 {
		t.Errorf("BPF serves, and there are fanotify groups: %v", groups)
	}
}

func TestWritesAreHinted(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	_, to := listening(t)
	otherMount := []string{"unshare", "--pid", "--fork", "--mount-proc"}
	for _, c := range []struct {
		name    string
		command []string
		hints   []drift.Hint // of which all come, in whatever order
	}{
		{"sysctl(8)", []string{"sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1"}, []drift.Hint{{Source: bpfSource, Subject: "net.ipv4.tcp_tw_reuse"}}},
		{"another mount of procfs", append(otherMount, "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=0"), []drift.Hint{{Source: bpfSource, Subject: "net.ipv4.tcp_tw_reuse"}}},
		{"ip_forward", []string{"sysctl", "-qw", "net.ipv4.ip_forward=0"}, []drift.Hint{
			{Source: bpfSource, Subject: "net.ipv4.ip_forward"}, {Source: netconfSource, Subject: "net.ipv4.ip_forward"},
			{Source: netconfSource, Subject: ""}, {Source: netconfSource, Subject: "net.ipv4.conf.eth0.forwarding"}}},
		{"ip_forward indirectly", []string{"sysctl", "-qw", "net.ipv4.conf.all.forwarding=1"}, []drift.Hint{
			{Source: bpfSource, Subject: "net.ipv4.ip_forward"}, {Source: netconfSource, Subject: "net.ipv4.ip_forward"}}},
		{"one interface", append(otherMount, "sysctl", "-qw", "net.ipv4.conf.eth0.rp_filter=1"), []drift.Hint{
			{Source: bpfSource, Subject: "net.ipv4.conf.eth0.rp_filter"}, {Source: netconfSource, Subject: "net.ipv4.conf.eth0.rp_filter"}}},
		{"default", []string{"sysctl", "-qw", "net.ipv4.conf.default.rp_filter=2"}, []drift.Hint{{Source: bpfSource}, {Source: netconfSource}}},
		{"reserved ports", []string{"sysctl", "-qw", "net.ipv4.ip_local_reserved_ports=30000"}, []drift.Hint{{Source: bpfSource, Subject: "net.ipv4.ip_local_port_range"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			to.now()
			hosttest.Run(t, c.command[0], c.command[1:]...)
			missing := slices.Clone(c.hints)
			to.await(t, c.name, func(h drift.Hint) bool {
				if h.Source == bpfSource && !h.Early {
					t.Errorf("not early: %+v", h)
				}
				missing = slices.DeleteFunc(missing, func(m drift.Hint) bool { return m.Source == h.Source && m.Subject == h.Subject })
				return len(missing) == 0
			})
		})
	}
}

func TestOnlyTheHostsParametersAreHinted(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := listening(t)
	hosttest.Run(t, "unshare", "--net", "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1")
	hosttest.Run(t, "unshare", "--net", "sysctl", "-qw", "net.ipv4.ip_forward=0")
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.tcp_fin_timeout=60")
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.conf.veth1.rp_filter=0")
	hosttest.Run(t, "sysctl", "-q", "net.ipv4.ip_local_port_range")
	c.Poll(to)
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 60999")
	if seen := to.await(t, "the host's own", from(bpfSource, "net.ipv4.ip_local_port_range")); len(seen) != 1 {
		t.Errorf("heard %+v", seen)
	}
}

func TestFailedWriteDoesNoHarm(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := listening(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/tcp_tw_reuse", []byte("xyz"), 0); err == nil {
		t.Fatal("the kernel takes xyz")
	}
	to.await(t, "the attempt", from(bpfSource, "net.ipv4.tcp_tw_reuse"))
	if o := c.Observe(t.Context(), []string{"net.ipv4.tcp_tw_reuse"}); len(o.Findings)+len(o.Gaps) > 0 {
		t.Errorf("got %+v", o)
	}
}

func TestInterfacesComeAndGo(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := listening(t)
	is := &isHeld{path: "net/ipv4/conf/eth7/rp_filter", now: make(chan bool, 1)}
	c.held.follow(is)
	for range 3 {
		hosttest.Run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "veth7")
		to.await(t, "a new interface", from(netconfSource, ""))
		is.await(t, true)
		hosttest.Sysctl(t, "net/ipv4/conf/eth7/rp_filter", "1")
		to.await(t, "its value", from(netconfSource, "net.ipv4.conf.eth7.rp_filter"))
		to.now()
		c.Poll(to)
		to.await(t, "its value, by reading", from(heldSource, "net.ipv4.conf.eth7.rp_filter"))
		hosttest.Run(t, "ip", "link", "delete", "eth7")
		to.await(t, "a deleted interface", from(netconfSource, ""))
		is.await(t, false)
	}
	if len(to.failed) > 0 {
		t.Errorf("failed: %v", to.failed)
	}
}

// Without netconf, reading finds that an interface is another one of its name.
func TestPollFindsReplacedInterface(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth1")
	c, to := newHostCheck(t), newHeard()
	serving(t, named(c, heldSource), to)
	hosttest.Run(t, "ip", "link", "delete", "eth0")
	hosttest.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth1")
	c.Poll(to)
	to.await(t, "the interface is gone", from(heldSource, ""))
	hosttest.Sysctl(t, "net/ipv4/conf/eth0/rp_filter", "1")
	c.Poll(to)
	to.await(t, "the new one's value", from(heldSource, "net.ipv4.conf.eth0.rp_filter"))
}

// setInterface changes a parameter of one interface by netlink: no event tells.
func setInterface(t *testing.T, name string, parameter uint16, value uint32) {
	t.Helper()
	iface, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	attributes := netlink.NewAttributeEncoder()
	attributes.Nested(unix.IFLA_AF_SPEC, func(spec *netlink.AttributeEncoder) error {
		spec.Nested(unix.AF_INET, func(inet *netlink.AttributeEncoder) error {
			const conf = 1 // IFLA_INET_CONF
			inet.Nested(conf, func(values *netlink.AttributeEncoder) error {
				values.Uint32(parameter, value)
				return nil
			})
			return nil
		})
		return nil
	})
	encoded, err := attributes.Encode()
	if err != nil {
		t.Fatal(err)
	}
	data := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(data[4:], uint32(iface.Index))
	conn, err := netlink.Dial(unix.NETLINK_ROUTE, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	m := netlink.Message{Header: netlink.Header{Type: unix.RTM_SETLINK, Flags: netlink.Request | netlink.Acknowledge}, Data: append(data, encoded...)}
	if _, err := conn.Execute(m); err != nil {
		t.Fatal(err)
	}
}

func TestPollFindsWhatNoEventTells(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := listening(t)
	const rpFilter = 8 // IPV4_DEVCONF_RP_FILTER
	setInterface(t, "eth0", rpFilter, 2)
	c.Poll(to)
	if seen := to.await(t, "by reading", from(heldSource, "net.ipv4.conf.eth0.rp_filter")); len(seen) != 1 {
		t.Errorf("an event told: %+v", seen)
	}
	c.Poll(to)
	if seen := to.now(); len(seen) > 0 {
		t.Errorf("hinted again: %+v", seen)
	}
}

func TestPollAllocatesNothing(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth1")
	c, to := newHostCheck(t), newHeard()
	serving(t, named(c, heldSource), to)
	if n := testing.AllocsPerRun(100, func() { c.Poll(to) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestInotifySurvivesDentryReclaim(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := newHostCheck(t), newHeard()
	serving(t, named(c, heldSource), to)
	serving(t, named(c, inotifySource), to)
	for range 3 {
		hosttest.Sysctl(t, "vm/drop_caches", "3")
	}
	hosttest.Run(t, "sysctl", "-qw", "net.ipv4.tcp_tw_reuse=1")
	to.await(t, "a write after reclaim", from(inotifySource, "net.ipv4.tcp_tw_reuse"))
}

// An interface that comes later is watched as well, one that is gone no longer.
func TestInotifyFollowsInterfaces(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := newHostCheck(t), newHeard()
	for _, name := range []string{heldSource, inotifySource, netconfSource} {
		serving(t, named(c, name), to)
	}
	is := &isHeld{path: "net/ipv4/conf/eth7/rp_filter", now: make(chan bool, 1)}
	c.held.follow(is) // after inotify, which watches by then
	for range 10 {
		hosttest.Run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "veth7")
		is.await(t, true)
		hosttest.Sysctl(t, "net/ipv4/conf/eth7/rp_filter", "2")
		to.await(t, "a write", from(inotifySource, "net.ipv4.conf.eth7.rp_filter"))
		hosttest.Run(t, "ip", "link", "delete", "eth7")
		is.await(t, false)
	}
}

// Between a look at an interface and its watch it may go.
func TestAnInterfaceThatIsGoneEndsNoWatch(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newHostCheck(t)
	c.held.arm()
	defer c.held.release()
	hosttest.Run(t, "ip", "link", "add", "eth7", "type", "veth", "peer", "name", "veth7")
	if err := c.hold(); err != nil {
		t.Fatal(err)
	}
	if c.held.parameters["net/ipv4/conf/eth7/rp_filter"] == nil {
		t.Fatal("the interface is not held")
	}
	hosttest.Run(t, "ip", "link", "delete", "eth7")
	for name, arm := range map[string]func(drift.Sink) (stream, error){"inotify": c.armInotify, "fanotify": c.armFanotify} {
		source, err := arm(newHeard())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_ = source.Close()
	}
	if err := c.hold(); err != nil || c.held.parameters["net/ipv4/conf/eth7/rp_filter"] != nil {
		t.Errorf("it is still held: %v", err)
	}
}

// isHeld follows whether a parameter is held.
type isHeld struct {
	path string
	now  chan bool
}

func (i *isHeld) watch(parameters map[string]*parameter) {
	select {
	case <-i.now:
	default:
	}
	i.now <- parameters[i.path] != nil
}

func (i *isHeld) await(t *testing.T, held bool) {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case now := <-i.now:
			if now == held {
				return
			}
		case <-timeout:
			t.Fatalf("%s is held: not %v within ten seconds", i.path, held)
		}
	}
}

// slow is a sink that does not take the first hint before it is told to.
type slow struct {
	*heard
	block chan struct{}
}

func (s *slow) Hint(h drift.Hint) {
	<-s.block
	s.heard.Hint(h)
}

func TestOverflowIsSaid(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	for range 20 {
		hosttest.Run(t, "ip", "link", "add", "type", "veth")
	}
	c := newHostCheck(t)
	to := &slow{heard: newHeard(), block: make(chan struct{})}
	for _, name := range []string{netconfSource, bpfSource, heldSource, inotifySource} {
		stop := named(c, name).start(t.Context(), to)
		defer stop("")
	}
	for i := range 20_000 {
		hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", []string{"0", "1"}[i%2])
		hosttest.Sysctl(t, "net/ipv4/ip_local_port_range", "32768 60999")
		if i%40 == 0 {
			hosttest.Sysctl(t, "net/ipv4/ip_forward", []string{"0", "1"}[i/40%2])
		}
	}
	close(to.block)
	lost := map[string]bool{}
	to.await(t, "an overflow of each", func(h drift.Hint) bool {
		if h.Lost && h.Subject == "" {
			lost[h.Source] = true
		}
		return len(lost) == 3
	})
	to.now()
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
	to.await(t, "netconf after the overflow", from(netconfSource, "net.ipv4.ip_forward"))
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "0")
	to.await(t, "BPF after the overflow", from(bpfSource, "net.ipv4.tcp_tw_reuse"))
}

func TestWatchFromForeignNetwork(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := hosttest.Run(t, "unshare", "--net", self, "-test.run=^TestModesHere$", "-test.v")
	for _, source := range []string{bpfSource, netconfSource, fanotifySource, inotifySource, heldSource} {
		if !strings.Contains(out, "mode "+source+" off "+host.ErrForeignNetwork.Error()) {
			t.Errorf("%s is not off: %s", source, out)
		}
	}
}

// TestModesHere is the half of other tests that watches.
func TestModesHere(t *testing.T) {
	c, to := newHostCheck(t), newHeard()
	watching(t, c, to)
	to.await(t, "the first", func(h drift.Hint) bool { return h.Subject == "" })
	for source, m := range to.modes {
		t.Logf("mode %s %s %s", source, m, to.why[source])
	}
	t.Logf("every %s", c.PollEvery())
	if m, _ := to.mode(heldSource); m != drift.Poll || os.Getenv(inside) == "" {
		return
	}
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	c.Poll(to)
	to.await(t, "by reading", from(heldSource, "net.ipv4.tcp_tw_reuse"))
	t.Log("found by reading")
}

const inside = "NODEGUARD_TEST_HOST"

func TestMissingCapabilitiesDegrade(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for caps, want := range map[string]string{
		"-all":                               "mode bpf-sysctl off the capability",
		"-all,+net_admin":                    "mode bpf-sysctl off the capability",
		"-all,+bpf,+perfmon":                 "mode bpf-sysctl off the capability",
		"-all,+bpf,+net_admin":               "PERFMON",
		"-all,+bpf,+net_admin,+perfmon":      "mode bpf-sysctl event",
		"-all,+sys_admin":                    "mode bpf-sysctl event",
		"-all,+sys_admin,+net_admin,+ptrace": "mode bpf-sysctl event",
	} {
		hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
		bounds := strings.ReplaceAll(caps, "+ptrace", "+sys_ptrace")
		out := hosttest.Run(t, "setpriv", "--inh-caps=-all", "--bounding-set="+bounds, self, "-test.run=^TestModesHere$", "-test.v")
		wants := []string{want, "mode netconf event", "mode held-sysctl poll", "every 5s", "found by reading"}
		if !strings.Contains(want, "event") {
			wants = append(wants, "mode inotify-sysctl event", "mode bpf-sysctl off", "mode fanotify-procfs off the capability SYS_ADMIN is missing")
		}
		for _, w := range wants {
			if !strings.Contains(out, w) {
				t.Errorf("with %s: no %q in %s", caps, w, out)
			}
		}
	}
}

func TestNoCgroup2(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	refuseBPF(t)
	c, to := listening(t)
	if m, why := to.mode(bpfSource); m != drift.Off || why != errNoCgroup2.Error() {
		t.Errorf("%s: %s", m, why)
	}
	if m, why := to.mode(fanotifySource); m != drift.Event || why != "" {
		t.Errorf("fanotify does not step in: %s %s", m, why)
	}
	if m, why := to.mode(inotifySource); m != "" {
		t.Errorf("inotify steps in as well: %s %s", m, why)
	}
	if c.PollEvery() != pollBesideEvents {
		t.Errorf("polls every %s", c.PollEvery())
	}
}

func TestWatchOfATree(t *testing.T) {
	c, to := New(mustOpen(t, t.TempDir()), ackRules, "", nil), newHeard()
	watching(t, c, to)
	to.await(t, "the first", func(h drift.Hint) bool { return h.Subject == "" })
	for _, source := range []string{bpfSource, netconfSource, fanotifySource, inotifySource, heldSource} {
		if m, why := to.mode(source); m != drift.Off || why != errNotLive.Error() {
			t.Errorf("%s is %s: %s", source, m, why)
		}
	}
	c.Poll(to)
	if seen := to.now(); len(seen) > 0 {
		t.Errorf("heard %+v", seen)
	}
}

func TestHintedLookIsWhole(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Mount(t, "/etc/sysctl.d", "-t", "tmpfs", "tmpfs")
	hosttest.Mount(t, "/usr/lib/sysctl.d", "-t", "tmpfs", "tmpfs")
	hosttest.Write(t, "/etc/sysctl.d", "1.conf", "net.ipv4.tcp_tw_reuse = 1\n")
	for path, value := range map[string]string{"net/ipv4/ip_forward": "1", "net/ipv4/tcp_tw_reuse": "2"} {
		hosttest.Sysctl(t, path, value)
	}
	c := newHostCheck(t)
	const pending = "tw-reuse net.ipv4.tcp_tw_reuse is 1 (/etc/sysctl.d/1.conf:1), pending"
	look := func(only []string, want ...string) {
		t.Helper()
		if got := findings(c.Observe(t.Context(), only)); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	hinted := []string{"net.ipv4.ip_forward"}
	look(hinted, pending)
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	look(hinted, "ip-forward net.ipv4.ip_forward is 0", "tw-reuse net.ipv4.tcp_tw_reuse is 1", pending)
	hosttest.Write(t, "/etc/sysctl.d", "1.conf", "")
	look(hinted, "ip-forward net.ipv4.ip_forward is 0", "tw-reuse net.ipv4.tcp_tw_reuse is 1", pending)
	look(nil, "ip-forward net.ipv4.ip_forward is 0", "tw-reuse net.ipv4.tcp_tw_reuse is 1")
	look(hinted, "ip-forward net.ipv4.ip_forward is 0", "tw-reuse net.ipv4.tcp_tw_reuse is 1")
}

func TestLooksPollsAndWatchTogether(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c, to := listening(t)
	var all sync.WaitGroup
	for _, do := range []func(){
		func() { c.Poll(to); c.PollEvery(); c.ResyncEvery() },
		func() { c.Observe(t.Context(), nil) },
		func() { c.Observe(t.Context(), []string{"net.ipv4.ip_forward"}) },
		func() { _ = exec.Command("ip", "link", "add", "eth9", "type", "veth", "peer", "name", "veth9").Run() },
		func() { _ = exec.Command("ip", "link", "delete", "eth9").Run() },
	} {
		all.Go(func() {
			for range 30 {
				do()
			}
		})
	}
	all.Wait()
}

func TestWatchedDirectories(t *testing.T) {
	got := (&Check{}).WatchedDirectories()
	if len(got) != 6 || got[0] != "/etc/sysctl.d" || got[5] != "/etc" {
		t.Errorf("got %v", got)
	}
}
