package sysctl

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

var ackRules = []drift.Bound[Rule]{
	{Operation: "ip-forward", Rule: Rule{Parameter: "net.ipv4.ip_forward", Aliases: []string{"net.ipv4.conf.all.forwarding"}, Supported: []int64{1}}},
	{Operation: "ip-forward", Rule: Rule{Parameter: "net.ipv4.conf.{interface}.forwarding", Interfaces: []string{"eth*"}, Supported: []int64{1}, Tier: "interface", UnlessOutOf: "net.ipv4.ip_forward"}},
	{Operation: "rp-filter", Rule: Rule{Parameter: "net.ipv4.conf.{interface}.rp_filter", Interfaces: []string{"all", "eth*", "default-route"}, Except: []string{"veth*"}, Effective: "max", Supported: []int64{0}}},
	{Operation: "tw-reuse", Rule: Rule{Parameter: "net.ipv4.tcp_tw_reuse", Supported: []int64{0, 2}}},
	{Operation: "tw-recycle", Rule: Rule{Parameter: "net.ipv4.tcp_tw_recycle", Supported: []int64{0}, Absent: "supported", LeftoverTier: "leftover"}},
	{Operation: "port-range", Rule: Rule{Parameter: "net.ipv4.ip_local_port_range", Ranges: [][2]int64{{32768, 60999}}, OverlapTier: "nodeport-overlap"}},
}

func observe(t *testing.T, dir string, rules []drift.Bound[Rule], recorded baseline.Scope) drift.Observation {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return New(root, rules, "", recorded).Observe(t.Context(), nil)
}

// findings writes findings as "operation/tier subject observed", active ones first in line.
func findings(o drift.Observation) []string {
	out := []string{}
	for _, f := range o.Findings {
		s := f.Operation
		if f.Tier != "" {
			s += "/" + f.Tier
		}
		s += " " + f.Subject + " is " + f.Observed
		if f.State == drift.Pending {
			s += ", pending"
		}
		out = append(out, s)
	}
	return out
}

// Every documented parameter, set in the kernel: named, valued, and cleared by
// putting the supported value back.
func TestParametersInForce(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Mount(t, "/usr/lib/sysctl.d", "-t", "tmpfs", "tmpfs")
	hosttest.Mount(t, "/etc/sysctl.d", "-t", "tmpfs", "tmpfs")
	hosttest.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth1")
	hosttest.Run(t, "ip", "link", "add", "eth0.100", "type", "veth", "peer", "name", "ens5")
	hosttest.Run(t, "ip", "address", "add", "192.0.2.2/24", "dev", "ens5")
	hosttest.Run(t, "ip", "link", "set", "ens5", "up")
	hosttest.Run(t, "ip", "link", "set", "eth0.100", "up")
	supported := [][2]string{
		{"net/ipv4/ip_forward", "1"}, {"net/ipv4/conf/eth0/forwarding", "1"}, {"net/ipv4/tcp_tw_reuse", "2"}, {"net/ipv4/ip_local_port_range", "32768 60999"}, {"net/ipv4/ip_local_reserved_ports", ""},
		{"net/ipv4/conf/all/rp_filter", "0"}, {"net/ipv4/conf/eth0/rp_filter", "0"}, {"net/ipv4/conf/eth0.100/rp_filter", "0"},
		{"net/ipv4/conf/ens5/rp_filter", "0"}, {"net/ipv4/conf/veth1/rp_filter", "0"},
	}
	restore := func() {
		for _, s := range supported {
			hosttest.Sysctl(t, s[0], s[1])
		}
	}
	for _, c := range []struct {
		name string
		set  [][2]string
		want []string
	}{
		{"in support", nil, []string{}},
		{"ip_forward off explains every interface", [][2]string{{"net/ipv4/ip_forward", "0"}}, []string{"ip-forward net.ipv4.ip_forward is 0"}},
		{"forwarding off on one interface", [][2]string{{"net/ipv4/conf/eth0/forwarding", "0"}}, []string{"ip-forward/interface net.ipv4.conf.eth0.forwarding is 0"}},
		{"switched off through its alias", [][2]string{{"net/ipv4/conf/all/forwarding", "0"}}, []string{"ip-forward net.ipv4.ip_forward is 0"}},
		{"all outweighs the interface", [][2]string{{"net/ipv4/conf/all/rp_filter", "1"}}, []string{"rp-filter net.ipv4.conf.all.rp_filter is 1"}},
		{"the interface outweighs all", [][2]string{{"net/ipv4/conf/eth0/rp_filter", "2"}}, []string{"rp-filter net.ipv4.conf.eth0.rp_filter is 2"}},
		{"both need repair", [][2]string{{"net/ipv4/conf/all/rp_filter", "2"}, {"net/ipv4/conf/eth0/rp_filter", "1"}},
			[]string{"rp-filter net.ipv4.conf.all.rp_filter is 2", "rp-filter net.ipv4.conf.eth0.rp_filter is 1"}},
		{"an interface with a dot in its name", [][2]string{{"net/ipv4/conf/eth0.100/rp_filter", "1"}}, []string{"rp-filter net.ipv4.conf.eth0/100.rp_filter is 1"}},
		{"an interface that is not named", [][2]string{{"net/ipv4/conf/veth1/rp_filter", "1"}, {"net/ipv4/conf/ens5/rp_filter", "1"}}, []string{}},
		{"kernel default of tcp_tw_reuse", [][2]string{{"net/ipv4/tcp_tw_reuse", "0"}}, []string{}},
		{"tcp_tw_reuse", [][2]string{{"net/ipv4/tcp_tw_reuse", "1"}}, []string{"tw-reuse net.ipv4.tcp_tw_reuse is 1"}},
		{"another port range", [][2]string{{"net/ipv4/ip_local_port_range", "40000 60999"}}, []string{"port-range net.ipv4.ip_local_port_range is 40000 60999"}},
		{"a range over the NodePorts", [][2]string{{"net/ipv4/ip_local_port_range", "1024 65535"}},
			[]string{"port-range/nodeport-overlap net.ipv4.ip_local_port_range is 1024 65535 (overlaps the NodePorts 30000-32767)"}},
		{"reserved NodePorts", [][2]string{{"net/ipv4/ip_local_port_range", "1024 65535"}, {"net/ipv4/ip_local_reserved_ports", "30000-32767"}},
			[]string{"port-range net.ipv4.ip_local_port_range is 1024 65535"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			restore()
			for _, s := range c.set {
				hosttest.Sysctl(t, s[0], s[1])
			}
			o := observe(t, "/", ackRules, nil)
			if diff := cmp.Diff(c.want, findings(o)); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("%s gaps %v", diff, o.Gaps)
			}
			restore()
			if o := observe(t, "/", ackRules, nil); len(o.Findings) > 0 {
				t.Errorf("it does not clear: %v", findings(o))
			}
		})
	}
	t.Run("the default route's interface counts whatever its name", func(t *testing.T) {
		restore()
		hosttest.Run(t, "ip", "route", "add", "default", "via", "192.0.2.1", "dev", "ens5")
		hosttest.Sysctl(t, "net/ipv4/conf/ens5/rp_filter", "2")
		if diff := cmp.Diff([]string{"rp-filter net.ipv4.conf.ens5.rp_filter is 2"}, findings(observe(t, "/", ackRules, nil))); diff != "" {
			t.Error(diff)
		}
	})
}

