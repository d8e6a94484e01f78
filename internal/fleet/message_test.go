package fleet

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// judged is what an agent would write on the Node.
func judged(l drift.Language, look drift.Look) drift.Condition {
	p := drift.Policy{Node: "n", Language: l, Checks: []drift.CheckPolicy{{Name: "c", Condition: "KernelParameterDrift"}}, Operations: map[string]drift.Operation{
		"a.crit": {ID: "a.crit", Severity: drift.Critical}, "a.warn": {ID: "a.warn", Severity: drift.Warning}, "a.info": {ID: "a.info", Severity: drift.Info},
	}, Waivers: []drift.Waiver{{Operation: "a.warn", Subject: "waived", Reason: "known"}}}
	return drift.Judge(p, drift.Report{}, map[string]drift.Look{"c": look}, t0).Conditions[0]
}

// What agents say is understood, in the words that they use now.
func TestMessagesRoundTrip(t *testing.T) {
	findings := []drift.Finding{
		{Operation: "a.crit", Subject: "/etc/a b (c); d", Observed: "mode 0777", Supported: "mode 0644", State: drift.Active},
		{Operation: "a.crit", Subject: "net.ipv4.ip_forward", Observed: "0", Supported: "1", State: drift.Active},
		{Operation: "a.crit", Subject: "net.ipv4.ip_forward", Observed: "0", Supported: "1", State: drift.Pending},
		{Operation: "a.crit", Subject: "名称", Observed: "", State: drift.Active, Folded: 12},
		{Operation: "a.warn", Subject: "range", Observed: "1, 2", Supported: "0 or 2", State: drift.Active},
		{Operation: "a.warn", Subject: "waived", Observed: "x", State: drift.Active, Folded: 3},
		{Operation: "a.info", Subject: "light", Observed: "x", State: drift.Pending, Baseline: true},
	}
	gaps := []drift.Gap{{Operation: "a.warn", Subject: "/x: y", Reason: "no"}, {Reason: "operation not permitted; really"}}
	for _, l := range drift.Languages {
		c := judged(l, drift.Look{Observation: drift.Observation{Findings: findings, Gaps: gaps, Facts: map[string]drift.Fact{"light": {Value: "x"}}}})
		m := reader(wordings()).read(c.Message)
		if m.digest != c.AcceptDigest || m.digest == "" || m.hidden != 0 || len(m.clauses) != len(findings)+len(gaps) {
			t.Fatalf("%s: %q is read as %+v", l, c.Message, m)
		}
		for i, want := range findings {
			want.Baseline = false
			if diff := cmp.Diff(&want, m.clauses[i].finding); diff != "" {
				t.Errorf("%s: %s", l, diff)
			}
			if m.clauses[i].waived != (want.Subject == "waived") || m.clauses[i].info != (want.Subject == "light") || !strings.HasPrefix(m.clauses[i].text, want.Subject) {
				t.Errorf("%s: %+v", l, m.clauses[i])
			}
		}
		if g := m.clauses[len(findings)+1].gap; g == nil || g.Subject != "" || g.Reason != gaps[1].Reason {
			t.Errorf("%s: the gap is %+v", l, g)
		}
	}
}

func TestHiddenClausesAreCounted(t *testing.T) {
	for _, l := range drift.Languages {
		var look drift.Look
		for i := range 40 {
			look.Findings = append(look.Findings, drift.Finding{Operation: "a.crit", Subject: fmt.Sprintf("a.rather.long.parameter.%02d", i), Observed: "0", Supported: "1", State: drift.Active})
		}
		m := reader(wordings()).read(judged(l, look).Message)
		if m.hidden == 0 || m.hidden+len(m.clauses) != 40 {
			t.Errorf("%s: %d shown, %d hidden", l, len(m.clauses), m.hidden)
		}
		huge := drift.Look{Observation: drift.Observation{Findings: []drift.Finding{{Operation: "a.crit", Subject: strings.Repeat("x", 2000), State: drift.Active}}}}
		if m := reader(wordings()).read(judged(l, huge).Message); m.hidden != 1 || len(m.clauses) != 0 {
			t.Errorf("%s: a finding that fits nowhere: %+v", l, m)
		}
	}
}

func TestRemarksAreNoFindings(t *testing.T) {
	for _, text := range []string{"", "all that was looked at is in support", "所检查的内容均在支持范围内", "x (y)", "KernelParameterDrift; KubernetesPathDrift"} {
		for _, c := range reader(wordings()).read(text).clauses {
			if c.finding != nil || c.gap != nil {
				t.Errorf("%q is read as %+v", text, c)
			}
		}
	}
}

// Anything may stand in a condition.
func FuzzMessage(f *testing.F) {
	for _, l := range drift.Languages {
		f.Add(judged(l, drift.Look{Observation: drift.Observation{Findings: []drift.Finding{{Operation: "a.crit", Subject: "s", Observed: "0", Supported: "1", State: drift.Active}}, Gaps: []drift.Gap{{Reason: "no"}}}}).Message + " (+3 more)")
	}
	f.Fuzz(func(t *testing.T, text string) {
		m := reader(wordings()).read(text)
		if m.hidden < 0 {
			t.Errorf("%q hides %d", text, m.hidden)
		}
		length := 0
		for _, c := range m.clauses {
			length += len(c.text)
		}
		if length > len(text) {
			t.Errorf("%q has more than it says: %+v", text, m.clauses)
		}
	})
}
