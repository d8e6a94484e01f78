package identity

import (
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// files are a host's.
type files map[string]string

func (f files) with(change files) files {
	out := maps.Clone(f)
	for name, content := range change {
		if out[name] = content; content == "" {
			delete(out, name)
		}
	}
	return out
}

func (f files) root(t testing.TB) *host.Root {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		list = append(list, name, f[name])
	}
	return tree(t, list...)
}

const (
	routeHead = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\n"
	routeVia  = "eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\n"
	routeNet  = "eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\n"
	routeENI  = "eth1\t00000000\t020200C0\t0003\t0\t0\t500\t00000000\n"
)

var aMachine = files{
	"sys/class/net/eth0/address": "02:00:00:00:00:01", "sys/class/net/eth0/mtu": "1500",
	"sys/class/net/eth1/address": "02:00:00:00:00:09", "sys/class/net/eth1/mtu": "1500",
	"proc/net/route":             routeHead + routeVia + routeNet,
	"proc/net/fib_trie":          "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 192.0.2.0\n        /24 link UNICAST\nLocal:\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.10\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST",
	"run/systemd/netif/leases/2": "# lease\nADDRESS=192.0.2.10",
	"etc/hostname":               "n1", "etc/machine-id": "11111111111111111111111111111111",
	"etc/os-release":                 "NAME=\"CentOS\"\nID=\"centos\"\nVERSION_ID=\"8.4\"",
	"proc/sys/kernel/osrelease":      "5.10.0-1",
	"sys/devices/system/cpu/present": "0-3", "sys/devices/system/cpu/online": "0-3",
	"proc/meminfo": "MemTotal:       16000000 kB\nHugePages_Total:       0",
	"proc/modules": "nf_tables 200704 1 - Live 0x0\n",
}

var ofTheMachine = []Rule{
	theNetwork, {Same: []Aspect{Hostname, Installation, Distribution, Kernel, Capacity}}, {Modules: &Modules{Except: []string{"nvidia*"}}},
}

func TestMachine(t *testing.T) {
	for _, c := range []struct {
		name   string
		change files
		want   []string
	}{
		{name: "untouched"},
		{name: "another address", change: files{"proc/net/fib_trie": "Local:\n     |-- 192.0.2.20\n        /32 host LOCAL", "run/systemd/netif/leases/2": "ADDRESS=192.0.2.20"},
			want: []string{"address ipv4 is 192.0.2.20/24 dev eth0, supported 192.0.2.10/24 dev eth0"}},
		{name: "another gateway", change: files{"proc/net/route": routeHead + "eth0\t00000000\tFE0200C0\t0003\t0\t0\t100\t00000000\n" + routeNet},
			want: []string{"default route is via 192.0.2.254 dev eth0, supported via 192.0.2.1 dev eth0"}},
		{name: "a worse default route beside it", change: files{"proc/net/route": routeHead + routeENI + routeVia + routeNet}},
		{name: "no default route", change: files{"proc/net/route": routeHead + routeNet}, want: []string{"default route is absent, supported via 192.0.2.1 dev eth0"}},
		{name: "another MTU and MAC", change: files{"sys/class/net/eth0/mtu": "9000", "sys/class/net/eth0/address": "02:00:00:00:00:02"},
			want: []string{"primary interface mac is 02:00:00:00:00:02, supported 02:00:00:00:00:01", "primary interface mtu is 9000, supported 1500"}},
		{name: "another interface went", change: files{"sys/class/net/eth1/mtu": "", "sys/class/net/eth1/address": ""}},
		{name: "the address is fixed now", change: files{"run/systemd/netif/leases/2": ""}, want: []string{"lease of the address is static, supported dynamic"}},
		{name: "another host name", change: files{"etc/hostname": "n2"}, want: []string{"hostname is n2, supported n1"}},
		{name: "another installation", change: files{"etc/machine-id": "22222222222222222222222222222222"}, want: []string{"machine-id is sha256:b7d9e6b2e97e, supported sha256:d7c42dc463e1"}},
		{name: "an update of the distribution", change: files{"etc/os-release": "ID=\"centos\"\nVERSION_ID=\"8.5\""}},
		{name: "another distribution", change: files{"etc/os-release": "ID=debian\nVERSION_ID=\"12\""}, want: []string{"operating system is debian 12, supported centos 8"}},
		{name: "another kernel", change: files{"proc/sys/kernel/osrelease": "6.1.0-2"}, want: []string{"kernel is 6.1.0-2, supported 5.10.0-1"}},
		{name: "a kernel that waits for the next boot", change: files{"boot/vmlinuz-6.1.0-2": "x"}},
		{name: "CPUs switched off", change: files{"sys/devices/system/cpu/online": "0-1"}},
		{name: "huge pages", change: files{"proc/meminfo": "MemTotal:       16000000 kB\nHugePages_Total:    4096"}},
		{name: "what a kernel keeps to itself", change: files{"proc/meminfo": "MemTotal:       15500000 kB"}},
		{name: "memory that was plugged in", change: files{"proc/meminfo": "MemTotal:       32000000 kB", "sys/bus/virtio/drivers/virtio_mem/virtio4/x": "x"}},
		{name: "memory modules that were plugged in", change: files{"proc/meminfo": "MemTotal:       32000000 kB", "sys/bus/acpi/devices/PNP0C80:00/status": "15"}},
		{name: "a smaller machine", change: files{"sys/devices/system/cpu/present": "0-1", "proc/meminfo": "MemTotal:       8000000 kB"},
			want: []string{"cpus is 2, supported 4", "memory is 8000000 kB, supported 16000000 kB"}},
		{name: "a module of the kernel", change: files{"proc/modules": "nf_tables 200704 1 - Live 0x0\noverlay 1 0 - Live 0x0"}},
		{name: "a driver that was bought", change: files{"proc/modules": "nvidia 1 0 - Live 0x0 (POE)"}},
		{name: "a module from elsewhere", change: files{"proc/modules": "rootkit 1 0 - Live 0x0 (OE)"}, want: []string{"kernel module rootkit is loaded (OE), supported absent"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			check := recorded(t, aMachine.root(t), nil, ofTheMachine...)
			now := New(aMachine.with(c.change).root(t), bound(ofTheMachine...), nil, check.recorded)
			o := now.Observe(t.Context(), nil)
			if diff := cmp.Diff(c.want, said(o)); diff != "" || len(o.Gaps) > 0 {
				t.Errorf("-want +got\n%s%v", diff, o.Gaps)
			}
		})
	}
}

