package firewall

import "slices"

// service is a firewall that can be installed.
type service struct {
	name     string
	programs []string // one of them there means installed; none for tools that Kubernetes needs itself
	daemon   bool     // its unit is active only while its rules are in force; false for oneshot units
	owns     func(table) bool
	restores []string // families whose tables it only loads from a file, so that no name tells whose they are
	config   func(files) (config, error)
}

func (s service) unit() string { return s.name + ".service" }

// services are the ones that are known, those first whose rules are known by
// their names.
var services = [...]service{
	{name: "firewalld", programs: []string{"/usr/sbin/firewalld"}, daemon: true, owns: ofFirewalld, config: always},
	{name: "ufw", programs: []string{"/usr/sbin/ufw"}, owns: chains("ufw-user-input", "ufw6-user-input"), config: ufwConfig},
	{name: "csf", programs: []string{"/usr/sbin/csf"}, owns: chains("LOCALINPUT", "DENYIN"), config: csfConfig},
	{name: "lfd", programs: []string{"/usr/sbin/lfd"}, owns: nothing, config: csfConfig}, // its rules are in csf's chains
	{name: "apf", programs: []string{"/usr/local/sbin/apf", "/usr/sbin/apf", "/etc/apf/apf"}, owns: chains("TALLOW", "TDENY"), config: apfConfig},
	{name: "shorewall", programs: []string{"/usr/sbin/shorewall"}, owns: inFamily("ip", chains("shorewall")), config: shorewallConfig("/etc/shorewall/shorewall.conf")},
	{name: "shorewall6", programs: []string{"/usr/sbin/shorewall6"}, owns: inFamily("ip6", chains("shorewall")), config: shorewallConfig("/etc/shorewall6/shorewall6.conf")},
	{name: "iptables", owns: nothing, restores: []string{"ip"}, config: savedRules("ip", "/etc/sysconfig/iptables", "/etc/iptables/iptables.rules")},
	{name: "ip6tables", owns: nothing, restores: []string{"ip6"}, config: savedRules("ip6", "/etc/sysconfig/ip6tables", "/etc/iptables/ip6tables.rules")},
	{name: "netfilter-persistent", programs: []string{"/usr/sbin/netfilter-persistent"}, owns: nothing, restores: []string{"ip", "ip6"}, config: persistentRules},
	{name: "nftables", owns: nothing, config: nftablesConfig},
}

// isService tells whether the name is one of theirs.
func isService(name string) bool {
	return slices.ContainsFunc(services[:], func(s service) bool { return s.name == name })
}

// ofFirewalld knows both of its backends.
func ofFirewalld(t table) bool {
	return t.backend == nfTables && t.name == "firewalld" || t.has("INPUT_ZONES", "INPUT_direct")
}

func chains(names ...string) func(table) bool {
	return func(t table) bool { return t.has(names...) }
}

func inFamily(family string, owns func(table) bool) func(table) bool {
	return func(t table) bool { return t.family == family && owns(t) }
}

func nothing(table) bool { return false }
