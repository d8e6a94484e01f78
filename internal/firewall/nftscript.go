package firewall

import (
	"slices"
	"strings"
)

// nftScript is what a script for nft would set up, as far as it matters here.
type nftScript struct {
	hooked   bool            // a chain is hooked into the packets' way
	drops    bool            // somewhere it drops or rejects
	tables   map[string]bool // "family name"
	includes []string
}

// parseNft reads the words of a script, whatever it says between them.
func parseNft(data []byte) nftScript {
	out := nftScript{tables: map[string]bool{}}
	words := nftWords(string(data))
	at := func(i int) string {
		if i < len(words) {
			return words[i]
		}
		return ""
	}
	for i, word := range words {
		switch {
		case word == "include" && strings.HasPrefix(at(i+1), `"`):
			out.includes = append(out.includes, at(i + 1)[1:])
		case word == "table" && !deletes(words, i):
			family, name := at(i+1), at(i+2)
			if !nftFamily(family) {
				family, name = "ip", family
			}
			out.tables[family+" "+name] = true
		case word == "hook":
			out.hooked = true
		case dropping(word):
			out.drops = true
		}
	}
	return out
}

// dropping tells whether the word, or one of a map's that are written as one, takes
// packets away.
func dropping(word string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(word, func(r rune) bool { return r == ',' || r == ':' || r == '=' }), func(part string) bool {
		return part == "drop" || part == "reject"
	})
}

// deletes tells whether the word at i is the object of a command that sets nothing up.
func deletes(words []string, i int) bool {
	if i == 0 {
		return false
	}
	switch words[i-1] {
	case "delete", "destroy", "flush", "list", "reset":
		return true
	default:
		return false
	}
}

func nftFamily(word string) bool {
	switch word {
	case "ip", "ip6", "inet", "arp", "bridge", "netdev":
		return true
	default:
		return false
	}
}

// nftWords splits a script; a quoted string is one word that keeps its first
// quote, comments are none.
func nftWords(s string) []string {
	var words []string
	for s != "" {
		i := strings.IndexAny(s, "\"#{};\n \t\r")
		if i < 0 {
			return append(words, s)
		}
		if i > 0 {
			words = append(words, s[:i])
		}
		switch s[i] {
		case '#':
			_, s, _ = strings.Cut(s[i:], "\n")
		case '"':
			var text string
			text, s, _ = strings.Cut(s[i+1:], `"`)
			words = append(words, `"`+text)
		default:
			s = s[i+1:]
		}
	}
	return words
}
