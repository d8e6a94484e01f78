package baseline

import (
	"maps"
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Renew records what took the place of what was recorded in the ordinary course of
// things, and says what, sorted. It leaves s as it is, since checks compare with it.
func (s Scope) Renew(facts map[string]drift.Fact) (after Scope, renewed []string) {
	after = s
	for subject, fact := range facts {
		if was, known := s[subject]; fact.Renewal == nil || !known || was != fact.Renewal.Of {
			continue // seen by a check that compares with what was recorded before
		}
		if renewed == nil {
			after = maps.Clone(s)
		}
		after[subject] = fact.Value
		renewed = append(renewed, fact.Renewal.Told)
	}
	slices.Sort(renewed)
	return after, renewed
}
