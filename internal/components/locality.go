package components

import (
	"slices"
	"strings"
	"unicode"
)

// locality tells which values are this machine's alone.
type locality struct{ names []string }

func (s *scene) locality() locality {
	var l locality
	for _, name := range []string{s.root.Hostname(), s.root.InstanceID(), s.root.MachineID()} {
		if len(name) > 2 && name != "localhost" {
			l.names = append(l.names, name)
		}
	}
	return l
}

// localKeys hold what differs from node to node by its meaning.
var localKeys = []string{"--hostname-override", "--node-ip", "--provider-id", "providerID"}

func (l locality) of(subject, text string) bool {
	key := subject[strings.LastIndexByte(subject, ' ')+1:]
	return slices.Contains(localKeys, key) || slices.ContainsFunc(l.names, func(name string) bool { return holdsWord(text, name) })
}

// holdsWord tells whether the name stands in s, and not as a part of a longer one.
func holdsWord(s, name string) bool {
	for from := 0; ; {
		i := strings.Index(s[from:], name)
		if i < 0 {
			return false
		}
		i += from
		end := i + len(name)
		if (i == 0 || !wordByte(s[i-1])) && (end == len(s) || !wordByte(s[end])) {
			return true
		}
		from = i + 1
	}
}

func wordByte(c byte) bool { return c == '-' || unicode.IsLetter(rune(c)) || unicode.IsDigit(rune(c)) }