// A value that only the files set, as the kernel takes it over from "default".
func TestDefaultReachesInterfacesNothingElseSets(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	for _, dir := range []string{"/etc/sysctl.d", "/usr/lib/sysctl.d", "/run"} {
		hosttest.Mount(t, dir, "-t", "tmpfs", "tmpfs")
	}
	hosttest.Write(t, "/etc/sysctl.d", "50-default.conf", "net.ipv4.conf.default.rp_filter = 2\n-net.ipv4.conf.all.rp_filter\n")
	hosttest.Sysctl(t, "net/ipv4/conf/all/rp_filter", "0")
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
	hosttest.Run(t, systemdTool)
	hosttest.Run(t, "ip", "link", "add", "eth0", "type", "veth", "peer", "name", "veth1")
	want := []string{
		"rp-filter net.ipv4.conf.eth0.rp_filter is 2",
		"rp-filter net.ipv4.conf.eth0.rp_filter is 2 (/etc/sysctl.d/50-default.conf:1), pending",
	}
	if diff := cmp.Diff(want, findings(observe(t, "/", ackRules, nil))); diff != "" {
		t.Error(diff)
	}
}

func TestForeignNetworkIsAGap(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	// What a container without hostNetwork sees: the host's /proc, its own network.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	out := hosttest.Run(t, "unshare", "--net", self, "-test.run=^TestLookFromForeignNetwork$", "-test.v")
	if !strings.Contains(out, "ip-forward net.ipv4.ip_forward: "+host.ErrForeignNetwork.Error()) || strings.Contains(out, "finding") {
		t.Errorf("got %s", out)
	}
}

// TestLookFromForeignNetwork is the half of TestForeignNetworkIsAGap that looks.
func TestLookFromForeignNetwork(t *testing.T) {
	o := observe(t, "/", ackRules, nil)
	for _, f := range o.Findings {
		if f.State == drift.Active {
			t.Logf("finding %+v", f)
		}
	}
	for _, g := range o.Gaps {
		t.Logf("%s %s: %s", g.Operation, g.Subject, g.Reason)
	}
}

