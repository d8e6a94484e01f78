package firewall

import (
	"net/netip"
	"testing"
)

var (
	dropRule = rule{drop: true}
	accept   = rule{}

	firewalldTable = table{backend: nfTables, family: "inet", name: "firewalld", chains: []chain{
		{name: "filter_INPUT", hook: "input", rules: []rule{{to: []string{"filter_INPUT_ZONES"}}, dropRule}},
		{name: "filter_INPUT_ZONES"},
	}}
	ufwTable = table{backend: nfTables, family: "ip", name: "filter", chains: []chain{
		{name: "INPUT", hook: "input", drops: true, rules: []rule{{to: []string{"ufw-before-input"}}}},
		{name: "ufw-before-input", rules: []rule{{to: []string{"ufw-user-input"}}, dropRule}},
		{name: "ufw-user-input"},
	}}
	ufwLeftovers = table{backend: nfTables, family: "ip", name: "filter", chains: []chain{
		{name: "INPUT", hook: "input", rules: []rule{{to: []string{"ufw-before-input"}}}},
		{name: "ufw-before-input"},
	}}
	foreignTable = filter(nfTables, chain{name: "INPUT", hook: "input", rules: []rule{dropRule}})
)

func filter(b backend, chains ...chain) table {
	return table{backend: b, family: "ip", name: "filter", chains: chains}
}