// A fixed address is usual elsewhere, and a lease that came is nothing.
func TestALeaseThatNeverWas(t *testing.T) {
	fixed := aMachine.with(files{"run/systemd/netif/leases/2": ""})
	seen := recorded(t, fixed.root(t), nil, theNetwork)
	for name, now := range map[string]files{"still fixed": fixed, "leased now": aMachine} {
		if got := said(New(now.root(t), bound(theNetwork), nil, seen.recorded).Observe(t.Context(), nil)); got != nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// A tree without a network, or without anything, is no gap.
func TestAnEmptyTree(t *testing.T) {
	seen := recorded(t, aMachine.root(t), nil, ofTheMachine...)
	o := New(tree(t), bound(ofTheMachine...), nil, seen.recorded).Observe(t.Context(), nil)
	var blind []string
	for _, g := range o.Gaps {
		blind = append(blind, g.Subject+": "+g.Reason)
	}
	if diff := cmp.Diff([]string{"operating system: no os-release can be read"}, blind); diff != "" || len(o.Findings) > 0 {
		t.Errorf("%s%v", diff, said(o))
	}
}

// What is one node's own is in no digest that nodes share.
func TestLocalFacts(t *testing.T) {
	o := New(aMachine.root(t), bound(ofTheMachine...), nil, nil).Observe(t.Context(), nil)
	var common []string
	for _, subject := range slices.Sorted(maps.Keys(o.Facts)) {
		if !o.Facts[subject].Local {
			common = append(common, subject)
		}
	}
	want := []string{"cpus", "kernel", "kernel modules", "lease of the address", "memory", "operating system", "primary interface mtu"}
	if diff := cmp.Diff(want, common); diff != "" {
		t.Error(diff)
	}
}

// A machine-id is confidential: neither a fact nor a finding holds it.
func TestTheMachineIDIsNotShown(t *testing.T) {
	o := New(aMachine.root(t), bound(ofTheMachine...), nil, nil).Observe(t.Context(), nil)
	if got := o.Facts[machineID].Value; len(got) != shownDigest || got == aMachine["etc/machine-id"] {
		t.Errorf("recorded %q", got)
	}
}

func TestRootFileSystem(t *testing.T) {
	link := func(root files, to string) *host.Root {
		dir := t.TempDir()
		for name, content := range root {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for at, leads := range map[string]string{"dev/disk/by-uuid/1234-uuid": "../../" + to, "sys/dev/block/254:1": "../../devices/pci/virtio/block/vda/" + to} {
			if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, at)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(leads, filepath.Join(dir, at)); err != nil {
				t.Fatal(err)
			}
		}
		return open(t, dir)
	}
	for name, c := range map[string]struct {
		mounts, device, want string
	}{
		"by its number":          {"29 1 254:1 / / rw - ext4 /dev/root rw", "vda1", "1234-uuid"},
		"by its name":            {"29 1 0:33 / / rw - btrfs /dev/vda1 rw", "vda1", "1234-uuid"},
		"of a container":         {"29 1 0:44 / / rw - overlay overlay rw", "vda1", ""},
		"of a server":            {"29 1 0:45 / / rw - nfs4 server:/vda1 rw", "vda1", ""},
		"without a mount at all": {"", "vda1", ""},
	} {
		root := link(files{"proc/1/mountinfo": c.mounts}, c.device)
		o := New(root, bound(Rule{Same: []Aspect{Installation}}), nil, nil).Observe(t.Context(), nil)
		if got := o.Facts["root file system"].Value; got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestAgree(t *testing.T) {
	const cloud, paas = "var/lib/cloud/data/instance-id", "var/paas/conf/server.conf"
	for name, c := range map[string]struct {
		tree files
		want []string
	}{
		"both":                   {files{cloud: "i-1", paas: "i-1"}, nil},
		"another one":            {files{cloud: "i-2", paas: "i-1"}, []string{"/" + paas + " is i-1, supported i-2, as /" + cloud + " says"}},
		"one of them is gone":    {files{cloud: "i-1", paas + ".bak": "i-1"}, []string{"/" + paas + " is absent, supported i-1, as /" + cloud + " says"}},
		"no CCE node":            {files{cloud: "i-1"}, nil},
		"cloud-init is at work":  {files{cloud: "i-2", paas: "i-1", "run/cloud-init/status.json": "{}"}, nil},
		"cloud-init is finished": {files{cloud: "i-2", paas: "i-1", "run/cloud-init/result.json": "{}"}, []string{"/" + paas + " is i-1, supported i-2, as /" + cloud + " says"}},
	} {
		rule := Rule{Agree: []string{"/" + cloud, "/" + paas}}
		if diff := cmp.Diff(c.want, said(New(c.tree.root(t), bound(rule), nil, nil).Observe(t.Context(), nil))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestPlatform(t *testing.T) {
	rule := Rule{Platform: &Platform{Supported: []string{"*qingcloud*", "qingcloud://*"}, Other: []string{"amazon*", "aws://*/*/*"}}}
	for name, c := range map[string]struct {
		tree files
		want []string
	}{
		"its own":         {files{"sys/class/dmi/id/sys_vendor": "QingCloud"}, nil},
		"a plain machine": {files{"sys/class/dmi/id/sys_vendor": "QEMU"}, nil}, // a private cloud looks like that
		"nothing known":   {files{}, nil},
		"another cloud":   {files{"sys/class/dmi/id/sys_vendor": "Amazon EC2", "sys/class/dmi/id/product_name": "m5.large"}, []string{"machine is Amazon EC2, supported *qingcloud* or qingcloud://*"}},
	} {
		if diff := cmp.Diff(c.want, said(New(c.tree.root(t), bound(rule), nil, nil).Observe(t.Context(), nil))); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestParsers(t *testing.T) {
	for list, want := range map[string]string{"0-3": "4", "0": "1", "0-1,4-7": "6", "": "", "x": "", "3-1": ""} {
		if got := cpuCount(list); got != want {
			t.Errorf("cpus %q: %q, want %q", list, got, want)
		}
	}
	for file, want := range map[string]string{"n1\n": "n1", "# set by cloud-init\n\nn1\n": "n1", "": "", "#\n": ""} {
		if got := host.HostnameIn(file); got != want {
			t.Errorf("%q: %q, want %q", file, got, want)
		}
	}
	for text, want := range map[string]string{"010200C0": "192.0.2.1", "00000000": "0.0.0.0", "0102": "", "zz0200C0": ""} {
		if got, err := hexAddr(text); (err == nil) != (want != "") || err == nil && got.String() != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for mask, want := range map[string]int{"255.255.255.0": 24, "0.0.0.0": 0, "255.255.255.255": 32} {
		if got := ones(netip.MustParseAddr(mask)); got != want {
			t.Errorf("%s: %d", mask, got)
		}
	}
}

func TestValidate(t *testing.T) {
	for want, r := range map[string]Rule{
		"exactly one of":              {},
		"not 2":                       {Same: []Aspect{Address}, PolicyRoutes: complete},
		`same: "soul" is none of`:     {Same: []Aspect{"soul"}},
		"neither labels nor":          {Metadata: &Metadata{}},
		"metadata.added":              {Metadata: &Metadata{Labels: []string{"x"}, Added: "sometimes"}},
		"required.label is missing":   {Required: &Required{}},
		"one of supported and":        {System: &System{}},
		"label and value go together": {System: &System{Label: "x", Supported: []string{"x"}}},
		"is no version like":          {System: &System{From: "new", Supported: []string{"x"}}},
		"platform.other is missing":   {Platform: &Platform{}},
		"mtu: interface and is":       {MTU: &MTU{Interface: "bond0"}},
		"it takes two files":          {Agree: []string{"/x"}},
		`policyRoutes: "some"`:        {PolicyRoutes: "some"},
		`glob "["`:                    {Modules: &Modules{Except: []string{"["}}},
	} {
		if err := r.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", r, err, want)
		}
	}
	for _, r := range append(slices.Clone(ofTheNode), ofTheMachine...) {
		if err := r.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestBaselineOperations(t *testing.T) {
	c := New(tree(t), []drift.Bound[Rule]{
		{Operation: "a", Rule: theNetwork}, {Operation: "a", Rule: Rule{PolicyRoutes: complete}}, {Operation: "b", Rule: Rule{PolicyRoutes: complete}}, {Operation: "c", Rule: system},
	}, nil, nil)
	if diff := cmp.Diff([]string{"a", "c"}, c.BaselineOperations()); diff != "" {
		t.Error(diff)
	}
}
