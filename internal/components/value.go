package components

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// maxShown is how much of a name or value is kept; the digest of the whole
// stands for the rest.
const maxShown = 200

// maxKey bounds a key of many names.
const maxKey = 600

// value is one setting, fit to be shown and kept.
type value struct {
	text    string
	file    string    // where it was read; "" for the command line
	changed time.Time // when that file last changed
}

// shown is the text of a setting: canonical, free of secrets, bounded, printable.
func shown(names []string, raw any) string {
	last := ""
	if len(names) > 0 {
		last = names[len(names)-1]
	}
	var text string
	if s, ok := raw.(string); ok && labels(names) {
		text = s
	} else {
		text = canonical(last, raw)
	}
	if text = public(names, text); text == "" {
		return `""`
	}
	return bounded(text)
}

// labels are the user's own words: "1.0" and "1" are two of them.
func labels(names []string) bool {
	if len(names) == 0 {
		return false
	}
	switch strings.TrimLeft(names[0], "-") {
	case "node-labels", "label", "labels":
		return true
	default:
		return false
	}
}

func bounded(s string) string {
	if len(s) <= maxShown {
		return drift.Printable(s)
	}
	return drift.Printable(s[:runeStart(s, maxShown)]) + digest(s)
}

// cut shortens what is printable already.
func cut(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	return s[:runeStart(s, limit)] + digest(s)
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "... sha256:" + hex.EncodeToString(sum[:])
}

// runeStart is the last start of a rune at or before limit.
func runeStart(s string, limit int) int {
	for cut := limit; cut > limit-utf8.UTFMax; cut-- {
		if utf8.RuneStart(s[cut]) {
			return cut
		}
	}
	return limit
}