func TestVanishedInterfaceIsNoDrift(t *testing.T) {
	l := &look{held: new(held), names: new(names), root: mustOpen(t, t.TempDir()), interfaces: interfaces{names: []string{"eth7"}}}
	r := ackRules[2]
	l.judge(r, l.inForce(r, l.scopes(r.Rule)))
	if len(l.out.Findings)+len(l.out.Gaps) > 0 {
		t.Errorf("got %+v", l.out)
	}
}

func TestMissingParameterOfAHostIsAGap(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	rules := []drift.Bound[Rule]{{Operation: "op", Rule: Rule{Parameter: "net.ipv4.no_such_thing", Supported: []int64{1}}}}
	o := observe(t, "/", rules, nil)
	if len(o.Findings) > 0 || len(o.Gaps) != 1 || o.Gaps[0].Subject != "net.ipv4.no_such_thing" {
		t.Errorf("got %+v", o)
	}
}

func TestUnreadableSettingsAreAGap(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "etc/sysctl.d/99-x.conf"), 0o755); err != nil {
		t.Fatal(err)
	}
	rules := []drift.Bound[Rule]{ackRules[0], {Operation: "os-config", Rule: Rule{Settings: &Settings{Files: []string{"/etc/sysctl.d/*"}}}}}
	o := observe(t, dir, rules, baseline.Scope{settingsArea: "read", "vm.swappiness": "10"})
	if len(o.Findings) > 0 || len(o.Gaps) != 2 || !strings.Contains(o.Gaps[0].Reason, "99-x.conf") {
		t.Errorf("got %+v", o)
	}
}

func mustOpen(t *testing.T, dir string) *host.Root {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func TestSettingsAgainstTheBaseline(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "etc/sysctl.d/10-own.conf", "# mine\nvm.swappiness =   10\nnet/ipv4/tcp_mem = 1\t2  3\nnet.ipv6.conf.all.stable_secret = ::1\nnet.ipv4.ip_forward = 1\nnet.ipv4.conf.eth0.rp_filter = 0\n")
	hosttest.Write(t, dir, "etc/sysctl.d/99-user-customized.conf", "vm.max_map_count = 1\n")
	rules := append(slices.Clone(ackRules), drift.Bound[Rule]{Operation: "os-config", Rule: Rule{Settings: &Settings{
		Files: []string{"/etc/sysctl.d/*", "/etc/sysctl.conf"}, Except: []string{"/etc/sysctl.d/99-user-customized.conf"}}}})
	first := observe(t, dir, rules, nil)
	recorded := baseline.ScopeOf(first.Facts, nil)
	want := baseline.Scope{settingsArea: "read", "vm.swappiness": "10", "net.ipv4.tcp_mem": "1 2 3", "net.ipv6.conf.all.stable_secret": "set"}
	if diff := cmp.Diff(want, recorded); diff != "" || len(first.Findings) > 0 {
		t.Fatal(diff, first.Findings)
	}
	hosttest.Write(t, dir, "etc/sysctl.d/10-own.conf", "net.ipv4.tcp_mem = 1 2 3\nvm.swappiness = 60\nkernel.panic = 1\n")
	hosttest.Write(t, dir, "etc/sysctl.d/99-user-customized.conf", "vm.max_map_count = 2\n")
	got := findings(observe(t, dir, rules, recorded))
	if diff := cmp.Diff([]string{
		"os-config kernel.panic is 1 (/etc/sysctl.d/10-own.conf:3), pending",
		"os-config net.ipv6.conf.all.stable_secret is unset, pending",
		"os-config vm.swappiness is 60 (/etc/sysctl.d/10-own.conf:2), pending",
	}, got); diff != "" {
		t.Error(diff)
	}
	if o := observe(t, dir, rules, baseline.Scope{}); len(o.Findings) > 0 || !o.Facts["kernel.panic"].Fresh {
		t.Errorf("settings that were never recorded are drift: %v", findings(o))
	}
}

func TestNodePortsOfTheRunningAPIServer(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	server := filepath.Join(t.TempDir(), "kube-apiserver")
	hosttest.Run(t, "cp", "/bin/bash", server)
	cmd := exec.Command(server, "-c", "echo up; read", "kube-apiserver", "--service-node-port-range", "10500-32767")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	if got := findNodePorts(mustOpen(t, "/"), "").String(); got != "10500-32767" {
		t.Errorf("of the API server: %s", got)
	}
	if got := findNodePorts(mustOpen(t, "/"), "30000-31000").String(); got != "30000-31000" {
		t.Errorf("of the configuration: %s", got)
	}
	_ = stdin.Close()
	_ = cmd.Wait()
	if got := findNodePorts(mustOpen(t, "/"), "").String(); got != DefaultNodePorts {
		t.Errorf("of nobody: %s", got)
	}
}
