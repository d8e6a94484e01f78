// Package upgrade lets an upgrade stand for what changed together with it: one
// finding, not a hundred. What changes afterwards is drift of its own.
package upgrade

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// Window is how long before and after an upgrade was noticed a difference may begin
// to belong to it.
const Window = 15 * time.Minute

// Fold takes what belongs to an upgrade out of what was seen, and has the upgrade tell
// how much it is. memory is what was folded before, nil for nothing; the one returned
// is for the next time, nil once there is no upgrade any more. It changes neither.
func Fold(before drift.Report, seen map[string]drift.Look, memory *baseline.Upgrade, now time.Time) (map[string]drift.Look, *baseline.Upgrade) {
	versions := versions(seen, memory)
	if len(versions) == 0 {
		return seen, nil
	}
	f := newFolding(before, memory, versions, now)
	out := map[string]drift.Look{}
	for _, check := range slices.Sorted(maps.Keys(seen)) {
		out[check] = f.fold(check, seen[check])
	}
	for check, look := range out {
		out[check] = f.explain(check, look)
	}
	return out, f.remember(versions)
}

// versions are what was upgraded: what is seen, and what was seen before and cannot
// be looked at now.
func versions(seen map[string]drift.Look, memory *baseline.Upgrade) []baseline.Change {
	var out []baseline.Change
	for _, check := range slices.Sorted(maps.Keys(seen)) {
		for _, f := range seen[check].Findings {
			c := baseline.Change{Check: check, Subject: f.Subject, Observed: f.Observed}
			if f.Explains && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	if memory != nil {
		for _, c := range memory.Versions {
			if look, answered := seen[c.Check]; (!answered || blind(look, c.Subject)) && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	return out
}

// blind tells whether the look cannot tell about the subject.
func blind(look drift.Look, subject string) bool {
	return look.Error != "" || slices.ContainsFunc(look.Gaps, func(g drift.Gap) bool {
		return g.Operation == "" && g.Subject == "" || g.Subject == subject
	})
}

// folding is one run of Fold.
type folding struct {
	now     time.Time
	noticed time.Time // when the upgrade was
	since   map[finding]time.Time
	known   map[baseline.Change]bool // folded before
	folded  []baseline.Change        // folded now
}

// finding is what makes one unique.
type finding struct {
	operation, subject string
	state              drift.State
}

// newFolding notices a version that is another one than before as an upgrade that
// begins now.
func newFolding(before drift.Report, memory *baseline.Upgrade, versions []baseline.Change, now time.Time) *folding {
	f := &folding{now: now, noticed: now.UTC().Round(0), since: map[finding]time.Time{}, known: map[baseline.Change]bool{}}
	if memory != nil {
		for _, c := range memory.Folded {
			f.known[c] = true
		}
		if !slices.ContainsFunc(versions, func(c baseline.Change) bool { return !slices.Contains(memory.Versions, c) }) {
			f.noticed = memory.Noticed
		}
	}
	for _, b := range before.Findings {
		f.since[finding{b.Operation, b.Subject, b.State}] = b.Since
	}
	return f
}

// fold takes what belongs to the upgrade out of one check's look.
func (f *folding) fold(check string, look drift.Look) drift.Look {
	below := newBelow(look)
	var kept []drift.Finding
	for _, finding := range look.Findings {
		c := baseline.Change{Check: check, Subject: finding.Subject, Observed: finding.Observed + below.of(finding)}
		if finding.Baseline && !finding.Explains && (f.known[c] || f.together(finding)) {
			f.folded = append(f.folded, c)
		} else {
			kept = append(kept, finding)
		}
	}
	look.Findings = kept
	return look
}

// together tells whether the finding began when the upgrade did. One that is not open
// yet begins now.
func (f *folding) together(d drift.Finding) bool {
	since, open := f.since[finding{d.Operation, d.Subject, d.State}]
	if !open {
		since = f.now
	}
	return !since.Before(f.noticed.Add(-Window)) && !since.After(f.noticed.Add(Window))
}

// explain has the upgrade's findings tell how much they stand for.
func (f *folding) explain(check string, look drift.Look) drift.Look {
	if !slices.ContainsFunc(look.Findings, func(d drift.Finding) bool { return d.Explains }) {
		return look
	}
	look.Findings = slices.Clone(look.Findings)
	for i := range look.Findings {
		if look.Findings[i].Explains {
			look.Findings[i].Folded = len(f.folded)
		}
	}
	look.Along = map[string]string{}
	for _, c := range f.folded {
		if c.Check != check {
			look.Along[c.Check+" "+c.Subject] = c.Observed
		}
	}
	return look
}

// remember keeps what was folded. What was folded before and is as recorded at the
// moment, or drifted on its own, still belongs to the upgrade as it was.
func (f *folding) remember(versions []baseline.Change) *baseline.Upgrade {
	type subject struct{ check, name string }
	now := map[subject]bool{}
	for _, c := range f.folded {
		now[subject{c.Check, c.Subject}] = true
	}
	all := slices.Clone(f.folded)
	for c := range f.known {
		if !now[subject{c.Check, c.Subject}] {
			all = append(all, c)
		}
	}
	sorted(versions)
	sorted(all)
	return &baseline.Upgrade{Noticed: f.noticed, Versions: versions, Folded: slices.Compact(all)}
}

func sorted(changes []baseline.Change) {
	slices.SortFunc(changes, func(a, b baseline.Change) int {
		return strings.Compare(a.Check+"\x00"+a.Subject+"\x00"+a.Observed, b.Check+"\x00"+b.Subject+"\x00"+b.Observed)
	})
}
