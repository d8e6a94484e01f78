package firewall

import (
	"testing"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/google/go-cmp/cmp"
)

func TestUnitsOf(t *testing.T) {
	services := []string{"firewalld", "ufw", "iptables", "netfilter-persistent", "shorewall", "csf", "nftables"}
	states := []systemd.UnitStatus{
		{Name: "firewalld.service", LoadState: "masked", ActiveState: "inactive"},
		{Name: "ufw.service", LoadState: "loaded", ActiveState: "active", SubState: "exited"},
		{Name: "netfilter-persistent.service", LoadState: "loaded", ActiveState: "inactive"}, // asked for as iptables.service
		{Name: "netfilter-persistent.service", LoadState: "loaded", ActiveState: "inactive"},
		{Name: "shorewall.service", LoadState: "not-found", ActiveState: "inactive"},
		{Name: "csf.service", LoadState: "loaded", ActiveState: "inactive"},
		{Name: "nftables.service", LoadState: "loaded", ActiveState: "reloading"},
	}
	files := []systemd.UnitFile{
		{Path: "/etc/systemd/system/firewalld.service", Type: "masked"},
		{Path: "/usr/lib/systemd/system/ufw.service", Type: "disabled"},
		{Path: "/etc/systemd/system/iptables.service", Type: "alias"},
		{Path: "/usr/lib/systemd/system/netfilter-persistent.service", Type: "enabled"},
		{Path: "/run/systemd/generator.late/csf.service", Type: "generated"},
		{Path: "/usr/lib/systemd/system/nftables.service", Type: "enabled-runtime"}, // the next boot forgets it
		{Path: "/usr/lib/systemd/system/sshd.service", Type: "enabled"},
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
