package drift

import (
	"cmp"
	"slices"
	"time"
)

// rebuildAfter is how long a finding that needs a new node must have been active
// before repairers are told.
const rebuildAfter = 10 * time.Minute

// Judge joins what was seen with what is documented, the waivers and the report
// before it. It is pure, and the only way to a Report, for check and agent alike.
// A check that is missing in seen has not answered yet.
func Judge(p Policy, before Report, seen map[string]Look, now time.Time) Report {
	j := judgement{policy: p, before: before, now: now, report: Report{
		APIVersion: APIVersion, Kind: Kind, Node: p.Node, Profile: p.Profile, GeneratedAt: now,
		Conditions: []Condition{}, Checks: []CheckReport{}, Findings: []FindingReport{}, Unknown: []UnknownReport{},
	}}
	for _, check := range p.Checks {
		if look, ok := seen[check.Name]; ok {
			j.check(check, look)
		}
	}
	slices.SortStableFunc(j.report.Findings, bySeverity)
	j.aggregates()
	return j.report
}

// judgement is one run of Judge.
type judgement struct {
	policy Policy
	before Report
	now    time.Time
	report Report
}

// check adds one check's findings, gaps and family condition.
func (j *judgement) check(c CheckPolicy, look Look) {
	look.Gaps = slices.Concat(look.Gaps, c.Gaps)
	findings := j.findings(c, look)
	gaps, blind := j.gaps(look)
	slices.SortStableFunc(findings, bySeverity)

	j.report.Findings = append(j.report.Findings, findings...)
	j.unknown(gaps)
	j.report.Checks = append(j.report.Checks, CheckReport{
		Name: c.Name, Status: checkStatus(findings, blind), DurationSeconds: look.Took.Seconds(), Error: look.Error, Sources: []EventSource{},
	})
	j.report.Conditions = append(j.report.Conditions, j.family(c, look, findings, gaps, blind))
}

// unknown lists each gap once, though several checks look for one operation.
func (j *judgement) unknown(gaps []UnknownReport) {
	for _, g := range gaps {
		if !slices.Contains(j.report.Unknown, g) {
			j.report.Unknown = append(j.report.Unknown, g)
		}
	}
}

// findings are the ones seen now and, behind each gap, the ones last seen there.
func (j *judgement) findings(c CheckPolicy, look Look) []FindingReport {
	var out []FindingReport
	now := map[string]bool{}
	for _, f := range look.Findings {
		r := j.finding(c, f)
		if !now[r.ID] {
			now[r.ID] = true
			out = append(out, r)
		}
	}
	for _, held := range j.before.Findings {
		if held.Condition == c.Condition && !now[held.ID] && behindGap(look, held) {
			held.Waiver = j.policy.waiver(held.Operation, held.Subject, j.now)
			out = append(out, held)
		}
	}
	return out
}

func behindGap(look Look, f FindingReport) bool {
	if look.Error != "" {
		return true
	}
	return slices.ContainsFunc(look.Gaps, func(g Gap) bool {
		return (g.Operation == "" || g.Operation == f.Operation) && g.Covers(f.Subject)
	})
}

func (j *judgement) finding(c CheckPolicy, f Finding) FindingReport {
	o := j.policy.operation(f.Operation).at(f.Tier)
	r := FindingReport{
		ID: f.id(), Operation: f.Operation, Condition: c.Condition, Subject: f.Subject,
		Observed: f.Observed, Supported: f.Supported, State: f.State, Folded: f.Folded, Severity: o.Severity, Since: j.now,
		Title: o.Title, Impact: o.Impact, Recovery: o.Recovery.of(f), Source: o.Source,
		Waiver: j.policy.waiver(f.Operation, f.Subject, j.now),
	}
	r.Of = &f
	if i := slices.IndexFunc(j.before.Findings, func(b FindingReport) bool { return b.ID == r.ID }); i >= 0 {
		r.Since, r.Actor = j.before.Findings[i].Since, j.before.Findings[i].Actor
	}
	return r
}

// gaps tells what could not be looked at, and whether any of it weighs.
func (j *judgement) gaps(look Look) (gaps []UnknownReport, blind bool) {
	if look.Error != "" {
		gaps, blind = append(gaps, UnknownReport{Reason: look.Error}), true
	}
	for _, g := range look.Gaps {
		gaps = append(gaps, UnknownReport(g))
		if g.Operation == "" || j.policy.operation(g.Operation).weight().Weighs() {
			blind = true
		}
	}
	return gaps, blind
}

