//go:build e2e

package host

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

const operation = "ack.net.firewall"

const (
	enforcing = "critical active"
	enabled   = "warning pending"
	installed = "info active"
)

// verdicts maps what a report says of firewalls: subject to severity and state.
type verdicts map[string]string

func TestFreshBoot(t *testing.T) {
	m := bootWithFirewalld(t)
	m.expect(verdicts{"firewalld": enforcing, "ufw": installed})
}

func TestActiveUnitOfUFWThatIsOff(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.unit("ufw", "active exited enabled")
	m.expect(verdicts{"firewalld": installed, "ufw": installed})
}

func TestFirewalldStopped(t *testing.T) {
	m := bootWithFirewalld(t)
	m.Run("systemctl stop firewalld")
	m.expect(verdicts{"firewalld": enabled, "ufw": installed})
}

func TestFirewalldKilledStillEnforces(t *testing.T) {
	m := bootWithFirewalld(t)
	m.Run("kill -9 $(systemctl show -P MainPID firewalld)")
	m.Run("until [ $(systemctl show -P ActiveState firewalld) = failed ]; do :; done; nft list table inet firewalld")
	m.expect(verdicts{"firewalld": enforcing, "ufw": installed})
}

func TestFirewalldDisabledAndStopped(t *testing.T) {
	m := bootWithFirewalld(t)
	m.Run("systemctl disable --now firewalld")
	m.expect(verdicts{"firewalld": installed, "ufw": installed})
}

func TestFirewalldPurged(t *testing.T) {
	m := bootWithFirewalld(t)
	m.Run("dpkg --purge firewalld")
	m.expect(verdicts{"ufw": installed})
	if got, found := m.firewalls(m.Check())["firewalld"]; found {
		t.Errorf("firewalld is gone and still reported: %s", got)
	}
}

func TestRulesetFlushedUnderFirewalld(t *testing.T) {
	m := bootWithFirewalld(t)
	m.Run("nft flush ruleset")
	m.unit("firewalld", "active running enabled")
	m.expect(verdicts{"firewalld": enabled, "ufw": installed})
}

func TestUFWEnabled(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("ufw --force enable")
	m.expect(verdicts{"firewalld": installed, "ufw": enforcing})
}

func TestUFWDisabledLeavesEmptyChains(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("ufw --force enable; ufw disable")
	m.Run("nft list table ip filter | grep -q 'chain ufw-'")
	m.expect(verdicts{"firewalld": installed, "ufw": installed})
}

func TestRulesetFlushedUnderUFW(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("ufw --force enable; nft flush ruleset")
	m.unit("ufw", "active exited enabled")
	m.expect(verdicts{"firewalld": installed, "ufw": enabled})
}

func TestUFWStoppedComesBackAtBoot(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("ufw --force enable; systemctl stop ufw")
	m.expect(verdicts{"firewalld": installed, "ufw": enabled})
}

func TestRulesOfTheContainerNetwork(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("iptables-restore <<'EOF'\n" + containerNetwork + "EOF")
	m.Run("nft -f - <<'EOF'\n" + kubeProxy + "EOF")
	m.expect(verdicts{"firewalld": installed, "ufw": installed})
}

func TestLegacyTables(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	if out, err := m.Try("iptables-legacy -S INPUT"); err != nil {
		t.Skipf("this kernel has no legacy iptables: %s", out)
	}
	m.Run("iptables-legacy-restore <<'EOF'\n" + containerNetwork + "EOF")
	m.expect(verdicts{"firewalld": installed, "ufw": installed})

	m.Run("iptables-legacy -A INPUT -p tcp --dport 10250 -j DROP")
	m.Run("! nft list ruleset | grep 10250")
	m.expectOne(enforcing)
}

func TestBareRuleset(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("systemctl start nftables") // Debian's own: three empty chains with policy accept
	m.expect(verdicts{"firewalld": installed, "ufw": installed})

	m.Run("nft add rule inet filter input tcp dport 10250 drop")
	m.expectOne(enforcing)
}

func TestDeadBus(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("ufw --force enable")
	m.Run("systemctl stop dbus.socket dbus.service")
	m.expect(verdicts{"firewalld": installed, "ufw": enforcing}) // systemd answers on a socket of its own
}

func TestUnreachableSystemd(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("ufw --force enable")
	m.Run("systemctl stop dbus.socket dbus.service; mv /run/systemd/private /run/systemd/gone")
	m.expectBlindToUnits(verdicts{"ufw": enforcing})
}

func TestHungSystemd(t *testing.T) {
	m := Boot(t, "systemctl disable firewalld")
	m.Run("ufw --force enable")
	m.Freeze()
	m.expectBlindToUnits(verdicts{"ufw": enforcing})
}

// bootWithFirewalld boots and waits for firewalld's rules: its unit is active a moment before they are loaded.
func bootWithFirewalld(t *testing.T) *Machine {
	t.Helper()
	m := Boot(t)
	m.Run("firewall-cmd --state && nft list table inet firewalld")
	return m
}

