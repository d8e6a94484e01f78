package firewall

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// The test binary runs itself again: as a host, with namespaces of its own in
// which a script loads rules, and in there as the one who looks.
const (
	roleVariable = "NODEGUARD_FIREWALL_ROLE"
	treeVariable = "NODEGUARD_FIREWALL_TREE"
	ruleVariable = "NODEGUARD_FIREWALL_RULE" // another rule than usual, as a catalogue writes it
)

func TestMain(m *testing.M) {
	var err error
	switch os.Getenv(roleVariable) {
	case "host":
		err = beHost()
	case "look":
		err = look()
	default:
		os.Exit(m.Run())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// beHost is pid 1 of its namespaces: it loads the rules and lets somebody look.
func beHost() error {
	proc := filepath.Join(os.Getenv(treeVariable), "proc")
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	for _, at := range []string{proc, "/proc"} {
		if err := unix.Mount("proc", at, "proc", 0, ""); err != nil {
			return fmt.Errorf("mount %s: %w", at, err)
		}
	}
	script := exec.Command("bash", "-euo", "pipefail", "-c", os.Args[1])
	script.Stderr = os.Stderr
	if err := script.Run(); err != nil {
		return fmt.Errorf("load the rules: %w", err)
	}
	looker := exec.Command(os.Args[2], os.Args[3:]...)
	looker.Env = append(os.Environ(), roleVariable+"=look")
	looker.Stdout, looker.Stderr = os.Stdout, os.Stderr
	return looker.Run()
}

func look() error {
	root, err := host.Open(os.Getenv(treeVariable))
	if err != nil {
		return err
	}
	defer root.Close()
	rule, err := decoded()
	if err != nil {
		return err
	}
	check := New(root, []drift.Bound[Rule]{{Operation: "ack.net.firewall", Rule: rule}})
	return json.NewEncoder(os.Stdout).Encode(check.Observe(context.Background(), nil))
}

// onHost returns what is seen on a host where the script ran, by a looker that
// the command before it may have put in a worse place.
func onHost(t *testing.T, files map[string]string, script string, before ...string) []string {
	t.Helper()
	for _, tool := range []string{"bash", "nft", "iptables-nft", "iptables-legacy", "ip6tables-legacy", "setpriv", "unshare", "ip"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%s is not installed; make test installs it (nftables, iptables, util-linux, iproute2)", tool)
		}
	}
	dir := t.TempDir()
	tree(t, dir, files)
	if err := os.Mkdir(filepath.Join(dir, "proc"), 0o755); err != nil {
		t.Fatal(err)
	}
	testdata, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	child := exec.Command(self, append(append([]string{script}, before...), self)...)
	child.Env = append(os.Environ(), roleVariable+"=host", treeVariable+"="+dir, "TESTDATA="+testdata,
		"GORACE=atexit_sleep_ms=0") // the race detector would sleep a second in each
	child.Stdout, child.Stderr = &stdout, &stderr
	child.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		child.SysProcAttr.Cloneflags |= unix.CLONE_NEWUSER
		child.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
		child.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	}
	if err := child.Start(); err != nil {
		t.Skipf("needs root, or user namespaces for everybody: %v", err)
	}
	if err := child.Wait(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	var seen drift.Observation
	if err := json.Unmarshal(stdout.Bytes(), &seen); err != nil {
		t.Fatalf("%v in %q\n%s", err, stdout.String(), stderr.String())
	}
	return lines(seen)
}

const (
	firewalldRules = `
nft -f - <<'END'
table inet firewalld {
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT_ZONES { goto filter_IN_public; }
	chain filter_IN_public { tcp dport 22 accept; }
}
END
`
	kubernetesRules = `
$IPT -N KUBE-FORWARD; $IPT -N KUBE-FIREWALL; $IPT -N cali-FORWARD; $IPT -N DOCKER; $IPT -N DOCKER-USER
$IPT -P FORWARD DROP
$IPT -A INPUT -j KUBE-FIREWALL
$IPT -A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -j DROP
$IPT -A FORWARD -m comment --comment "cali:wUHhoiAYhphO9Mso" -j cali-FORWARD
$IPT -A cali-FORWARD -j DROP
$IPT -A FORWARD -j KUBE-FORWARD
$IPT -A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
$IPT -A FORWARD -j DOCKER-USER
$IPT -A DOCKER-USER -j REJECT
$IPT -A FORWARD -d 168.63.129.16/32 -p tcp --dport 80 -j DROP
$IPT -A FORWARD -d 168.63.129.16/32 -p tcp --dport 32526 -j DROP
`
	foreign = ", supported no foreign rules [enforcing active]"
	ours    = ", supported not installed [enforcing active]"
)

func withNFT(script string) string    { return "IPT=iptables-nft\n" + script }
func withLegacy(script string) string { return "IPT=iptables-legacy\n" + script }

func TestRulesInTheKernel(t *testing.T) {
	tests := map[string]struct {
		script string
		want   []string
	}{
		"none": {":", nil},

		"firewalld's table": {firewalldRules, []string{"firewalld: enforcing (nft table inet firewalld)" + ours + " family=inet table=firewalld"}},
		"nft flush ruleset": {firewalldRules + "nft flush ruleset", nil},

		"ufw enable": {
			`iptables-nft-restore <$TESTDATA/ufw-enabled.v4; ip6tables-nft-restore <$TESTDATA/ufw-enabled.v6`,
			[]string{"ufw: enforcing (nft table ip filter)" + ours + " ufw=ufw"},
		},
		"ufw enable, IPv6 alone": {
			`ip6tables-nft-restore <$TESTDATA/ufw-enabled.v6`, []string{"ufw: enforcing (nft table ip6 filter)" + ours + " ufw=ufw"},
		},
		"ufw enable, legacy": {
			`iptables-legacy-restore <$TESTDATA/ufw-enabled.v4; ip6tables-legacy-restore <$TESTDATA/ufw-enabled.v6`,
			[]string{"ufw: enforcing (iptables-legacy table filter)" + ours + " ufw=ufw"},
		},
		"ufw disable": {
			`iptables-nft-restore <$TESTDATA/ufw-disabled.v4; ip6tables-nft-restore <$TESTDATA/ufw-disabled.v6
			 iptables-legacy-restore <$TESTDATA/ufw-disabled.v4; ip6tables-legacy-restore <$TESTDATA/ufw-disabled.v6`, nil,
		},

		"Kubernetes, Calico and Docker":               {withNFT(kubernetesRules), nil},
		"Kubernetes, Calico and Docker, legacy":       {withLegacy(kubernetesRules), nil},
		"a drop beside them":                          {withNFT(kubernetesRules + "$IPT -A INPUT -s 10.0.0.9 -j DROP"), []string{"nftables table ip filter: enforcing (chain INPUT, drop rule)" + foreign}},
		"a drop beside them, legacy":                  {withLegacy(kubernetesRules + "$IPT -A INPUT -s 10.0.0.9 -j DROP"), []string{"iptables-legacy table filter: enforcing (chain INPUT, drop rule)" + foreign}},
		"FORWARD policy DROP without Docker":          {withNFT("$IPT -P FORWARD DROP"), []string{"nftables table ip filter: enforcing (chain FORWARD, policy drop)" + foreign + " family=ip table=filter"}},
		"FORWARD policy DROP without Docker, legacy":  {withLegacy("$IPT -P FORWARD DROP"), []string{"iptables-legacy table filter: enforcing (chain FORWARD, policy drop)" + foreign}},
		"a drop of all to a neighbour of the address": {withNFT("$IPT -A FORWARD -d 168.63.129.0/24 -j DROP"), []string{"nftables table ip filter: enforcing (chain FORWARD, drop rule)" + foreign + " family=ip table=filter"}},
		"kube-proxy's nftables mode": {
			"nft 'table ip kube-proxy { chain filter-input { type filter hook input priority 0; policy drop; }; }'", nil,
		},

		"inet filter, policy drop": {
			"nft 'table inet filter { chain input { type filter hook input priority 0; policy drop; }; }'",
			[]string{"nftables table inet filter: enforcing (chain input, policy drop)" + foreign + " family=inet table=filter"},
		},
		"inet filter that accepts": {
			"nft 'table inet filter { chain input { type filter hook input priority 0; tcp dport 22 accept; }; chain unused { drop; }; }'", nil,
		},
		"dormant table": {
			"nft 'table inet filter { flags dormant; chain input { type filter hook input priority 0; policy drop; }; }'", nil,
		},
		"drop in a verdict map": {
			"nft 'table inet filter { chain input { type filter hook input priority 0; ct state vmap { established : accept, invalid : drop }; }; }'",
			[]string{"nftables table inet filter: enforcing (chain input, drop rule)" + foreign + " family=inet table=filter"},
		},
		"drop behind a jump of a verdict map": {
			"nft 'table inet filter { chain no { drop; }; chain input { type filter hook input priority 0; tcp dport vmap { 22 : accept, 23 : goto no }; }; }'",
			[]string{"nftables table inet filter: enforcing (chain no, drop rule)" + foreign + " family=inet table=filter"},
		},
		"reject": {
			"nft 'table inet filter { chain input { type filter hook input priority 0; tcp dport 23 reject; }; }'",
			[]string{"nftables table inet filter: enforcing (chain input, drop rule)" + foreign + " family=inet table=filter"},
		},
		"a drop of all from the address": {
			withNFT("$IPT -A FORWARD -s 168.63.129.16 -j DROP"),
			[]string{"nftables table ip filter: enforcing (chain FORWARD, drop rule)" + foreign + " family=ip table=filter"},
		},
		"reject in IPv6": {
			"ip6tables-nft -A INPUT -j REJECT", []string{"nftables table ip6 filter: enforcing (chain INPUT, drop rule)" + foreign + " family=ip6 table=filter"},
		},
		"drop on a device": {
			"nft 'table netdev guard { chain in { type filter hook ingress device lo priority 0; drop; }; }'",
			[]string{"nftables table netdev guard: enforcing (chain in, drop rule)" + foreign + " family=netdev table=guard"},
		},

		"legacy drop":         {"iptables-legacy -A INPUT -p tcp --dport 23 -m comment --comment x -j DROP", []string{"iptables-legacy table filter: enforcing (chain INPUT, drop rule)" + foreign}},
		"legacy reject, IPv6": {"ip6tables-legacy -A INPUT -j REJECT", []string{"ip6tables-legacy table filter: enforcing (chain INPUT, drop rule)" + foreign}},
		"legacy policy":       {"iptables-legacy -P INPUT DROP", []string{"iptables-legacy table filter: enforcing (chain INPUT, policy drop)" + foreign}},
		"legacy chain":        {"iptables-legacy -N mine; iptables-legacy -A mine -j DROP; iptables-legacy -A OUTPUT -g mine", []string{"iptables-legacy table filter: enforcing (chain mine, drop rule)" + foreign}},
		"legacy raw":          {"iptables-legacy -t raw -A PREROUTING -j DROP", []string{"iptables-legacy table raw: enforcing (chain PREROUTING, drop rule)" + foreign}},
		"legacy, loaded and empty": {
			"iptables-legacy -L -n >/dev/null; ip6tables-legacy -L -n >/dev/null; iptables-legacy -N mine; iptables-legacy -A mine -j DROP; grep -q filter /proc/net/ip_tables_names", nil,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			diff(t, tt.want, onHost(t, nil, tt.script))
		})
	}
}

