package upgrade

import (
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// absent is what checks say of something that was not there when the baseline was
// recorded.
const absent = "absent"

// below are the facts below what is new: nothing else is found there, so they are a
// part of what is observed.
type below map[string]map[string]drift.Fact

func newBelow(look drift.Look) below {
	b := below{}
	for _, f := range look.Findings {
		if f.Baseline && f.Supported == absent {
			b[f.Subject] = map[string]drift.Fact{}
		}
	}
	if len(b) == 0 {
		return b
	}
	for subject, fact := range look.Facts {
		for end := strings.LastIndexByte(subject, '/'); end > 0; end = strings.LastIndexByte(subject[:end], '/') {
			if facts, isNew := b[subject[:end]]; isNew {
				facts[subject] = fact
			}
		}
	}
	return b
}

// of names them; "" where there are none.
func (b below) of(f drift.Finding) string {
	facts := b[f.Subject]
	if len(facts) == 0 {
		return ""
	}
	return " with " + drift.AcceptDigest(facts)
}
