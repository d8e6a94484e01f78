package main

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/components"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/identity"
	"github.com/nodeguard/nodeguard/internal/packages"
	"github.com/nodeguard/nodeguard/internal/paths"
	"github.com/nodeguard/nodeguard/internal/upgrade"
	"github.com/nodeguard/nodeguard/internal/volumes"
)

// absorbing is the tier of an upgrade that the agent will accept by itself.
const absorbing = "absorbing"

// upgrade is the one that is open; nil for none.
func (s *session) upgrade() *baseline.Upgrade {
	if s.baseline == nil {
		return nil
	}
	return s.baseline.Upgrade
}

// fold has an upgrade stand for what changed together with it, and returns what to
// remember of it. An agent is what accepts one that is allowed.
func (s *session) fold(before drift.Report, seen map[string]drift.Look, agent bool, at time.Time) (judged map[string]drift.Look, memory *baseline.Upgrade) {
	if s.baseline == nil {
		return seen, nil
	}
	judged, memory = upgrade.Fold(before, s.timely(foldable(seen)), s.baseline.Upgrade, at)
	for check, look := range seen {
		if _, folded := judged[check]; !folded {
			judged[check] = look
		}
	}
	if memory == nil || !agent {
		return judged, memory
	}
	for check, look := range judged {
		if slices.ContainsFunc(look.Findings, absorbed) {
			look.Findings = slices.Clone(look.Findings)
			for i, f := range look.Findings {
				if absorbed(f) {
					look.Findings[i].Tier = absorbing
				}
			}
			judged[check] = look
		}
	}
	return judged, memory
}

// installed is what the package manager installed of the paths that the rules protect.
func (s *session) installed(rules []drift.Bound[paths.Rule]) *packages.Inventory {
	if below := paths.Protected(rules); !s.inventory.Covers(below) {
		s.inventory = packages.NewInventory(below)
	}
	return s.inventory
}

// timely leaves out what a package of another version than recorded brought, as long as
// the components check does not tell of that version: it has not looked yet, or the other
// check has not since the package was put back. Both look again for the same reason.
func (s *session) timely(seen map[string]drift.Look) map[string]drift.Look {
	versions := seen[components.Name]
	recorded := s.baseline.Scope(components.Name)
	early := func(f drift.Finding) bool {
		return f.Package != "" && !f.Explains && components.OtherVersion(recorded, f.Package, f.Version) && components.Unmentioned(versions, f.Package)
	}
	out := maps.Clone(seen)
	for check, look := range seen {
		if slices.ContainsFunc(look.Findings, early) {
			look.Findings = slices.DeleteFunc(slices.Clone(look.Findings), early)
			out[check] = look
		}
	}
	return out
}

// foldable are the looks at what an upgrade changes. It changes neither which node
// this is nor where its volumes are.
func foldable(seen map[string]drift.Look) map[string]drift.Look {
	out := maps.Clone(seen)
	delete(out, identity.Name)
	delete(out, volumes.Name)
	return out
}

func absorbed(f drift.Finding) bool { return f.Explains && f.Absorb }

// place is a subject of a check.
type place struct{ check, subject string }

// with returns the baseline with these subjects, and what is below them, as they were
// seen, and how many of them changed. What is found about others stays a finding. b
// stays as it is, since checks compare with it.
func with(b *baseline.Baseline, judged map[string]drift.Look, belongs map[place]bool) (after *baseline.Baseline, changed int) {
	next := *b
	next.Scopes, next.Accepted = maps.Clone(b.Scopes), slices.Clone(b.Accepted)
	for check, l := range judged {
		if l.Facts == nil || l.Error != "" || b.Scopes[check] == nil {
			continue
		}
		own := map[string]bool{}
		for _, f := range l.Findings {
			if f.Baseline && !(f.Explains && belongs[place{check, f.Subject}]) {
				own[f.Subject] = true
			}
		}
		scope := maps.Clone(b.Scopes[check])
		n := scope.Accept(l.Facts, func(subject string) bool {
			return !behindGap(l, subject) && nearest(check, subject, belongs, own)
		})
		if n > 0 {
			next.Scopes[check] = scope
			changed += n
		}
	}
	return &next, changed
}

// nearest tells whether the subject belongs, by itself or by what it is below of.
func nearest(check, subject string, belongs map[place]bool, own map[string]bool) bool {
	for at := subject; at != ""; at = at[:max(0, strings.LastIndexAny(at, "/ "))] {
		switch {
		case own[at]:
			return false
		case belongs[place{check, at}]:
			return true
		}
	}
	return false
}

// placesOf are those that a look stands for elsewhere.
func placesOf(l drift.Look) map[place]bool {
	out := map[place]bool{}
	for along := range l.Along {
		check, subject, _ := strings.Cut(along, " ")
		out[place{check, subject}] = true
	}
	return out
}