func TestBothBackendsAreLookedAt(t *testing.T) {
	got := onHost(t, nil, firewalldRules+"iptables-legacy -A INPUT -j DROP")
	diff(t, []string{
		"firewalld: enforcing (nft table inet firewalld)" + ours + " family=inet table=firewalld",
		"iptables-legacy table filter: enforcing (chain INPUT, drop rule)" + foreign,
	}, got)
}

func TestLookingLoadsNoTable(t *testing.T) {
	got := onHost(t, nil, ":", "bash", "-c", `"$0"; [[ -z $(cat /proc/net/ip_tables_names /proc/net/ip6_tables_names) && -z $(nft list tables) ]]`)
	diff(t, nil, got)
}

func TestServiceOfALiveHost(t *testing.T) {
	files := map[string]string{
		"usr/sbin/ufw": "", "etc/init.d/ufw": "", "etc/rcS.d/S01ufw": "->../init.d/ufw", "etc/ufw/ufw.conf": "ENABLED=yes\n",
	}
	tests := map[string]struct{ script, want string }{
		"on":      {`iptables-nft-restore <$TESTDATA/ufw-enabled.v4`, "ufw: enforcing (nft table ip filter)" + ours + " ufw=ufw"},
		"flushed": {`iptables-nft-restore <$TESTDATA/ufw-enabled.v4; nft flush ruleset`, "ufw: enabled at boot, supported not installed [enabled pending] ufw=ufw"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { diff(t, []string{tt.want}, onHost(t, files, tt.script)) })
	}
}

