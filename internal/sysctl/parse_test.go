package sysctl

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSettings(t *testing.T) {
	text := "# comment\n; comment\n\n net.ipv4.ip_forward = 1 \r\n-net/ipv4/conf/eth0.100/rp_filter=0\n-net.ipv4.conf.all.rp_filter\nno assignment\n=1\nkernel.core_pattern = |/bin/x %p = %e\n"
	want := []setting{
		{key: "net/ipv4/ip_forward", value: "1", file: "f", line: 4},
		{key: "net/ipv4/conf/eth0.100/rp_filter", value: "0", file: "f", line: 5},
		{key: "net/ipv4/conf/all/rp_filter", bare: true, file: "f", line: 6},
		{key: "kernel/core_pattern", value: "|/bin/x %p = %e", file: "f", line: 9},
	}
	if diff := cmp.Diff(want, parseSettings("f", []byte(text)), cmp.AllowUnexported(setting{})); diff != "" {
		t.Error(diff)
	}
}

func FuzzParseSettings(f *testing.F) {
	f.Add([]byte("net.ipv4.ip_forward=1\n-net.ipv4.conf.*.rp_filter\n[=\n"), true)
	f.Add([]byte("net/ipv4/conf/eth0.100/rp_filter = 1\r\n# x"), false)
	f.Fuzz(func(t *testing.T, data []byte, bySystemd bool) {
		settings := parseSettings("f", data)
		b := newBoot(settings, bySystemd)
		for _, s := range settings {
			if s.key == "" || s.line < 1 {
				t.Errorf("a setting of nothing: %+v", s)
			}
			if found, ok := b.lookup(s.key); ok && found.bare {
				t.Errorf("an exclusion sets %q", s.key)
			}
		}
		b.names(ackRules[2].Rule)
	})
}

func TestNodePorts(t *testing.T) {
	for in, want := range map[string][2]int64{"30000-32767": {30000, 32767}, "30000+2768": {30000, 32767}, " 1 - 1 ": {1, 1}} {
		first, last, err := ParseNodePorts(in)
		if err != nil || first != want[0] || last != want[1] {
			t.Errorf("%q: %d-%d, %v", in, first, last, err)
		}
	}
	for _, in := range []string{"", "30000", "32767-30000", "0-1", "1-65536", "a-b", "1-2-3"} {
		if _, _, err := ParseNodePorts(in); err == nil {
			t.Errorf("%q is a range", in)
		}
	}
	ports := nodePorts{first: 30000, last: 32767, reserved: parsePorts("30000-31000,31001,31002-32766,x")}
	if !ports.overlap([2]int64{1024, 65535}) {
		t.Error("32767 is not reserved")
	}
	ports.reserved = append(ports.reserved, portRange{32767, 32767})
	if ports.overlap([2]int64{1024, 65535}) {
		t.Error("all of them are reserved")
	}
	if (nodePorts{first: 30000, last: 32767}).overlap([2]int64{32768, 60999}) {
		t.Error("the kernel's default overlaps")
	}
}

func FuzzParsePorts(f *testing.F) {
	f.Add("8080,9000-9010\n", "30000-32767")
	f.Fuzz(func(_ *testing.T, reserved, ports string) {
		first, last, err := ParseNodePorts(ports)
		if err == nil {
			nodePorts{first: first, last: last, reserved: parsePorts(reserved)}.overlap([2]int64{1, 65535})
		}
	})
}

func TestDefaultRoutes(t *testing.T) {
	table := `Iface	Destination	Gateway 	Flags	RefCnt	Use	Metric	Mask		MTU	Window	IRTT
eth0	00000000	010200C0	0003	0	0	0	00000000	0	0	0
eth1	00000000	010200C0	0003	0	0	100	00000000	0	0	0
tun0	00000000	00000000	0001	0	0	0	00000080	0	0	0
eth0	000200C0	00000000	0001	0	0	0	00FFFFFF	0	0	0
short	00000000
`
	if diff := cmp.Diff([]string{"eth0", "eth1"}, parseDefaultRoutes(table)); diff != "" {
		t.Error(diff)
	}
}

func TestRuleValidate(t *testing.T) {
	for name, r := range map[string]Rule{
		"no parameter":              {Supported: []int64{1}},
		"nothing supported":         {Parameter: "vm.swappiness"},
		"interfaces without a hole": {Parameter: "net.ipv4.ip_forward", Interfaces: []string{"eth*"}, Supported: []int64{1}},
		"a hole without interfaces": {Parameter: "net.ipv4.conf.{interface}.rp_filter", Supported: []int64{1}},
		"broken glob":               {Parameter: "net.ipv4.conf.{interface}.rp_filter", Interfaces: []string{"[a"}, Supported: []int64{1}},
		"unknown effective":         {Parameter: "vm.swappiness", Supported: []int64{1}, Effective: "min"},
		"unknown absent":            {Parameter: "vm.swappiness", Supported: []int64{1}, Absent: "ok"},
		"settings of no files":      {Settings: &Settings{}},
		"settings and parameter":    {Parameter: "vm.swappiness", Settings: &Settings{Files: []string{"/etc/sysctl.conf"}}},
	} {
		if r.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	for _, r := range ackRules {
		if err := r.Rule.Validate(); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
}
