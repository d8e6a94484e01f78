package firewall

import (
	"net/netip"
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// backend is where a table was found.
type backend string

const (
	nfTables backend = "nf_tables"
	legacy   backend = "iptables-legacy"
	saved    backend = "saved" // in a rules file, in force after the next boot
)

// table is a table of chains, of either backend or of a rules file.
type table struct {
	backend backend
	family  string // ip, ip6, inet, bridge, netdev
	name    string
	chains  []chain
}

// chain is a chain with what its rules can do to a packet.
type chain struct {
	name  string
	hook  string // input, forward, ...; "" for a chain that only other chains lead to
	drops bool   // the policy is drop
	rules []rule
}

// rule is what one rule can do, conditions aside.
type rule struct {
	drop        bool       // drop or reject
	to          []string   // chains that it jumps or goes to
	destination netip.Addr // the one address that it applies to; invalid: more than one
	redirects   []ports    // destination ports that it hands to another address
}

// drop tells where the table drops or rejects packets, leaving out the chains
// that the rule ignores and what only they lead to.
func (r Rule) drop(t table) (where string, ok bool) {
	if t.backend == nfTables && r.ignores(t.name) {
		return "", false
	}
	w := walk{Rule: r, table: t, seen: map[string]bool{}}
	for _, c := range t.chains {
		if c.hook == "" || r.ignores(c.name) {
			continue
		}
		if c.drops && !(c.hook == "forward" && w.ownsForward()) {
			return "chain " + drift.Printable(c.name) + ", policy drop", true
		}
		if where, ok := w.chain(c); ok {
			return where, true
		}
	}
	return "", false
}

// walk follows the jumps of one table.
type walk struct {
	Rule
	table table
	seen  map[string]bool
}

// ownsForward tells whether Docker is at home here: it drops what it does not forward.
func (w walk) ownsForward() bool {
	return slices.ContainsFunc(w.table.chains, func(c chain) bool { return matches(w.ForwardDrop, c.name) })
}

func (w walk) chain(c chain) (where string, ok bool) {
	w.seen[c.name] = true
	for _, rule := range c.rules {
		if rule.drop && !slices.Contains(w.AllowDropTo, rule.destination) {
			return "chain " + drift.Printable(c.name) + ", drop rule", true
		}
		for _, name := range rule.to {
			if w.seen[name] || w.ignores(name) {
				continue
			}
			if next, found := w.table.chain(name); found {
				if where, ok := w.chain(next); ok {
					return where, true
				}
			}
		}
	}
	return "", false
}

func (t table) chain(name string) (chain, bool) {
	if i := slices.IndexFunc(t.chains, func(c chain) bool { return c.name == name }); i >= 0 {
		return t.chains[i], true
	}
	return chain{}, false
}

// has tells whether one of the table's chains is named like one of the globs.
func (t table) has(globs ...string) bool {
	return slices.ContainsFunc(t.chains, func(c chain) bool { return matches(globs, c.name) })
}

// hooked tells whether a packet meets any rule of the table at all.
func (t table) hooked() bool {
	return slices.ContainsFunc(t.chains, func(c chain) bool { return c.hook != "" && len(c.rules) > 0 })
}

// String is the table as its tools name it.
func (t table) String() string {
	name := drift.Printable(t.name)
	switch {
	case t.backend == nfTables:
		return "nftables table " + t.family + " " + name
	case t.family == "ip6":
		return "ip6tables-legacy table " + name
	default:
		return "iptables-legacy table " + name
	}
}

// short is the table as a finding of its service names it.
func (t table) short() string {
	if t.backend == nfTables {
		return "nft table " + t.family + " " + drift.Printable(t.name)
	}
	return t.String()
}
