package agent

import (
	"maps"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// conclude judges what was seen and tells the reporters, once every check has
// answered or run into its deadline.
func (a *Agent) conclude(now time.Time) {
	seen, complete := a.seen()
	if !complete {
		return
	}
	if a.hold != "" && a.complete {
		return // the host or the node ends: nothing is raised, what is open stays
	}
	report := drift.Judge(a.config.Set.Policy, a.before, a.classified(seen, now), now)
	report = a.sources(report)
	a.attribute(report, now)
	changes := changes(a.before, report, now)
	a.before, a.complete = report, true
	shown := a.damper.settle(report, a.config.Set.Policy.Language, now)
	if now.Before(a.freeze) {
		shown.Conditions = maintained(shown.Conditions, a.frozen, now)
		a.frozen = shown.Conditions
	}
	a.account(shown, changes, now)
	for _, c := range changes {
		a.tell(c)
	}
	a.publish(shown)
	a.retell = nextExpiry(a.config.Set.Policy.Waivers, now)
	if a.config.Looked != nil {
		a.retell = soonest(a.retell, a.config.Looked(seen, now))
	}
}

// classified is what is to be judged of what was seen.
func (a *Agent) classified(seen map[string]drift.Look, now time.Time) map[string]drift.Look {
	if a.config.Classify == nil {
		return seen
	}
	return a.config.Classify(a.before, seen, now)
}

// seen are the latest looks, and whether every check has one.
func (a *Agent) seen() (map[string]drift.Look, bool) {
	seen := map[string]drift.Look{}
	for _, r := range a.runners {
		if r.answered {
			seen[r.check.Name()] = r.look
		}
	}
	return seen, len(seen) == len(a.runners)
}

// sources adds to the report how each check notices.
func (a *Agent) sources(report drift.Report) drift.Report {
	for i, c := range report.Checks {
		for _, s := range a.stats.sourcesOf(c.Name) {
			report.Checks[i].Sources = append(report.Checks[i].Sources, drift.EventSource{Name: s.Name, Mode: string(s.Mode)})
		}
	}
	return report
}

// changes are the differences between two reports.
func changes(before, after drift.Report, now time.Time) []Change {
	was, is := byID(before.Findings), byID(after.Findings)
	var out []Change
	for _, id := range slices.Sorted(maps.Keys(is)) {
		if _, known := was[id]; !known {
			f := is[id]
			out = append(out, Change{At: now, Raised: &f})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(was)) {
		if _, still := is[id]; !still {
			f := was[id]
			out = append(out, Change{At: now, Cleared: &f})
		}
	}
	out = append(out, amendments(was, is, now)...)
	return append(out, blindness(before, after, now)...)
}

func byID(findings []drift.FindingReport) map[string]drift.FindingReport {
	out := map[string]drift.FindingReport{}
	for _, f := range findings {
		out[f.ID] = f
	}
	return out
}

func blindness(before, after drift.Report, now time.Time) (out []Change) {
	was := map[string]drift.Status{}
	for _, c := range before.Conditions {
		was[c.Type] = c.Status
	}
	for _, c := range after.Conditions {
		switch {
		case c.Status == drift.Unknown && was[c.Type] != drift.Unknown:
			out = append(out, Change{At: now, Blind: c.Type, Why: c.Message})
		case c.Status != drift.Unknown && was[c.Type] == drift.Unknown:
			out = append(out, Change{At: now, Sighted: c.Type, Why: c.Message})
		}
	}
	return out
}

// tell has a change recorded, which logs it.
func (a *Agent) tell(c Change) {
	if a.config.Record != nil {
		a.config.Record(c)
	}
}

// ReasonMaintenance is why both aggregates are False during maintenance.
const ReasonMaintenance = "Maintenance"

// maintained shows families as they were, and says that nothing has to be done.
func maintained(conditions, frozen []drift.Condition, now time.Time) []drift.Condition {
	var out []drift.Condition
	for _, c := range conditions {
		i := slices.IndexFunc(frozen, func(f drift.Condition) bool { return f.Type == c.Type })
		switch {
		case c.Type == drift.NodeOutOfSupport || c.Type == drift.NodeRebuildAdvised:
			c.Status, c.Reason, c.Message = drift.False, ReasonMaintenance, "maintenance was announced for this node"
			c = c.Since(frozen, now)
		case i >= 0:
			c = frozen[i]
		}
		out = append(out, c)
	}
	return out
}
