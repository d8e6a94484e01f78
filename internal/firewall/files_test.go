package firewall

import (
	"os"
	"path/filepath"
	"testing"
)

func TestFilesOfATree(t *testing.T) {
	const (
		ufw       = "usr/lib/systemd/system/ufw.service"
		ufwWanted = "etc/systemd/system/multi-user.target.wants/ufw.service"
		persists  = "usr/lib/systemd/system/netfilter-persistent.service"
		persisted = "etc/systemd/system/multi-user.target.wants/netfilter-persistent.service"
		drops     = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -j DROP\nCOMMIT\n"
		installed = "installed, supported not installed [installed active]"
		enabled   = "enabled at boot, supported not installed [enabled pending]"
	)
	tests := map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing": {nil, nil},
		"ufw is on": {
			map[string]string{ufw: "[Unit]", ufwWanted: "->/" + ufw, "etc/ufw/ufw.conf": "ENABLED=yes\n"},
			[]string{"ufw: " + enabled + " ufw=ufw unit=ufw.service"},
		},
		"ufw as every Ubuntu has it": {
			map[string]string{ufw: "[Unit]", ufwWanted: "->/" + ufw, "etc/ufw/ufw.conf": "# ENABLED=yes\nENABLED=no\n"},
			[]string{"ufw: " + installed + " ufw=ufw unit=ufw.service"},
		},
		"ufw is on, its unit masked": {
			map[string]string{ufw: "[Unit]", ufwWanted: "->/" + ufw, "etc/systemd/system/ufw.service": "->/dev/null", "etc/ufw/ufw.conf": "ENABLED=yes\n"},
			[]string{"ufw: " + installed + " ufw=ufw unit=ufw.service"},
		},
		"ufw is on, started by sysvinit": {
			map[string]string{"etc/init.d/ufw": "#!/bin/sh", "etc/rcS.d/S01ufw": "->../init.d/ufw", "etc/ufw/ufw.conf": "ENABLED=yes\n"},
			[]string{"ufw: " + enabled + " ufw=ufw"},
		},
		"ufw is stopped by sysvinit": {
			map[string]string{"etc/init.d/ufw": "#!/bin/sh", "etc/rc1.d/K01ufw": "->../init.d/ufw", "etc/ufw/ufw.conf": "ENABLED=yes\n"},
			[]string{"ufw: " + installed + " ufw=ufw"},
		},
		"masked and not there": {map[string]string{"etc/systemd/system/firewalld.service": "->/dev/null"}, nil},
		"a program without a unit": {
			map[string]string{"usr/sbin/firewalld": ""}, []string{"firewalld: " + installed},
		},
		"tools that Kubernetes needs are no firewall": {map[string]string{"usr/sbin/iptables": "", "usr/sbin/nft": ""}, nil},
		"iptables is an alias of netfilter-persistent": {
			map[string]string{persists: "[Unit]", "etc/systemd/system/iptables.service": "->/" + persists, persisted: "->/" + persists, "etc/iptables/rules.v4": drops},
			[]string{"netfilter-persistent: " + enabled + " unit=netfilter-persistent.service"},
		},
		"a unit linked into place is its own": {
			map[string]string{"opt/firewalld.service": "[Unit]", "etc/systemd/system/firewalld.service": "->/opt/firewalld.service"},
			[]string{"firewalld: " + installed + " unit=firewalld.service"},
		},
		"IPv6 rules alone": {
			map[string]string{persists: "[Unit]", persisted: "->/" + persists, "etc/iptables/rules.v6": drops},
			[]string{"netfilter-persistent: " + enabled + " unit=netfilter-persistent.service"},
		},
		"netfilter-persistent without rules": {
			map[string]string{persists: "[Unit]", persisted: "->/" + persists, "etc/iptables/rules.v4": "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n"},
			[]string{"netfilter-persistent: " + installed + " unit=netfilter-persistent.service"},
		},
		"iptables-services": {
			map[string]string{"usr/lib/systemd/system/iptables.service": "", "etc/init.d/iptables": "", "etc/rc3.d/S08iptables": "->../init.d/iptables", "etc/sysconfig/iptables": drops},
			[]string{"iptables: " + enabled},
		},
		"nftables includes a chain with a hook": {
			map[string]string{
				"usr/lib/systemd/system/nftables.service": "[Unit]", "etc/systemd/system/sysinit.target.wants/nftables.service": "->/usr/lib/systemd/system/nftables.service",
				"etc/nftables.conf": "include \"/etc/nftables.d/*.nft\"\n", "etc/nftables.d/a.nft": "table inet a { chain b { type filter hook input priority 0; policy drop; } }",
			},
			[]string{"nftables: " + enabled + " unit=nftables.service"},
		},
		"nftables only flushes": {
			map[string]string{
				"usr/lib/systemd/system/nftables.service": "[Unit]", "etc/systemd/system/sysinit.target.wants/nftables.service": "->/usr/lib/systemd/system/nftables.service",
				"etc/nftables.conf": "flush ruleset\n# hook\ninclude \"/etc/nftables.conf\"\n",
			},
			[]string{"nftables: " + installed + " unit=nftables.service"},
		},
		"nftables as Debian ships it drops nothing": {
			map[string]string{
				"usr/lib/systemd/system/nftables.service": "[Unit]", "etc/systemd/system/sysinit.target.wants/nftables.service": "->/usr/lib/systemd/system/nftables.service",
				"etc/nftables.conf": "flush ruleset\ntable inet filter {\n\tchain input {\n\t\ttype filter hook input priority filter;\n\t}\n}\n",
			},
			[]string{"nftables: " + installed + " unit=nftables.service"},
		},
		"csf is on": {
			map[string]string{"usr/sbin/csf": "", "etc/init.d/csf": "", "etc/rc3.d/S20csf": "->../init.d/csf", "etc/csf/csf.conf": "TESTING = \"0\"\n"},
			[]string{"csf: " + enabled},
		},
		"csf tests": {
			map[string]string{"usr/sbin/csf": "", "etc/init.d/csf": "", "etc/rc3.d/S20csf": "->../init.d/csf", "etc/csf/csf.conf": "TESTING = \"1\"\n"},
			[]string{"csf: " + installed},
		},
		"csf is disabled": {
			map[string]string{"usr/sbin/csf": "", "etc/init.d/csf": "", "etc/rc3.d/S20csf": "->../init.d/csf", "etc/csf/csf.conf": "TESTING = \"0\"\n", "etc/csf/csf.disable": ""},
			[]string{"csf: " + installed},
		},
		"apf is on": {
			map[string]string{"etc/apf/apf": "", "etc/init.d/apf": "", "etc/rc3.d/S20apf": "->../init.d/apf", "etc/apf/conf.apf": "DEVEL_MODE=\"0\"\n"},
			[]string{"apf: " + enabled},
		},
		"apf develops": {
			map[string]string{"etc/apf/apf": "", "etc/init.d/apf": "", "etc/rc3.d/S20apf": "->../init.d/apf", "etc/apf/conf.apf": "DEVEL_MODE=\"1\"\n"},
			[]string{"apf: " + installed},
		},
		"shorewall is on, shorewall6 is not": {
			map[string]string{
				"etc/init.d/shorewall": "", "etc/rc3.d/S20shorewall": "->../init.d/shorewall", "etc/shorewall/shorewall.conf": "STARTUP_ENABLED=Yes\n",
				"etc/init.d/shorewall6": "", "etc/rc3.d/S20shorewall6": "->../init.d/shorewall6", "etc/shorewall6/shorewall6.conf": "STARTUP_ENABLED=No\n",
			},
			[]string{"shorewall: " + enabled, "shorewall6: " + installed},
		},
		"a directory where a configuration should be": {
			map[string]string{ufw: "[Unit]", ufwWanted: "->/" + ufw, "etc/ufw/ufw.conf/x": ""},
			[]string{
				"ufw: " + installed + " ufw=ufw unit=ufw.service",
				`cannot tell "ufw": its files cannot be read: open /etc/ufw/ufw.conf: not a regular file (reading them takes root; look at them on the host)`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			tree(t, dir, tt.files)
			// What is no running host's says nothing of units and kernel tables.
			if err := os.MkdirAll(filepath.Join(dir, "run/systemd/system"), 0o755); err != nil {
				t.Fatal(err)
			}
			diff(t, tt.want, lines(observe(t, dir)))
		})
	}
}
