// Package upgrade lets an upgrade stand for what changed together with it: one
// finding, not a hundred. What changes afterwards is drift of its own, and so is a
// package's file that is not as the package brought it.
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
	versions, held := versions(seen, memory)
	if len(versions) == 0 {
		return seen, nil
	}
	f := newFolding(before, memory, versions, now)
	f.held = held
	out := map[string]drift.Look{}
	for _, check := range slices.Sorted(maps.Keys(seen)) {
		out[check] = f.fold(check, seen[check])
	}
	for check, look := range out {
		out[check] = f.explain(check, look)
	}
	return out, f.remember()
}

// versions are what was upgraded: what is seen, and what was seen before and cannot
// be looked at now, which is held.
func versions(seen map[string]drift.Look, memory *baseline.Upgrade) (out []baseline.Change, held bool) {
	for _, check := range slices.Sorted(maps.Keys(seen)) {
		for _, f := range seen[check].Findings {
			c := versionOf(check, f)
			if f.Explains && !slices.Contains(out, c) {
				out = append(out, c)
			}
		}
	}
	if memory != nil {
		for _, c := range memory.Versions {
			if look, answered := seen[c.Check]; (!answered || blind(look, c.Subject)) && !slices.Contains(out, c) {
				out, held = append(out, c), true
			}
		}
	}
	return out, held
}

func versionOf(check string, f drift.Finding) baseline.Change {
	return baseline.Change{Check: check, Subject: f.Subject, Observed: f.Observed, Package: f.Package}
}

// isRelease tells a release of what the node runs from a package's version.
func isRelease(c baseline.Change) bool { return c.Package == "" }

// blind tells whether the look cannot tell about the subject.
func blind(look drift.Look, subject string) bool {
	return look.Error != "" || slices.ContainsFunc(look.Gaps, func(g drift.Gap) bool {
		return g.Operation == "" && g.Subject == "" || g.Subject == subject
	})
}

// folding is one run of Fold.
type folding struct {
	now      time.Time
	noticed  time.Time // when the release was
	versions []baseline.Change
	releases bool // there is another release, which explains what came with it
	held     bool // some of the versions cannot be looked at
	since    map[finding]time.Time
	known    map[baseline.Change]bool // folded before
	packages map[string]bool          // those of another version, which explain their own files
	joined   map[string]bool          // those of them that are part of a release
	counts   map[string]int           // of what was folded, by package
	folded   []baseline.Change        // folded now
}

// finding is what makes one unique.
type finding struct {
	operation, subject string
	state              drift.State
}

// newFolding notices a release that is another one than before as an upgrade that
// begins now.
func newFolding(before drift.Report, memory *baseline.Upgrade, versions []baseline.Change, now time.Time) *folding {
	f := &folding{
		now: now, noticed: now.UTC().Round(0), versions: versions, releases: slices.ContainsFunc(versions, isRelease),
		since: map[finding]time.Time{}, known: map[baseline.Change]bool{},
		packages: map[string]bool{}, joined: map[string]bool{}, counts: map[string]int{},
	}
	for _, c := range versions {
		f.packages[c.Package] = !isRelease(c)
	}
	if memory != nil {
		for _, c := range memory.Folded {
			f.known[c] = true
		}
		if !slices.ContainsFunc(versions, func(c baseline.Change) bool { return isRelease(c) && !slices.Contains(memory.Versions, c) }) {
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
	for _, d := range look.Findings {
		c := baseline.Change{Check: check, Subject: d.Subject, Observed: d.Observed + below.of(d)}
		switch {
		case !f.belongs(d, c):
			kept = append(kept, d)
			continue
		case d.Baseline: // else accepting it changes nothing
			f.folded = append(f.folded, c)
		}
		switch {
		case d.Explains:
			f.joined[d.Package] = true
			f.versions = slices.DeleteFunc(f.versions, func(v baseline.Change) bool { return v == versionOf(check, d) })
			f.counts[""]++
		case f.packages[d.Package]:
			f.counts[d.Package]++
		default:
			f.counts[""]++
		}
	}
	look.Findings = kept
	return look
}

// belongs tells whether the finding is a part of the upgrade: as one of its packages
// brought it, or together with its release.
func (f *folding) belongs(d drift.Finding, c baseline.Change) bool {
	switch {
	case d.Altered, d.Explains && d.Package == "":
		return false
	case !d.Explains && f.packages[d.Package]:
		return true
	default:
		return d.Baseline && (f.known[c] && (f.releases || f.held) || f.releases && (f.together(d) || f.released(d)))
	}
}

// released tells whether a package's version is the one that a release now is, however
// long after the package was installed the program was started again.
func (f *folding) released(d drift.Finding) bool {
	upstream := d.Observed
	if _, after, epoch := strings.Cut(upstream, ":"); epoch {
		upstream = after
	}
	upstream, _, _ = strings.Cut(upstream, "-")
	return d.Explains && strings.Contains(upstream, ".") && slices.ContainsFunc(f.versions, func(c baseline.Change) bool {
		return isRelease(c) && strings.Contains(c.Observed, upstream)
	})
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
	for i, d := range look.Findings {
		if d.Explains {
			look.Findings[i].Folded = f.count(d.Package)
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

// count is how much a package stands for; "" is the release, with its packages.
func (f *folding) count(name string) int {
	n := f.counts[name]
	if name == "" {
		for joined := range f.joined {
			n += f.counts[joined]
		}
	}
	return n
}

// remember keeps what was folded. What a release was folded with before, and is as
// recorded at the moment, or drifted on its own, still belongs to it as it was.
func (f *folding) remember() *baseline.Upgrade {
	type subject struct{ check, name string }
	now := map[subject]bool{}
	for _, c := range f.folded {
		now[subject{c.Check, c.Subject}] = true
	}
	all := slices.Clone(f.folded)
	for c := range f.known {
		if (f.releases || f.held) && !now[subject{c.Check, c.Subject}] {
			all = append(all, c)
		}
	}
	sorted(f.versions)
	sorted(all)
	return &baseline.Upgrade{Noticed: f.noticed, Versions: f.versions, Folded: slices.Compact(all)}
}

func sorted(changes []baseline.Change) {
	slices.SortFunc(changes, func(a, b baseline.Change) int {
		return strings.Compare(a.Check+"\x00"+a.Subject+"\x00"+a.Observed, b.Check+"\x00"+b.Subject+"\x00"+b.Observed)
	})
}
