package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// accepting returns the baseline with the accepted subjects as they were seen, and
// how many that changed. b stays as it is, since checks compare with it. What could
// not be looked at cannot be accepted.
func accepting(b *baseline.Baseline, seen map[string]drift.Look, subjects []string) (after *baseline.Baseline, changed int, err error) {
	with := *b
	with.Scopes, with.Accepted = maps.Clone(b.Scopes), slices.Clone(b.Accepted)
	matched := map[string]bool{}
	for check, l := range seen {
		if l.Facts == nil {
			continue
		}
		if l.Error != "" {
			return nil, 0, fmt.Errorf("the %s check could not look: %s", check, l.Error)
		}
		scope := maps.Clone(b.Scopes[check])
		if scope == nil {
			scope = baseline.Scope{}
		}
		changed += scope.Accept(l.Facts, func(subject string) bool {
			return !behindGap(l, subject) && accepted(subjects, subject, matched)
		})
		with.Scopes[check] = scope
	}
	for _, subject := range subjects {
		if !matched[subject] {
			return nil, 0, usage(fmt.Errorf("nothing here is called %q", subject), "nodeguard baseline diff lists what differs")
		}
	}
	return &with, changed, nil
}

// nothingToAcceptInto is the error for single subjects without a usable baseline.
func nothingToAcceptInto(why error) error {
	return usage(why, "accept all of it, without naming subjects, to record anew")
}

func accepted(subjects []string, subject string, matched map[string]bool) bool {
	if len(subjects) == 0 {
		return true
	}
	for _, s := range subjects {
		if subject == s || strings.HasPrefix(subject, s+"/") || strings.HasPrefix(subject, s+" ") {
			matched[s] = true
			return true
		}
	}
	return false
}

func behindGap(l drift.Look, subject string) bool {
	return slices.ContainsFunc(l.Gaps, func(g drift.Gap) bool { return g.Subject != "" && g.Covers(subject) })
}