// expect compares all that counts; what is merely installed is compared where it is wanted.
func (m *Machine) expect(want verdicts) {
	m.t.Helper()
	report := m.Check()
	got := m.firewalls(report)
	maps.DeleteFunc(got, func(subject, verdict string) bool {
		_, wanted := want[subject]
		return verdict == installed && !wanted
	})
	if !maps.Equal(got, want) {
		m.t.Errorf("firewalls %v, want %v\n%s", got, want, m.details(report))
	}
	for _, gap := range report.Unknown {
		if gap.Operation == operation {
			m.t.Errorf("could not look: %+v", gap)
		}
	}
}

// expectOne compares the one verdict that is more than installed, whatever its subject is called.
func (m *Machine) expectOne(want string) {
	m.t.Helper()
	report := m.Check()
	got := m.firewalls(report)
	maps.DeleteFunc(got, func(_, verdict string) bool { return verdict == installed })
	for _, verdict := range got {
		if len(got) == 1 && verdict == want {
			return
		}
	}
	m.t.Errorf("firewalls %v, want one that is %s\n%s", got, want, m.details(report))
}

// expectBlindToUnits expects a report that says what could not be looked at, and judges what the kernel tells.
func (m *Machine) expectBlindToUnits(want verdicts) {
	m.t.Helper()
	report := m.Check()
	got := m.firewalls(report)
	for subject, verdict := range want {
		if got[subject] != verdict {
			m.t.Errorf("%s is %q, want %q: the kernel can be asked without systemd", subject, got[subject], verdict)
		}
	}
	told := slices.ContainsFunc(report.Unknown, func(gap Gap) bool {
		return gap.Operation == operation && gap.Subject != "" && gap.Reason != "" && gap.Hint != ""
	})
	if !told {
		m.t.Errorf("the report does not say that units could not be looked at; unknown: %+v", report.Unknown)
	}
}

func (m *Machine) firewalls(report Report) verdicts {
	m.t.Helper()
	found := verdicts{}
	for _, finding := range report.Findings {
		if finding.Operation != operation {
			continue
		}
		if finding.Condition != "FirewallInterference" {
			m.t.Errorf("%s belongs to condition %q", finding.Subject, finding.Condition)
		}
		if before, twice := found[finding.Subject]; twice {
			m.t.Errorf("%s is reported twice: %s and %s %s", finding.Subject, before, finding.Severity, finding.State)
		}
		found[finding.Subject] = finding.Severity + " " + finding.State
	}
	return found
}

func (m *Machine) details(report Report) string {
	var lines []string
	for _, finding := range report.Findings {
		if finding.Operation == operation {
			lines = append(lines, finding.Subject+": "+finding.Observed)
		}
	}
	ruleset, _ := m.Try("nft list tables; systemctl --no-legend --plain list-units 'ufw*' 'firewalld*' 'nftables*'")
	return strings.Join(append(lines, ruleset), "\n")
}

// unit makes sure that the trap is there: what the service manager says of a unit.
func (m *Machine) unit(name, want string) {
	m.t.Helper()
	got := strings.Join(strings.Fields(m.Run("systemctl show -P ActiveState -P SubState -P UnitFileState "+name)), " ")
	if got != want {
		m.t.Fatalf("unit %s is %q, want %q", name, got, want)
	}
}

// containerNetwork is what kube-proxy, the kubelet, CNI plugins, Calico and Docker load, drops included.
const containerNetwork = `*filter
:INPUT ACCEPT [0:0]
:FORWARD DROP [0:0]
:OUTPUT ACCEPT [0:0]
:KUBE-FIREWALL - [0:0]
:KUBE-FORWARD - [0:0]
:KUBE-EXTERNAL-SERVICES - [0:0]
:CNI-FORWARD - [0:0]
:CNI-ADMIN - [0:0]
:cali-INPUT - [0:0]
:cali-FORWARD - [0:0]
:cali-fw-cali1234 - [0:0]
:DOCKER - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-ISOLATION-STAGE-1 - [0:0]
:DOCKER-ISOLATION-STAGE-2 - [0:0]
-A INPUT -j cali-INPUT
-A INPUT -m conntrack --ctstate NEW -j KUBE-EXTERNAL-SERVICES
-A INPUT -j KUBE-FIREWALL
-A FORWARD -j cali-FORWARD
-A FORWARD -j KUBE-FORWARD
-A FORWARD -j CNI-FORWARD
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -j DOCKER
-A OUTPUT -j KUBE-FIREWALL
-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-EXTERNAL-SERVICES -d 192.0.2.10/32 -p tcp -m tcp --dport 80 -j REJECT
-A CNI-FORWARD -j CNI-ADMIN
-A cali-INPUT -p ipencap -j DROP
-A cali-FORWARD -i cali1234 -j cali-fw-cali1234
-A cali-fw-cali1234 -m conntrack --ctstate INVALID -j DROP
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-USER -j RETURN
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
:INPUT ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
:POSTROUTING ACCEPT [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-POSTROUTING - [0:0]
:CNI-HOSTPORT-DNAT - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-POSTROUTING -m mark --mark 0x4000/0x4000 -j MASQUERADE
COMMIT
`

// kubeProxy is the outline of what kube-proxy loads in its nftables mode.
const kubeProxy = `table ip kube-proxy {
	chain firewall-check { tcp dport 10256 drop
	}
	chain reject-chain { reject
	}
	chain filter-input { type filter hook input priority -110; policy accept; jump firewall-check
	}
	chain filter-forward { type filter hook forward priority -110; policy accept; jump reject-chain
	}
}
`
