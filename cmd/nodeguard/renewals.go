package main

import (
	"maps"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// renewing returns the baseline with what took the place of what was recorded in the
// ordinary course of things, and what that is. b stays as it is.
func renewing(b *baseline.Baseline, looks map[string]drift.Look) (after *baseline.Baseline, renewed []string) {
	next := *b
	next.Scopes = maps.Clone(b.Scopes)
	for _, check := range slices.Sorted(maps.Keys(looks)) {
		l := looks[check]
		if l.Error != "" || b.Scopes[check] == nil {
			continue
		}
		scope, details := b.Scopes[check].Renew(l.Facts)
		next.Scopes[check] = scope
		renewed = append(renewed, details...)
	}
	return &next, renewed
}

// absorbRenewals records certificates that were renewed, a line of the journal each. It
// is called with the lock held.
func (d *daemon) absorbRenewals(looks map[string]drift.Look, at time.Time) {
	after, renewed := renewing(d.baseline, looks)
	if len(renewed) == 0 {
		return
	}
	d.baseline = after
	d.saved(journal.Entry{At: at, Event: journal.Absorbed, Detail: renewed[0]})
	for _, detail := range renewed[1:] {
		d.record(journal.Entry{At: at, Event: journal.Absorbed, Detail: detail})
	}
}

// recordRenewals does so where there is no agent.
func (s *session) recordRenewals(seen map[string]drift.Look) {
	after, renewed := renewing(s.baseline, seen)
	if len(renewed) == 0 {
		return
	}
	if err := s.save(after); err != nil {
		s.note("%d renewed certificates could not be recorded: %v", len(renewed), err)
		return
	}
	s.baseline = after
	for _, detail := range renewed {
		s.note("recorded %s", detail)
	}
}
