package hostconfig

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func TestParseResolver(t *testing.T) {
	got := parseResolver([]byte("# a\n;b\nnameserver 10.0.0.2 # VPC\nnameserver\n nameserver 10.0.0.3\nsearch a b\ndomain c d\noptions ndots:2\noptions rotate\nsortlist x\n"))
	want := resolverConf{nameservers: []string{"10.0.0.2", "10.0.0.3"}, search: []string{"c"}, options: []string{"ndots:2", "rotate"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(resolverConf{})); diff != "" {
		t.Error(diff)
	}
	for text, stub := range map[string]bool{
		"nameserver 127.0.0.53": true, "nameserver 127.0.0.54\nnameserver 127.0.0.53": true,
		"nameserver 127.0.0.53\nnameserver 8.8.8.8": false, "nameserver 127.0.0.1": false, "": false,
	} {
		if parseResolver([]byte(text)).stub() != stub {
			t.Errorf("%q: stub is not %t", text, stub)
		}
	}
}

func TestParseHosts(t *testing.T) {
	got := parseHosts([]byte("10.0.0.9 b\n127.0.0.1\tlocalhost Web # x\n#10.0.0.1 a\n10.0.0.8 b b\n\nno-name\n"))
	want := map[string][]string{"b": {"10.0.0.8", "10.0.0.9"}, "localhost": {"127.0.0.1"}, "web": {"127.0.0.1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseDpkg(t *testing.T) {
	got, _ := namesOf([]byte("Package: a\nStatus: install ok installed\nDescription: x\n Package: not-a\n\nStatus: hold ok installed\nPackage: b\n\n\nPackage: c\nStatus: deinstall ok config-files\n\nPackage: d\nStatus: install ok half-configured\r\n\nPackage: e"))
	if diff := cmp.Diff(map[string]bool{"a": true, "b": true, "d": true}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseSettings(t *testing.T) {
	got := parseSettings([]byte("Loose=1\n[A]\n# K=0\nK = 1\nK=2\n;x\nbroken\n[B]\nK=a=b\n"))
	if diff := cmp.Diff(map[string]string{"Loose": "1", "A.K": "2", "B.K": "a=b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseSwap(t *testing.T) {
	swaps := "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 1 0 100\n/swap\\040file file 1 0 -2\n"
	if diff := cmp.Diff(map[string]string{"/dev/zram0": "zram", `/swap\040file`: "file"}, parseSwaps([]byte(swaps))); diff != "" {
		t.Error(diff)
	}
	fstab := "UUID=1 / ext4 defaults 0 1\n# /a none swap sw 0 0\n/b none swap sw 0 0\n/c none swap sw,noauto 0 0\n/d none swap\nx y\n"
	if diff := cmp.Diff([]string{"/b", "/d"}, parseFstabSwap([]byte(fstab))); diff != "" {
		t.Error(diff)
	}
}

func TestParseCommandLine(t *testing.T) {
	got := parseCommandLine("ro console=tty0 console=ttyS0 dyndbg=\"file a +p\" join.token=abc quiet -- init=x\n")
	want := map[string]string{"ro": "set", "console": "tty0 ttyS0", "dyndbg": "file a +p", "join.token": "set", "quiet": "set"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestParseShells(t *testing.T) {
	got := parseShells([]byte("root:x:0:0:root:/root:/bin/bash\npaas:x:1::::\npaas:x:1:1:::/bin/false\n+nis::::::\nbroken:x\n"))
	if diff := cmp.Diff(map[string]string{"root": "/bin/bash", "paas": "/bin/sh"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestModuleStates(t *testing.T) {
	m := moduleSet{
		loaded:  parseModules([]byte("overlay 1 2 - Live 0x0\nip_vs 1 0 - Live 0x0\n")),
		builtin: parseModulePaths([]byte("kernel/net/br-netfilter.ko\n")),
		dep:     parseModulePaths([]byte("kernel/net/vxlan.ko.zst: kernel/net/udp_tunnel.ko.zst\nnot a module\n")),
	}
	for name, want := range map[string]string{"overlay": loaded, "ip-vs": loaded, "br_netfilter": loaded, "vxlan": notLoaded, "nf_conntrack": missing} {
		if got := m.state([]string{name}); got != want {
			t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	if got := m.state([]string{"ip_conntrack", "overlay"}); got != loaded {
		t.Errorf("one of two is %s", got)
	}
}

// The kernel writes these words in the order of its own bytes.
func TestAddressesOfTheKernel(t *testing.T) {
	if !littleEndian {
		t.Skip("the samples are those of a little-endian machine")
	}
	listeners := parseListeners([]byte("sl local rem st\n0: 0100007F:0016 00000000:0000 0A x\n1: 00000000:1F90 00000000:0000 0A x\n2: 0500A8C0:0016 0600A8C0:D431 01 x\n" +
		"3: 00000000000000000000000001000000:0016 0:0 0A x\n4: zz:0016 0:0 0A x\n"))
	want := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:22"), netip.MustParseAddrPort("0.0.0.0:8080"), netip.MustParseAddrPort("[::1]:22")}
	if diff := cmp.Diff(want, listeners, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
	routes := parseRoutes([]byte("Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\neth0 00000000 0100A8C0 0003 0 0 0 00000000 0 0 0\n" +
		"docker0 000011AC 00000000 0001 0 0 0 0000FFFF 0 0 0\neth1 0000A8C0 0 0000 0 0 0 00FFFFFF 0 0 0\n"))
	wantRoutes := []route{{"eth0", netip.MustParsePrefix("0.0.0.0/0")}, {"docker0", netip.MustParsePrefix("172.17.0.0/16")}}
	if diff := cmp.Diff(wantRoutes, routes, cmp.Comparer(func(a, b route) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestReach(t *testing.T) {
	addresses := func(all ...string) (out []netip.Addr) {
		for _, a := range all {
			out = append(out, netip.MustParseAddr(a))
		}
		return out
	}
	private := addresses("127.0.0.1", "10.0.0.5", "100.64.0.9", "169.254.1.1", "fe80::1", "fd00::1", "::1")
	for _, c := range []struct {
		name         string
		sockets, own []netip.Addr
		want         string
	}{
		{"all of private ones", addresses("0.0.0.0", "::"), private, "listens on private addresses"},
		{"all, one public", addresses("0.0.0.0"), append(addresses("139.198.1.2"), private...), "listens on all addresses, 139.198.1.2 among them"},
		{"IPv6 takes IPv4 too", addresses("::"), addresses("139.198.1.2"), "listens on all addresses, 139.198.1.2 among them"},
		{"IPv4 takes no IPv6", addresses("0.0.0.0"), addresses("2001:db8::1"), "listens on private addresses"},
		{"the private one of both", addresses("10.0.0.5"), addresses("139.198.1.2", "10.0.0.5"), "listens on private addresses"},
		{"the public one", addresses("139.198.1.2"), nil, "listens on the public address 139.198.1.2"},
	} {
		if got := reach(c.sockets, c.own); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestOverlap(t *testing.T) {
	bridge := route{"docker0", netip.MustParsePrefix("172.17.0.0/16")}
	all := []route{{"eth0", netip.MustParsePrefix("0.0.0.0/0")}, bridge}
	if got := overlap(bridge, all); got != "apart" {
		t.Errorf("the default route overlaps: %s", got)
	}
	all = append(all, route{"eth1", netip.MustParsePrefix("172.16.0.0/12")})
	if got := overlap(bridge, all); got != "172.17.0.0/16 overlaps 172.16.0.0/12 on eth1" {
		t.Error(got)
	}
}

func TestParseSession(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want bool
	}{
		"ssh":          {"USER=a\nREMOTE=1\nCLASS=user\nSTATE=active\nREALTIME=1700000000123456\n", true},
		"console":      {"USER=a\nREMOTE=0\nCLASS=user\nSTATE=active\n", false},
		"cron":         {"USER=a\nREMOTE=1\nCLASS=background\nSTATE=active\n", false},
		"user manager": {"USER=a\nREMOTE=1\nCLASS=manager\nSTATE=active\n", false},
		"going":        {"USER=a\nREMOTE=1\nCLASS=user\nSTATE=closing\n", false},
	} {
		got, ok := parseSession([]byte(c.text))
		if ok != c.want || ok && got.from != 1700000000 {
			t.Errorf("%s: %+v, %t", name, got, ok)
		}
	}
}

func wtmpRecord(kind uint16, line, user, from string, at uint32) []byte {
	r := make([]byte, utmpSize)
	binary.NativeEndian.PutUint16(r, kind)
	copy(r[utmpLine:], line)
	copy(r[utmpUser:], user)
	copy(r[utmpHost:], from)
	binary.NativeEndian.PutUint32(r[utmpTime:], at)
	return r
}

func TestParseWtmp(t *testing.T) {
	var log []byte
	for _, r := range [][]byte{
		wtmpRecord(utmpIn, "pts/0", "a", "10.0.0.9", 100), wtmpRecord(utmpIn, "pts/1", "b", "10.0.0.9", 110), wtmpRecord(utmpIn, "tty1", "c", "", 120),
		wtmpRecord(utmpIn, "tty7", "d", ":0", 120), wtmpRecord(utmpOut, "pts/0", "", "", 200), wtmpRecord(utmpOut, "tty1", "", "", 210),
		wtmpRecord(utmpBoot, "~", "reboot", "", 300), wtmpRecord(utmpOut, "pts/1", "", "", 400), {1, 2, 3},
	} {
		log = append(log, r...)
	}
	got := parseWtmp(log)
	if diff := cmp.Diff([]login{{"a", 100, 200}}, got, cmp.AllowUnexported(login{}), cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestLike(t *testing.T) {
	for _, c := range []struct {
		glob, s string
		want    bool
	}{
		{"*", "", true}, {"*", "a/b", true}, {"*/nologin", "/sbin/nologin", true}, {"a*b*c", "a-b-b-c", true}, {"a*b", "a-b-c", false},
		{"?", "", false}, {"?", "x", true}, {"", "", true}, {"", "x", false}, {"linux-*", "linux-image", true}, {"linux-*", "my-linux-x", false}, {"**a", "ba", true},
	} {
		if got := like(c.glob, c.s); got != c.want {
			t.Errorf("like(%q, %q) = %t", c.glob, c.s, got)
		}
	}
}

func TestDigestIgnoresWhatNoProgramReads(t *testing.T) {
	same := digestOf([]byte("# a\nx  y\n\nz\n"))
	if same != digestOf([]byte("x y\n;b\n  z  ")) {
		t.Error("comments, spacing or blank lines count")
	}
	if same == digestOf([]byte("z\nx y\n")) || same == digestOf([]byte("x yz\n")) {
		t.Error("order or words do not count")
	}
}
