package firewall

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestUnitsOf(t *testing.T) {
	services := []string{"firewalld", "ufw", "iptables", "netfilter-persistent", "shorewall", "csf", "nftables"}
	states := []unitStatus{
		{Name: "firewalld.service", LoadState: "masked", ActiveState: "inactive"},
		{Name: "ufw.service", LoadState: "loaded", ActiveState: "active", SubState: "exited"},
		{Name: "netfilter-persistent.service", LoadState: "loaded", ActiveState: "inactive"}, // asked for as iptables.service
		{Name: "netfilter-persistent.service", LoadState: "loaded", ActiveState: "inactive"},
		{Name: "shorewall.service", LoadState: "not-found", ActiveState: "inactive"},
		{Name: "csf.service", LoadState: "loaded", ActiveState: "inactive"},
		{Name: "nftables.service", LoadState: "loaded", ActiveState: "reloading"},
	}
	files := []unitFile{
		{"/etc/systemd/system/firewalld.service", "masked"},
		{"/usr/lib/systemd/system/ufw.service", "disabled"},
		{"/etc/systemd/system/iptables.service", "alias"},
		{"/usr/lib/systemd/system/netfilter-persistent.service", "enabled"},
		{"/run/systemd/generator.late/csf.service", "generated"},
		{"/usr/lib/systemd/system/nftables.service", "enabled-runtime"}, // the next boot forgets it
		{"/usr/lib/systemd/system/sshd.service", "enabled"},
	}
	want := map[string]unit{
		"firewalld":            {},
		"ufw":                  {loaded: true, active: true},
		"iptables":             {},
		"netfilter-persistent": {loaded: true, enabled: true},
		"shorewall":            {},
		"csf":                  {loaded: true, sysv: true},
		"nftables":             {loaded: true, active: true},
	}
	if d := cmp.Diff(want, unitsOf(services, states, files), cmp.AllowUnexported(unit{})); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}
