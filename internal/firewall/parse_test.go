package firewall

import (
	"net/netip"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var compare = cmp.Options{
	cmp.AllowUnexported(table{}, chain{}, rule{}, nftScript{}), cmpopts.EquateEmpty(),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
}

func TestParseAssignments(t *testing.T) {
	got := parseAssignments([]byte("#A=1\n  B = \"2 # 3\" # c\nexport C='4'\nD=5 # d\nE=6;F=7\nG=\nA\nD=8\n=x\nH=\"open"))
	want := map[string]string{"B": "2 # 3", "C": "4", "D": "8", "E": "6", "G": "", "H": "open"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestParseSaved(t *testing.T) {
	got := parseSaved("ip", []byte(`# saved
-A INPUT -j DROP
*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:mine - [0:0]
[7:420] -A INPUT -m comment --comment "-j DROP" -g mine
-A mine -d 168.63.129.16/32 -j REJECT --reject-with icmp-port-unreachable
-A mine ! -d 10.0.0.1 -j DROP
-A mine -d 10.0.0.0/8 --jump LOG
-A OUTPUT -j DROP
-A
:
COMMIT
*raw
-A PREROUTING -j DROP
`))
	address := netip.MustParseAddr("168.63.129.16")
	want := []table{
		{backend: saved, family: "ip", name: "filter", chains: []chain{
			{name: "INPUT", hook: "input", rules: []rule{{to: []string{"mine"}}}},
			{name: "FORWARD", hook: "forward", drops: true},
			{name: "mine", rules: []rule{{drop: true, destination: address}, {drop: true}, {to: []string{"LOG"}}}},
			{name: "OUTPUT", hook: "output", rules: []rule{{drop: true}}},
			{},
		}},
		{backend: saved, family: "ip", name: "raw", chains: []chain{{name: "PREROUTING", hook: "prerouting", rules: []rule{{drop: true}}}}},
	}
	if d := cmp.Diff(want, got, compare); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestParseNft(t *testing.T) {
	got := parseNft([]byte(`#!/usr/sbin/nft -f
flush ruleset
delete table inet gone
include "./more.nft"
# table inet comment { hook }
table inet filter { chain input { type filter hook input priority 0; comment "table x { hook" } }
table nat {}
add table netdev t; include "x`))
	want := nftScript{
		hooked: true, includes: []string{"./more.nft", "x"},
		tables: map[string]bool{"inet filter": true, "ip nat": true, "netdev t": true},
	}
	if d := cmp.Diff(want, got, compare); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if parseNft([]byte("# hook\ntable inet t { comment \"hook\" }")).hooked {
		t.Error("a comment hooks nothing in")
	}
	for script, want := range map[string]bool{
		"chain c { policy drop; }":                                     true,
		"tcp dport vmap {22:accept,23:drop}":                           true,
		"define verdict=reject":                                        true,
		"iif lo reject with icmp port-unreach":                         true,
		"policy accept; counter comment \"drop\" # drop\njump dropped": false,
	} {
		if got := parseNft([]byte(script)).drops; got != want {
			t.Errorf("%q: %v", script, got)
		}
	}
}

func FuzzParseAssignments(f *testing.F) {
	f.Add([]byte("ENABLED=yes\nTESTING = \"1\"\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		for name := range parseAssignments(data) {
			if name == "" {
				t.Error("a value without a name")
			}
		}
	})
}

func FuzzParseSaved(f *testing.F) {
	for _, name := range []string{"testdata/ufw-enabled.v4", "testdata/ufw-disabled.v6"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	r := ack(f)
	f.Fuzz(func(_ *testing.T, data []byte) {
		for _, t := range parseSaved("ip", data) {
			r.drop(t)
		}
	})
}

func FuzzParseNft(f *testing.F) {
	f.Add([]byte("table inet filter { chain a { type filter hook input priority 0; } }\ninclude \"x\""))
	f.Fuzz(func(t *testing.T, data []byte) {
		if got := parseNft(data); len(got.includes)+len(got.tables) > len(data) {
			t.Error("more is said than was read")
		}
	})
}