func TestJudge(t *testing.T) {
	on := unit{loaded: true, active: true, enabled: true}
	off := unit{loaded: true}
	files := trace{unit: true, present: true, config: config{armed: true}}
	unarmed := trace{unit: true, present: true}
	saves := func(tables ...table) trace { return trace{unit: true, present: true, config: config{saved: tables}} }
	declares := trace{unit: true, present: true, config: config{armed: true, declares: map[string]bool{"inet mine": true}}}
	mine := table{backend: nfTables, family: "inet", name: "mine", chains: []chain{{name: "in", hook: "input", drops: true}}}

	tests := map[string]struct {
		facts facts
		want  []string
	}{
		"nothing there": {facts{units: map[string]unit{"firewalld": {}}}, nil},

		"firewalld enforces": {
			facts{traces: map[string]trace{"firewalld": files}, units: map[string]unit{"firewalld": on}, tables: []table{firewalldTable}},
			[]string{"firewalld: enforcing (nft table inet firewalld), supported not installed [enforcing active] unit=firewalld.service"},
		},
		"firewalld was killed and its table is left": {
			facts{traces: map[string]trace{"firewalld": files}, units: map[string]unit{"firewalld": off}, tables: []table{firewalldTable}},
			[]string{"firewalld: enforcing (nft table inet firewalld), supported not installed [enforcing active] family=inet table=firewalld unit=firewalld.service"},
		},
		"firewalld was removed and its table is left": {
			facts{tables: []table{firewalldTable}},
			[]string{"firewalld: enforcing (nft table inet firewalld), supported not installed [enforcing active] family=inet table=firewalld"},
		},
		"firewalld is active, but somebody flushed its rules": {
			facts{traces: map[string]trace{"firewalld": files}, units: map[string]unit{"firewalld": on}},
			[]string{"firewalld: enabled at boot, supported not installed [enabled pending] unit=firewalld.service"},
		},
		"firewalld's table without rules": {
			facts{tables: []table{{backend: nfTables, family: "inet", name: "firewalld", chains: []chain{{name: "filter_INPUT", hook: "input"}}}}}, nil,
		},
		"firewalld with its iptables backend": {
			facts{tables: []table{filter(legacy, chain{name: "INPUT", hook: "input", rules: []rule{{to: []string{"INPUT_ZONES"}}, dropRule}}, chain{name: "INPUT_ZONES"})}},
			[]string{"firewalld: enforcing (iptables-legacy table filter), supported not installed [enforcing active]"},
		},
		"firewalld is enabled": {
			facts{traces: map[string]trace{"firewalld": files}, units: map[string]unit{"firewalld": {loaded: true, enabled: true}}},
			[]string{"firewalld: enabled at boot, supported not installed [enabled pending] unit=firewalld.service"},
		},
		"firewalld is disabled": {
			facts{traces: map[string]trace{"firewalld": files}, units: map[string]unit{"firewalld": off}},
			[]string{"firewalld: installed, supported not installed [installed active] unit=firewalld.service"},
		},
		"firewalld is masked": {
			facts{traces: map[string]trace{"firewalld": {unit: true, present: true, masked: true, wanted: true, config: config{armed: true}}}, units: map[string]unit{"firewalld": {}}},
			[]string{"firewalld: installed, supported not installed [installed active] unit=firewalld.service"},
		},
		"firewalld is masked as a precaution": {
			facts{traces: map[string]trace{"firewalld": {masked: true}}, units: map[string]unit{"firewalld": {}}}, nil,
		},

		"ufw enforces": {
			facts{traces: map[string]trace{"ufw": files}, units: map[string]unit{"ufw": on}, tables: []table{ufwTable}},
			[]string{"ufw: enforcing (nft table ip filter), supported not installed [enforcing active] ufw=ufw unit=ufw.service"},
		},
		"ufw enforces and its unit was stopped": {
			facts{traces: map[string]trace{"ufw": files}, units: map[string]unit{"ufw": off}, tables: []table{ufwTable}},
			[]string{"ufw: enforcing (nft table ip filter), supported not installed [enforcing active] ufw=ufw unit=ufw.service"},
		},
		"ufw was disabled and left its chains": {
			facts{traces: map[string]trace{"ufw": unarmed}, units: map[string]unit{"ufw": on}, tables: []table{ufwLeftovers}},
			[]string{"ufw: installed, supported not installed [installed active] ufw=ufw unit=ufw.service"},
		},
		"ufw's unit is active (exited), ENABLED=no": {
			facts{traces: map[string]trace{"ufw": unarmed}, units: map[string]unit{"ufw": on}},
			[]string{"ufw: installed, supported not installed [installed active] ufw=ufw unit=ufw.service"},
		},
		"ufw: ENABLED=yes, rules flushed": {
			facts{traces: map[string]trace{"ufw": files}, units: map[string]unit{"ufw": on}},
			[]string{"ufw: enabled at boot, supported not installed [enabled pending] ufw=ufw unit=ufw.service"},
		},
		"ufw: ENABLED=yes, unit disabled": {
			facts{traces: map[string]trace{"ufw": files}, units: map[string]unit{"ufw": off}},
			[]string{"ufw: installed, supported not installed [installed active] ufw=ufw unit=ufw.service"},
		},
		"ufw was disabled, another's rule drops": {
			facts{traces: map[string]trace{"ufw": unarmed}, units: map[string]unit{"ufw": on}, tables: []table{{backend: nfTables, family: "ip", name: "filter", chains: append(ufwLeftovers.chains[1:2:2], foreignTable.chains[0])}}},
			[]string{
				"nftables table ip filter: enforcing (chain INPUT, drop rule), supported no foreign rules [enforcing active] family=ip table=filter",
				"ufw: installed, supported not installed [installed active] ufw=ufw unit=ufw.service",
			},
		},

		"iptables.service loaded rules": {
			facts{traces: map[string]trace{"iptables": saves(foreignTable)}, units: map[string]unit{"iptables": on}, tables: []table{foreignTable}},
			[]string{"iptables: enforcing (nft table ip filter), supported not installed [enforcing active] unit=iptables.service"},
		},
		"iptables.service is active (exited), its rules are gone": {
			facts{traces: map[string]trace{"iptables": saves()}, units: map[string]unit{"iptables": on}, tables: []table{filter(nfTables, chain{name: "INPUT", hook: "input"})}},
			[]string{"iptables: installed, supported not installed [installed active] unit=iptables.service"},
		},
		"iptables.service is off, another's rule drops": {
			facts{traces: map[string]trace{"iptables": saves()}, units: map[string]unit{"iptables": off}, tables: []table{foreignTable}},
			[]string{
				"iptables: installed, supported not installed [installed active] unit=iptables.service",
				"nftables table ip filter: enforcing (chain INPUT, drop rule), supported no foreign rules [enforcing active] family=ip table=filter",
			},
		},
		"netfilter-persistent will load a drop": {
			facts{traces: map[string]trace{"netfilter-persistent": saves(foreignTable)}, units: map[string]unit{"netfilter-persistent": on}},
			[]string{"netfilter-persistent: enabled at boot, supported not installed [enabled pending] unit=netfilter-persistent.service"},
		},
		"netfilter-persistent will load the rules of kube-proxy": {
			facts{traces: map[string]trace{"netfilter-persistent": saves(filter(saved, chain{name: "KUBE-FIREWALL", rules: []rule{dropRule}}))}, units: map[string]unit{"netfilter-persistent": on}},
			[]string{"netfilter-persistent: installed, supported not installed [installed active] unit=netfilter-persistent.service"},
		},
		"nftables.service loaded its table": {
			facts{traces: map[string]trace{"nftables": declares}, units: map[string]unit{"nftables": on}, tables: []table{mine}},
			[]string{"nftables: enforcing (nft table inet mine), supported not installed [enforcing active] unit=nftables.service"},
		},
		"nftables.service is active, another table drops": {
			facts{traces: map[string]trace{"nftables": declares}, units: map[string]unit{"nftables": on}, tables: []table{foreignTable}},
			[]string{
				"nftables: enabled at boot, supported not installed [enabled pending] unit=nftables.service",
				"nftables table ip filter: enforcing (chain INPUT, drop rule), supported no foreign rules [enforcing active] family=ip table=filter",
			},
		},

		"no systemd: a runlevel starts ufw": {
			facts{traces: map[string]trace{"ufw": {present: true, sysv: true, config: config{armed: true}}}},
			[]string{"ufw: enabled at boot, supported not installed [enabled pending] ufw=ufw"},
		},
		"systemd made a unit of an init script": {
			facts{traces: map[string]trace{"csf": {present: true, sysv: true, config: config{armed: true}}}, units: map[string]unit{"csf": {loaded: true, sysv: true}}},
			[]string{"csf: enabled at boot, supported not installed [enabled pending] unit=csf.service"},
		},
		"systemd has a disabled unit, and sysv links are left": {
			facts{traces: map[string]trace{"ufw": {unit: true, present: true, sysv: true, config: config{armed: true}}}, units: map[string]unit{"ufw": off}},
			[]string{"ufw: installed, supported not installed [installed active] ufw=ufw unit=ufw.service"},
		},

		"the kernel was not looked at, firewalld runs": {
			facts{blind: true, traces: map[string]trace{"firewalld": files}, units: map[string]unit{"firewalld": on}, gaps: []gap{{"", "reason", "hint"}}},
			[]string{
				"firewalld: enforcing (unit active), supported not installed [enforcing active] unit=firewalld.service",
				`cannot tell "": reason (hint)`,
			},
		},
		"the kernel was not looked at, ufw's unit is active": {
			facts{blind: true, traces: map[string]trace{"ufw": unarmed}, units: map[string]unit{"ufw": on}, gaps: []gap{{"", "reason", "hint"}}},
			[]string{`cannot tell "": reason (hint)`}, // "installed" would clear what was seen before
		},
		"the kernel was not looked at, iptables.service is active": {
			facts{blind: true, traces: map[string]trace{"iptables": saves(foreignTable)}, units: map[string]unit{"iptables": on}, gaps: []gap{{"", "reason", "hint"}}},
			[]string{
				"iptables: enabled at boot, supported not installed [enabled pending] unit=iptables.service",
				`cannot tell "": reason (hint)`,
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			diff(t, tt.want, lines(judge("ack.net.firewall", ack(t), tt.facts).Sorted()))
		})
	}
}

