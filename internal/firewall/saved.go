package firewall

import (
	"net/netip"
	"slices"
	"strings"
)

// parseSaved reads what iptables-save writes. Lines that it does not know do
// nothing, as little as they would for iptables-restore.
func parseSaved(family string, data []byte) []table {
	var out []table
	index := map[string]int{} // of the open table's chains
	declare := func(c chain) {
		t := &out[len(out)-1]
		index[c.name] = len(t.chains)
		t.chains = append(t.chains, c)
	}
	for line := range strings.Lines(string(data)) {
		words := savedWords(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case strings.HasPrefix(words[0], "*"):
			out, index = append(out, table{backend: saved, family: family, name: words[0][1:]}), map[string]int{}
		case len(out) == 0:
		case strings.HasPrefix(words[0], ":"):
			declare(savedChain(words))
		case len(words) > 2 && slices.Contains(appends, words[0]):
			if _, ok := index[words[1]]; !ok {
				declare(savedChain([]string{":" + words[1]}))
			}
			c := &out[len(out)-1].chains[index[words[1]]]
			c.rules = append(c.rules, savedRule(words[2:]))
		}
	}
	return out
}

var appends = []string{"-A", "-I", "--append", "--insert"}

// savedWords splits a rule; a quoted comment is one word, counters are none.
func savedWords(line string) []string {
	if counters, rest, ok := strings.Cut(line, "] "); ok && strings.HasPrefix(counters, "[") {
		line = rest
	}
	var words []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			words = append(words, `"`+part)
			continue
		}
		words = append(words, strings.Fields(part)...)
	}
	return words
}

func savedChain(words []string) chain {
	c := chain{name: words[0][1:]}
	if slices.Contains(builtin[:], c.name) {
		c.hook = strings.ToLower(c.name)
		c.drops = len(words) > 1 && words[1] == "DROP"
	}
	return c
}

// builtin are the base chains of iptables, by number of their hook.
var builtin = [...]string{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"}

func savedRule(words []string) rule {
	out := rule{redirects: savedRedirect(words)}
	inverted := false
	for i := 0; i+1 < len(words); i++ {
		value := words[i+1]
		switch words[i] {
		case "!":
			inverted = true
			continue
		case "-j", "-g", "--jump", "--goto":
			if out.drop = value == "DROP" || value == "REJECT"; !out.drop {
				out.to = append(out.to, value)
			}
		case "-d", "--destination":
			if !inverted {
				out.destination = savedAddress(value)
			}
		}
		inverted = false
	}
	return out
}

// savedAddress is invalid for a network of more than one address.
func savedAddress(value string) netip.Addr {
	if address, err := netip.ParseAddr(value); err == nil {
		return address
	}
	if prefix, err := netip.ParsePrefix(value); err == nil && prefix.IsSingleIP() {
		return prefix.Addr()
	}
	return netip.Addr{}
}