func checkStatus(findings []FindingReport, blind bool) CheckStatus {
	switch {
	case slices.ContainsFunc(findings, FindingReport.Counts):
		return CheckDrifted
	case blind:
		return CheckUnknown
	default:
		return CheckInSupport
	}
}

// family is the condition of one check.
func (j *judgement) family(c CheckPolicy, look Look, findings []FindingReport, gaps []UnknownReport, blind bool) Condition {
	out := Condition{Type: c.Condition, Status: False, Reason: ReasonInSupport}
	switch {
	case slices.ContainsFunc(findings, func(f FindingReport) bool { return f.Counts() && f.State == Active }):
		out.Status, out.Reason = True, ReasonOutOfSupport
	case blind:
		out.Status, out.Reason = Unknown, ReasonCannotObserve
	case c.Settling:
		out.Reason = ReasonSettling
	}
	var tail string
	if slices.ContainsFunc(look.Findings, func(f Finding) bool { return f.Baseline }) {
		out.AcceptDigest = look.AcceptDigest()
		tail = j.policy.Language.say("; to accept this state: %s", "；如接受此状态：%s", out.AcceptDigest)
	}
	out.Message = j.policy.Language.message(j.clauses(findings, gaps), tail, maxMessage)
	return j.since(out)
}

func (j *judgement) clauses(findings []FindingReport, gaps []UnknownReport) []string {
	var out []string
	for _, f := range findings {
		out = append(out, j.policy.Language.Finding(f))
	}
	for _, g := range gaps {
		out = append(out, j.policy.Language.Gap(g))
	}
	if len(out) == 0 {
		out = append(out, j.policy.Language.say("all that was looked at is in support", "所检查的内容均在支持范围内"))
	}
	return out
}

// since carries the transition time over: it moves only with the status.
func (j *judgement) since(c Condition) Condition { return c.Since(j.before.Conditions, j.now) }

// Since gives a condition its transition time: that of the one before it while
// the status is the same, else now.
func (c Condition) Since(before []Condition, now time.Time) Condition {
	c.LastTransitionTime = now
	for _, b := range before {
		if b.Type == c.Type && b.Status == c.Status {
			c.LastTransitionTime = b.LastTransitionTime
		}
	}
	return c
}

// aggregates adds the two conditions over all families.
func (j *judgement) aggregates() {
	support := OutOfSupport(j.report.Conditions, j.policy.Language)
	j.report.Conditions = append(j.report.Conditions, j.since(support), j.rebuildAdvised())
}

// OutOfSupport is the aggregate over families: True if any is, else Unknown if
// any is, else False.
func OutOfSupport(families []Condition, l Language) Condition {
	out := Condition{Type: NodeOutOfSupport, Status: False, Reason: ReasonInSupport}
	var drifted, blind []string
	for _, c := range families {
		switch c.Status {
		case True:
			drifted = append(drifted, c.Type)
		case Unknown:
			blind = append(blind, c.Type)
		}
	}
	named := drifted
	switch {
	case len(drifted) > 0:
		out.Status, out.Reason = True, ReasonOutOfSupport
	case len(blind) > 0:
		out.Status, out.Reason, named = Unknown, ReasonCannotObserve, blind
	default:
		named = []string{l.say("no family is out of support", "没有任何类别超出支持范围")}
	}
	out.Message = l.message(named, "", maxMessage)
	return out
}

// rebuildAdvised is the one for repairers. It is never Unknown: some of them
// take everything but False for sick.
func (j *judgement) rebuildAdvised() Condition {
	out := Condition{Type: NodeRebuildAdvised, Status: False, Reason: ReasonInSupport}
	var clauses []string
	for _, f := range j.report.Findings {
		lasting := f.State == Active && j.now.Sub(f.Since) >= rebuildAfter
		if f.Counts() && f.Severity == Critical && lasting && f.Recovery.Class.needsNewNode() {
			clauses = append(clauses, j.policy.Language.Finding(f))
		}
	}
	if len(clauses) > 0 {
		out.Status, out.Reason = True, ReasonOutOfSupport
	} else {
		clauses = []string{j.policy.Language.say("nothing that needs another node", "没有需要更换节点的问题")}
	}
	out.Message = j.policy.Language.message(clauses, "", maxMessage)
	return j.since(out)
}

// bySeverity is the stable order of findings: severity, condition, operation,
// subject, state.
func bySeverity(a, b FindingReport) int {
	return cmp.Or(
		cmp.Compare(a.Severity.rank(), b.Severity.rank()),
		cmp.Compare(a.Condition, b.Condition),
		cmp.Compare(a.Operation, b.Operation),
		cmp.Compare(a.Subject, b.Subject),
		cmp.Compare(a.State, b.State),
	)
}
