package fleet

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Report is what the conditions tell of the Node's report, with what the operations
// document about the findings. hidden counts the findings and gaps that messages had
// no room for.
func (n Node) Report(operation func(id string) drift.Operation, l drift.Language) (r drift.Report, hidden int) {
	n = n.Neutral()
	p := drift.Policy{Node: n.Name, Profile: n.Profile, Language: l, Operations: map[string]drift.Operation{}}
	seen := map[string]drift.Look{}
	var said []clause
	for _, c := range n.families() {
		m := reader(wordings()).read(c.Message)
		hidden += m.hidden
		said = append(said, m.clauses...)
		p.Checks = append(p.Checks, drift.CheckPolicy{Name: c.Type, Condition: c.Type})
		seen[c.Type] = drift.Look{Observation: observed(m)}
	}
	for _, c := range said {
		if c.finding != nil {
			p.Operations[c.finding.Operation] = operation(c.finding.Operation)
		}
	}
	r = drift.Judge(p, drift.Report{}, seen, n.heard().Heartbeat)
	r.Checks, r.Conditions = []drift.CheckReport{}, []drift.Condition{}
	for _, c := range n.Conditions {
		c.AcceptDigest = reader(wordings()).read(c.Message).digest
		r.Conditions = append(r.Conditions, c.Condition)
	}
	for i := range r.Findings {
		n.asSaid(&r.Findings[i], said)
	}
	slices.SortStableFunc(r.Findings, func(a, b drift.FindingReport) int { return lightness(a) - lightness(b) })
	return r, hidden
}

func observed(m message) (o drift.Observation) {
	for _, c := range m.clauses {
		if c.finding != nil {
			f := *c.finding
			f.Args = arguments(f)
			o.Findings = append(o.Findings, f)
		}
		if c.gap != nil {
			o.Gaps = append(o.Gaps, *c.gap)
		}
	}
	return o
}

var number = regexp.MustCompile(`^-?\d+$`)

// arguments of the recovery's commands, as far as a message tells them for sure.
// Commands that need others are left out.
func arguments(f drift.Finding) map[string]string {
	if number.MatchString(f.Supported) {
		return map[string]string{"value": f.Supported}
	}
	return nil
}

// asSaid gives a finding what its message says of it: that it is waived or light. It
// cannot be older than its condition.
func (n Node) asSaid(f *drift.FindingReport, said []clause) {
	if c, ok := n.condition(f.Condition); ok {
		f.Since = c.LastTransitionTime
	}
	for _, c := range said {
		if c.finding == nil || c.finding.Operation != f.Operation || c.finding.Subject != f.Subject || c.finding.State != f.State {
			continue
		}
		if c.info {
			f.Severity = drift.Info
		}
		if c.waived {
			f.Waiver = &drift.WaiverReport{Reason: "-"}
		}
	}
}

func lightness(f drift.FindingReport) int {
	switch {
	case f.Waiver != nil:
		return 3
	case f.Severity == drift.Critical:
		return 0
	case f.Severity == drift.Warning:
		return 1
	default:
		return 2
	}
}

// heard is the condition by which the agent was last heard of.
func (n Node) heard() Condition {
	c, _ := n.condition(drift.NodeOutOfSupport)
	return c
}

// DecodeReport reads a report that a Node's agent sent. Its words are neutral
// afterwards, as those of conditions are.
func DecodeReport(data []byte) (drift.Report, error) {
	var (
		tree any
		r    drift.Report
	)
	if err := json.Unmarshal(data, &tree); err != nil {
		return r, fmt.Errorf("decode the report: %w", err)
	}
	data, err := json.Marshal(neutral(tree))
	if err != nil {
		return r, fmt.Errorf("decode the report: %w", err)
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("decode the report: %w", err)
	}
	if r.APIVersion != drift.APIVersion || r.Kind != drift.Kind {
		return r, fmt.Errorf("decode the report: it is %q of %q, not %q of %q", r.Kind, r.APIVersion, drift.Kind, drift.APIVersion)
	}
	return r, nil
}

func neutral(tree any) any {
	switch v := tree.(type) {
	case string:
		return Neutral(v)
	case []any:
		for i := range v {
			v[i] = neutral(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = neutral(v[key])
		}
	}
	return tree
}