func TestWithoutNetAdminNothingIsKnown(t *testing.T) {
	installed := map[string]string{"usr/sbin/ufw": ""}
	got := onHost(t, installed, "iptables-legacy -A INPUT -j DROP", "setpriv", "--bounding-set=-net_admin", "--")
	diff(t, []string{
		`cannot tell "": the kernel's iptables-legacy tables cannot be read: operation not permitted (run as root with CAP_NET_ADMIN)`,
		`cannot tell "": the kernel's nf_tables cannot be read: operation not permitted (run as root with CAP_NET_ADMIN)`,
	}, got)
}

func TestTheCapabilitiesOfThePodSuffice(t *testing.T) {
	got := onHost(t, nil, firewalldRules+"iptables-legacy -A INPUT -j DROP; ip6tables-legacy -A INPUT -j DROP",
		"setpriv", "--bounding-set=-all,+net_admin,+dac_read_search", "--inh-caps=-all", "--")
	diff(t, []string{
		"firewalld: enforcing (nft table inet firewalld)" + ours + " family=inet table=firewalld",
		"ip6tables-legacy table filter: enforcing (chain INPUT, drop rule)" + foreign,
		"iptables-legacy table filter: enforcing (chain INPUT, drop rule)" + foreign,
	}, got)
}

func TestAnotherNetworkNamespaceIsNoAnswer(t *testing.T) {
	for name, script := range map[string]string{"with rules": firewalldRules, "without": ":"} {
		t.Run(name, func(t *testing.T) {
			got := onHost(t, nil, script, "unshare", "--net", "--")
			diff(t, []string{`cannot tell "": the kernel's firewall rules: the reader's network namespace is not that of the host's pid 1 (run in the host's network namespace (hostNetwork: true in a pod))`}, got)
		})
	}
}

// A systemd that does not answer is a gap of its own, and its files still speak.
func TestDeadBus(t *testing.T) {
	files := map[string]string{
		"run/systemd/system/x": "", "usr/lib/systemd/system/ufw.service": "[Unit]", "etc/ufw/ufw.conf": "ENABLED=yes\n",
		"etc/systemd/system/multi-user.target.wants/ufw.service": "->/usr/lib/systemd/system/ufw.service",
	}
	got := onHost(t, files, firewalldRules)
	want := []string{
		"firewalld: enforcing (nft table inet firewalld)" + ours + " family=inet table=firewalld",
		"ufw: enabled at boot, supported not installed [enabled pending] ufw=ufw unit=ufw.service",
		`cannot tell "systemd": systemd cannot be asked over D-Bus: no such file or directory (mount the host's /run/dbus/system_bus_socket; where AppArmor confines the container, run it unconfined)`,
	}
	diff(t, want, got)
	if strings.Contains(strings.Join(got, "\n"), "/fd/") {
		t.Error("a descriptor's number makes each look another")
	}
}

func TestWithoutServicesNoBusIsNeeded(t *testing.T) {
	diff(t, nil, onHost(t, map[string]string{"run/systemd/system/x": ""}, ":"))
}