func TestRuleLimitsWhatCounts(t *testing.T) {
	f := facts{
		traces: map[string]trace{
			"firewalld": {unit: true, present: true, config: config{armed: true}},
			"ufw":       {unit: true, present: true, config: config{armed: true}},
		},
		units:  map[string]unit{"firewalld": {loaded: true}, "ufw": {loaded: true, enabled: true}},
		tables: []table{firewalldTable, foreignTable},
		gaps:   []gap{{"ufw", "reason", "hint"}},
	}
	ignore := []string{"KUBE-*"}
	tests := map[string]struct {
		rule Rule
		want []string
	}{
		"one service": {
			Rule{Services: []string{"firewalld"}, Tiers: []string{Enforcing, Enabled}},
			[]string{"firewalld: enforcing (nft table inet firewalld), supported disabled [enforcing active] family=inet table=firewalld unit=firewalld.service"},
		},
		"a tier that does not count": {Rule{Services: []string{"ufw"}, Tiers: []string{Enforcing}}, []string{`cannot tell "ufw": reason (hint)`}},
		"rule sets alone: no service explains them": {
			Rule{RuleSets: true, Ignore: ignore},
			[]string{
				"nftables table inet firewalld: enforcing (chain filter_INPUT, drop rule), supported no foreign rules [enforcing active] family=inet table=firewalld",
				"nftables table ip filter: enforcing (chain INPUT, drop rule), supported no foreign rules [enforcing active] family=ip table=filter",
			},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			diff(t, tt.want, lines(judge("x", tt.rule, f).Sorted()))
		})
	}
}

