package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/journal"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// upgrading is how far an upgrade has got, guarded as the baseline is.
type upgrading struct {
	judged   map[string]drift.Look // what was judged last
	unsaved  time.Time             // since when what is remembered is not on disk; zero: it is
	changed  time.Time             // when that changed last
	still    *baseline.Settler     // of what is remembered
	absorbed *baseline.Upgrade     // accepted, as far as it could be
}

// saveAfter is when what is remembered of an upgrade is kept though it still changes.
// Until then losing it loses nothing: it would be folded again.
const saveAfter = 10 * time.Second

// absorbAfter is how long an upgrade is looked at, at least, before it is accepted: not
// every check sees it at the same time.
const absorbAfter = 2 * time.Second

// classify takes out of what was seen what an upgrade stands for. The loop waits for it.
func (d *daemon) classify(before drift.Report, seen map[string]drift.Look, at time.Time) map[string]drift.Look {
	d.mu.Lock()
	defer d.mu.Unlock()
	judged, memory := d.fold(before, seen, true, at)
	u := &d.upgrading
	u.judged = judged
	if !memory.Same(d.upgrade()) {
		d.baseline.Upgrade, u.changed = memory, at
		if u.unsaved.IsZero() {
			u.unsaved = at
		}
	}
	return judged
}

// followUpgrade accepts an upgrade that is allowed once the node has been still, and
// keeps on disk what is remembered of one. It returns when there is more to do, zero
// for not before something changes. It is called with the lock held.
func (d *daemon) followUpgrade(at time.Time) (again time.Time) {
	u, open := &d.upgrading, d.upgrade()
	switch {
	case open == nil:
		u.still, u.absorbed = nil, nil
	case u.still == nil:
		u.still = baseline.NewSettler(max(d.settleAfter(), absorbAfter))
	}
	if open != nil && d.absorbable(open) {
		if u.still.Settled(fmt.Sprintf("%q %q", open.Versions, open.Folded), d.settledNode(), at) {
			d.absorb(open, at)
			return time.Time{}
		}
		again = u.still.Due()
	}
	if !u.unsaved.IsZero() {
		if calm := u.changed.Before(at); calm || at.Sub(u.unsaved) >= saveAfter {
			d.rememberUpgrade(at)
		} else {
			again = at
		}
	}
	if soonest := at.Add(settleLooks); !again.IsZero() && again.Before(soonest) {
		again = soonest
	}
	return again
}

// rememberUpgrade has what is known of an upgrade survive the agent.
func (d *daemon) rememberUpgrade(at time.Time) {
	detail := "it is over: all is as it was recorded, or was accepted"
	if open := d.upgrade(); open != nil {
		detail = d.tellUpgrade(open)
	}
	d.upgrading.unsaved = time.Time{}
	d.state.save(d.baseline, journal.Entry{At: at, Event: journal.Upgraded, Detail: detail})
}

// keepUpgrade does so at the agent's end.
func (d *daemon) keepUpgrade() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.upgrading.unsaved.IsZero() {
		d.rememberUpgrade(time.Now())
	}
}

// absorbable tells whether all that was upgraded may be, can be seen now and was not
// accepted yet. Nothing is accepted while a package's file is not as installed.
func (d *daemon) absorbable(open *baseline.Upgrade) bool {
	if open.Same(d.upgrading.absorbed) {
		return false
	}
	seen := 0
	for _, l := range d.upgrading.judged {
		if slices.ContainsFunc(l.Gaps, func(g drift.Gap) bool { return g.Reason == paths.AtWork }) {
			return false
		}
		for _, f := range l.Findings {
			if f.Explains {
				seen++
			}
			if f.Explains && !f.Absorb || f.Altered {
				return false
			}
		}
	}
	return seen >= len(open.Versions)
}

// absorb accepts the upgrade with all that belongs to it.
func (d *daemon) absorb(open *baseline.Upgrade, at time.Time) {
	belongs := map[place]bool{}
	for _, c := range open.Versions {
		belongs[place{c.Check, c.Subject}] = true
	}
	for _, c := range open.Folded {
		belongs[place{c.Check, c.Subject}] = true
	}
	detail := d.tellUpgrade(open)
	after, changed := with(d.baseline, d.upgrading.judged, belongs)
	after.Note(baseline.Acceptance{At: at, Reason: "an upgrade that is allowed", Subjects: []string{detail}, Changed: changed})
	d.baseline = after
	d.upgrading.absorbed, d.upgrading.unsaved = open, time.Time{}
	d.saved(journal.Entry{At: at, Event: journal.Absorbed, Detail: detail})
}

// maxTold is how many subjects a line names.
const maxTold = 10

// tellUpgrade says what was upgraded, and what changed with it.
func (d *daemon) tellUpgrade(u *baseline.Upgrade) string {
	var versions, subjects []string
	for _, c := range u.Versions {
		versions = append(versions, fmt.Sprintf("%s %s -> %s", c.Subject, d.baseline.Scope(c.Check)[c.Subject], c.Observed))
	}
	for _, c := range u.Folded[:min(maxTold, len(u.Folded))] {
		subjects = append(subjects, c.Subject)
	}
	text := fmt.Sprintf("%s, with %d subjects", strings.Join(versions, ", "), len(u.Folded))
	if len(subjects) > 0 {
		text += ": " + strings.Join(subjects, ", ")
	}
	if more := len(u.Folded) - len(subjects); more > 0 {
		text += fmt.Sprintf(" (+%d more)", more)
	}
	return text
}
