package main

import (
	"maps"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// acceptedState is a state that was taken over into the baseline.
type acceptedState struct {
	config.Acceptance
	changed int // subjects
}

// acceptShared takes over into the baseline, which is not saved, what the
// configuration accepts and the checks see here now.
func (s *session) acceptShared(looks map[string]drift.Look, at time.Time) (out []acceptedState) {
	if s.baseline == nil || s.unusable() != nil {
		return nil
	}
	for _, a := range s.config.Accept {
		l := looks[a.Scope]
		first := !s.acceptedBefore(a)
		switch {
		case !a.Expires.IsZero() && !at.Before(a.Expires):
		case l.Facts == nil || l.Error != "" || s.baseline.Scopes[a.Scope] == nil:
		case !first && !slices.ContainsFunc(l.Findings, func(f drift.Finding) bool { return f.Baseline }):
		case drift.SharedDigest(l.Facts) != a.Digest:
		default:
			if changed := s.takeOver(a, l, first); first || changed > 0 {
				s.baseline.Note(baseline.Acceptance{At: at, Reason: a.Reason, Subjects: []string{a.Scope, a.Digest}, Changed: changed})
				out = append(out, acceptedState{a, changed})
			}
		}
	}
	return out
}

// acceptedBefore tells whether the node has been in that state since the
// configuration accepts it.
func (s *session) acceptedBefore(a config.Acceptance) bool {
	return slices.ContainsFunc(s.baseline.Accepted, func(was baseline.Acceptance) bool {
		return slices.Equal(was.Subjects, []string{a.Scope, a.Digest})
	})
}

// takeOver records what the digest names and nothing else: what is this node's own
// is not in it. Nor does it tell what is gone, which therefore is forgotten only
// the first time: later it is something else that went away.
func (s *session) takeOver(a config.Acceptance, l drift.Look, first bool) (changed int) {
	scope := maps.Clone(s.baseline.Scopes[a.Scope]) // the running check reads the old one
	changed = scope.Accept(l.Facts, func(subject string) bool {
		if fact, there := l.Facts[subject]; there {
			return !fact.Local
		}
		return first && !behindGap(l, subject)
	})
	s.baseline.Scopes[a.Scope] = scope
	return changed
}

// acceptFleet does so for a check on a host without an agent, and tells whether
// the checks have something new to compare with.
func (s *session) acceptFleet(looks map[string]drift.Look) (changed bool) {
	if s.store.AgentOwns() {
		return false
	}
	accepted := s.acceptShared(looks, now())
	if len(accepted) == 0 {
		return false
	}
	if err := s.save(s.baseline); err != nil {
		s.note("what the configuration accepts could not be added to the baseline: %v", err)
	}
	for _, a := range accepted {
		if a.changed > 0 {
			s.note("accepted %d subjects of %s by the configuration: %s", a.changed, a.Scope, a.Reason)
			changed = true
		}
	}
	return changed
}