func TestDrop(t *testing.T) {
	kube := chain{name: "KUBE-FIREWALL", rules: []rule{dropRule}}
	toKube := rule{to: []string{"KUBE-FIREWALL"}}
	metadata := rule{drop: true, destination: netip.MustParseAddr("168.63.129.16")}
	tests := map[string]struct {
		table table
		want  string
	}{
		"empty":                     {filter(legacy, chain{name: "INPUT", hook: "input"}), ""},
		"accepts":                   {filter(legacy, chain{name: "INPUT", hook: "input", rules: []rule{accept}}), ""},
		"drop in nobody's chain":    {filter(legacy, chain{name: "INPUT", hook: "input"}, chain{name: "unused", rules: []rule{dropRule}}), ""},
		"policy of INPUT":           {filter(legacy, chain{name: "INPUT", hook: "input", drops: true}), "chain INPUT, policy drop"},
		"policy of FORWARD":         {filter(legacy, chain{name: "FORWARD", hook: "forward", drops: true}), "chain FORWARD, policy drop"},
		"FORWARD policy of Docker":  {filter(legacy, chain{name: "FORWARD", hook: "forward", drops: true}, chain{name: "DOCKER-USER"}), ""},
		"INPUT policy beside it":    {filter(legacy, chain{name: "INPUT", hook: "input", drops: true}, chain{name: "DOCKER"}), "chain INPUT, policy drop"},
		"own rule in FORWARD, too":  {filter(legacy, chain{name: "FORWARD", hook: "forward", drops: true, rules: []rule{dropRule}}, chain{name: "DOCKER"}), "chain FORWARD, drop rule"},
		"Kubernetes' chain":         {filter(legacy, chain{name: "INPUT", hook: "input", rules: []rule{toKube}}, kube), ""},
		"Kubernetes' base chain":    {filter(nfTables, chain{name: "KUBE-INPUT", hook: "input", drops: true}), ""},
		"what Kubernetes jumps to":  {filter(legacy, chain{name: "INPUT", hook: "input", rules: []rule{toKube}}, chain{name: "KUBE-FIREWALL", rules: []rule{{to: []string{"x"}}}}, chain{name: "x", rules: []rule{dropRule}}), ""},
		"own rule after Kubernetes": {filter(legacy, chain{name: "INPUT", hook: "input", rules: []rule{toKube, dropRule}}, kube), "chain INPUT, drop rule"},
		"to the metadata server":    {filter(legacy, chain{name: "FORWARD", hook: "forward", rules: []rule{metadata}}), ""},
		"to another address":        {filter(legacy, chain{name: "FORWARD", hook: "forward", rules: []rule{{drop: true, destination: netip.MustParseAddr("168.63.129.17")}}}), "chain FORWARD, drop rule"},
		"reached over a jump":       {filter(legacy, chain{name: "INPUT", hook: "input", rules: []rule{{to: []string{"a"}}}}, chain{name: "a", rules: []rule{{to: []string{"a", "b", "gone"}}}}, chain{name: "b", rules: []rule{dropRule}}), "chain b, drop rule"},
		"kube-proxy's table":        {table{backend: nfTables, family: "ip", name: "kube-proxy", chains: []chain{{name: "filter-input", hook: "input", drops: true}}}, ""},
		"a strange chain name":      {filter(nfTables, chain{name: "in\x1b[31m", hook: "input", drops: true}), `chain in\x1b[31m, policy drop`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			where, ok := ack(t).drop(tt.table)
			if where != tt.want || ok != (tt.want != "") {
				t.Errorf("drops %v at %q, want %q", ok, where, tt.want)
			}
		})
	}
}

func TestTableSharedWithKubernetesIsNotDeleted(t *testing.T) {
	shared := filter(nfTables, chain{name: "INPUT", hook: "input", drops: true}, chain{name: "KUBE-FORWARD"})
	got := lines(judge("x", ack(t), facts{tables: []table{shared}}))
	diff(t, []string{"nftables table ip filter: enforcing (chain INPUT, policy drop), supported no foreign rules [enforcing active]"}, got)
}
