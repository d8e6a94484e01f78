package baseline

import "github.com/nodeguard/nodeguard/internal/drift"

// Scope is what one check recorded: the accepted value of each subject. nil means
// that nothing has been recorded yet, so that there is nothing to differ from.
type Scope map[string]string

// Unread stands for a subject that could not be read when the baseline was
// recorded: what it turns out to be later is no drift.
const Unread = "unread"

// ScopeOf records all facts, and what lies behind a gap as unread.
func ScopeOf(facts map[string]drift.Fact, gaps []drift.Gap) Scope {
	s := Scope{}
	for _, g := range gaps {
		if g.Subject != "" {
			s[g.Subject] = Unread
		}
	}
	for subject, fact := range facts {
		s[subject] = fact.Value
	}
	return s
}

// AnyFresh tells whether AddFresh could add anything.
func AnyFresh(facts map[string]drift.Fact) bool {
	for _, fact := range facts {
		if fact.Fresh {
			return true
		}
	}
	return false
}

// AddFresh adds the facts of areas that were never recorded and tells how many.
func (s Scope) AddFresh(facts map[string]drift.Fact) (added int) {
	for subject, fact := range facts {
		if was, known := s[subject]; fact.Fresh && (!known || was == Unread) {
			s[subject] = fact.Value
			added++
		}
	}
	return added
}

// Accept makes the facts of the accepted subjects what is recorded, and forgets
// accepted subjects that are gone. It tells how many it changed.
func (s Scope) Accept(facts map[string]drift.Fact, accepted func(subject string) bool) (changed int) {
	for subject, fact := range facts {
		if was, known := s[subject]; accepted(subject) && (!known || was != fact.Value) {
			s[subject] = fact.Value
			changed++
		}
	}
	for subject := range s {
		if _, there := facts[subject]; !there && accepted(subject) {
			delete(s, subject)
			changed++
		}
	}
	return changed
}
