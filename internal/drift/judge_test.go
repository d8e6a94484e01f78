package drift_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const family = "KernelParameterDrift"

var t0 = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func policy() drift.Policy {
	return drift.Policy{
		Node: "n1", Profile: "ack", Language: drift.English,
		Checks: []drift.CheckPolicy{{Name: "sysctl", Condition: family, Operations: []string{"op.critical", "op.info"}}},
		Operations: map[string]drift.Operation{
			"op.critical": {ID: "op.critical", Title: "Critical", Severity: drift.Critical, Recovery: drift.Recovery{
				Text: "set {subject} to {supported}", Commands: []string{"fix {subject}", "edit {file}"}, PendingCommands: []string{"later {subject}"}, Class: drift.Rejoin}},
			"op.warning": {ID: "op.warning", Severity: drift.Warning, Recovery: drift.Recovery{Class: drift.Revert},
				Tiers: map[string]drift.Tier{"light": {Severity: drift.Info, Title: "Light"}}},
			"op.info": {ID: "op.info", Severity: drift.Info, Recovery: drift.Recovery{Class: drift.Revert}},
		},
	}
}

func finding(operation, subject string) drift.Finding {
	return drift.Finding{Operation: operation, Subject: subject, Observed: "0", Supported: "1", State: drift.Active}
}

func look(findings ...drift.Finding) map[string]drift.Look {
	return map[string]drift.Look{"sysctl": {Observation: drift.Observation{Findings: findings}}}
}

func condition(t *testing.T, r drift.Report, kind string) drift.Condition {
	t.Helper()
	for _, c := range r.Conditions {
		if c.Type == kind {
			return c
		}
	}
	t.Fatalf("no condition %s in %+v", kind, r.Conditions)
	return drift.Condition{}
}

func TestTruth(t *testing.T) {
	pending := finding("op.critical", "a")
	pending.State = drift.Pending
	light := finding("op.warning", "a")
	light.Tier = "light"
	waived := policy()
	waived.Waivers = []drift.Waiver{{Operation: "op.*", Subject: "a", Reason: "known", Expires: t0.Add(time.Hour)}}
	expired := policy()
	expired.Waivers = []drift.Waiver{{Operation: "op.critical", Reason: "known", Expires: t0}}
	gapped := func(g drift.Gap, f ...drift.Finding) map[string]drift.Look {
		return map[string]drift.Look{"sysctl": {Observation: drift.Observation{Findings: f, Gaps: []drift.Gap{g}}}}
	}
	for _, c := range []struct {
		name           string
		policy         drift.Policy
		seen           map[string]drift.Look
		family         drift.Status
		check          drift.CheckStatus
		drifted, blind bool
	}{
		{"nothing found", policy(), look(), drift.False, drift.CheckInSupport, false, false},
		{"active critical", policy(), look(finding("op.critical", "a")), drift.True, drift.CheckDrifted, true, false},
		{"active warning", policy(), look(finding("op.warning", "a")), drift.True, drift.CheckDrifted, true, false},
		{"pending makes no condition but counts", policy(), look(pending), drift.False, drift.CheckDrifted, true, false},
		{"info changes nothing", policy(), look(finding("op.info", "a")), drift.False, drift.CheckInSupport, false, false},
		{"a tier weighs for itself", policy(), look(light), drift.False, drift.CheckInSupport, false, false},
		{"waived", waived, look(finding("op.critical", "a")), drift.False, drift.CheckInSupport, false, false},
		{"waiver of another subject", waived, look(finding("op.critical", "b")), drift.True, drift.CheckDrifted, true, false},
		{"expired waiver", expired, look(finding("op.critical", "a")), drift.True, drift.CheckDrifted, true, false},
		{"gap of weight", policy(), gapped(drift.Gap{Operation: "op.critical", Reason: "no"}), drift.Unknown, drift.CheckUnknown, false, true},
		{"gap of all", policy(), gapped(drift.Gap{Reason: "no"}), drift.Unknown, drift.CheckUnknown, false, true},
		{"gap of info weighs nothing", policy(), gapped(drift.Gap{Operation: "op.info", Reason: "no"}), drift.False, drift.CheckInSupport, false, false},
		{"drift beats blindness", policy(), gapped(drift.Gap{Operation: "op.critical", Reason: "no"}, finding("op.warning", "b")), drift.True, drift.CheckDrifted, true, true},
		{"a check that failed", policy(), map[string]drift.Look{"sysctl": {Error: "hung"}}, drift.Unknown, drift.CheckUnknown, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := drift.Judge(c.policy, drift.Report{}, c.seen, t0)
			if got := condition(t, r, family).Status; got != c.family {
				t.Errorf("family is %s, want %s", got, c.family)
			}
			if got := condition(t, r, drift.NodeOutOfSupport).Status; got != c.family {
				t.Errorf("%s is %s, want %s", drift.NodeOutOfSupport, got, c.family)
			}
			if got := condition(t, r, drift.NodeRebuildAdvised).Status; got != drift.False {
				t.Errorf("%s is %s, want False", drift.NodeRebuildAdvised, got)
			}
			if got := r.Checks[0].Status; got != c.check {
				t.Errorf("check is %s, want %s", got, c.check)
			}
			if r.Drifted() != c.drifted {
				t.Errorf("Drifted is %t", r.Drifted())
			}
			if blind := r.Blind(); blind != c.blind && !c.drifted {
				t.Errorf("Blind is %t", blind)
			}
		})
	}
}

func TestFindingBehindGapIsHeld(t *testing.T) {
	before := drift.Judge(policy(), drift.Report{}, look(finding("op.critical", "a"), finding("op.critical", "b")), t0)
	later := t0.Add(time.Minute)
	seen := map[string]drift.Look{"sysctl": {Observation: drift.Observation{Gaps: []drift.Gap{{Operation: "op.critical", Subject: "a", Reason: "no"}}}}}
	r := drift.Judge(policy(), before, seen, later)
	if len(r.Findings) != 1 || r.Findings[0].Subject != "a" || !r.Findings[0].Since.Equal(t0) {
		t.Fatalf("want a alone, since %v, got %+v", t0, r.Findings)
	}
	if got := condition(t, r, family); got.Status != drift.True || !got.LastTransitionTime.Equal(t0) {
		t.Errorf("the held finding does not hold the condition: %+v", got)
	}
	if r = drift.Judge(policy(), r, map[string]drift.Look{"sysctl": {Error: "hung"}}, later); len(r.Findings) != 1 {
		t.Errorf("a hung check dropped what was last seen: %+v", r.Findings)
	}
	if r = drift.Judge(policy(), r, look(), later); len(r.Findings) != 0 {
		t.Errorf("a finding that is gone was kept: %+v", r.Findings)
	}
}

func TestTransitionTimeMovesWithStatusOnly(t *testing.T) {
	first := drift.Judge(policy(), drift.Report{}, look(finding("op.critical", "a")), t0)
	second := drift.Judge(policy(), first, look(finding("op.critical", "a"), finding("op.warning", "b")), t0.Add(time.Minute))
	if got := condition(t, second, family).LastTransitionTime; !got.Equal(t0) {
		t.Errorf("another finding moved the transition time to %v", got)
	}
	third := drift.Judge(policy(), second, look(), t0.Add(2*time.Minute))
	if got := condition(t, third, family).LastTransitionTime; !got.Equal(t0.Add(2 * time.Minute)) {
		t.Errorf("the transition time did not move with the status: %v", got)
	}
}

func TestRebuildAdvisedAfterTenMinutes(t *testing.T) {
	r := drift.Judge(policy(), drift.Report{}, look(finding("op.critical", "a")), t0)
	r = drift.Judge(policy(), r, look(finding("op.critical", "a")), t0.Add(10*time.Minute-time.Second))
	if got := condition(t, r, drift.NodeRebuildAdvised).Status; got != drift.False {
		t.Errorf("before ten minutes it is %s", got)
	}
	r = drift.Judge(policy(), r, look(finding("op.critical", "a")), t0.Add(10*time.Minute))
	if got := condition(t, r, drift.NodeRebuildAdvised); got.Status != drift.True || !strings.Contains(got.Message, "a is 0") {
		t.Errorf("after ten minutes it is %+v", got)
	}
}

func TestOrderIsStable(t *testing.T) {
	r := drift.Judge(policy(), drift.Report{}, look(finding("op.info", "c"), finding("op.warning", "b"), finding("op.critical", "z"), finding("op.critical", "a")), t0)
	var got []string
	for _, f := range r.Findings {
		got = append(got, f.Operation+" "+f.Subject)
	}
	if diff := cmp.Diff([]string{"op.critical a", "op.critical z", "op.warning b", "op.info c"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestIDNamesOperationSubjectAndState(t *testing.T) {
	id := func(f drift.Finding) string {
		return drift.Judge(policy(), drift.Report{}, look(f), t0).Findings[0].ID
	}
	a := finding("op.critical", "a")
	same := a
	same.Observed, same.Tier = "7", "light"
	if id(a) != id(same) {
		t.Error("the observed value changes the id")
	}
	pending := a
	pending.State = drift.Pending
	if id(a) == id(pending) || id(a) == id(finding("op.critical", "b")) || id(a) == id(finding("op.warning", "a")) {
		t.Error("two findings share an id")
	}
}

func TestMessageIsNeverCutInsideAFinding(t *testing.T) {
	var findings []drift.Finding
	for i := range 60 {
		f := finding("op.critical", fmt.Sprintf("net.ipv4.conf.eth%02d.rp_filter", i))
		f.Baseline = true
		findings = append(findings, f)
	}
	r := drift.Judge(policy(), drift.Report{}, look(findings...), t0)
	c := condition(t, r, family)
	if len(c.Message) > 1024 {
		t.Fatalf("message is %d bytes", len(c.Message))
	}
	if !strings.Contains(c.Message, " more)") || !strings.HasSuffix(c.Message, "; to accept this state: "+c.AcceptDigest) {
		t.Errorf("message does not count the rest and name the digest: %s", c.Message)
	}
	list, _, _ := strings.Cut(c.Message, " (+")
	for clause := range strings.SplitSeq(list, "; ") {
		if !strings.HasSuffix(clause, "supported 1 (op.critical)") {
			t.Errorf("clause is cut: %q", clause)
		}
	}
}

func TestAcceptDigestNamesTheState(t *testing.T) {
	a := drift.AcceptDigest(map[string]drift.Fact{"x": {Value: "1"}, "y": {Value: "2"}})
	if b := drift.AcceptDigest(map[string]drift.Fact{"y": {Value: "2"}, "x": {Value: "1"}}); a != b {
		t.Error("the digest depends on the order")
	}
	if b := drift.AcceptDigest(map[string]drift.Fact{"x": {Value: `1" "y" "2`}}); a == b {
		t.Error("a value can pose as another subject")
	}
	own := map[string]drift.Fact{"x": {Value: "1"}, "inode": {Value: "7", Local: true}}
	if drift.SharedDigest(own) != drift.SharedDigest(map[string]drift.Fact{"x": {Value: "1"}}) || drift.SharedDigest(own) == drift.AcceptDigest(own) {
		t.Error("what is one node's own counts in the shared digest, or not in the other")
	}
	absolute := drift.Judge(policy(), drift.Report{}, look(finding("op.critical", "a")), t0)
	if got := condition(t, absolute, family).AcceptDigest; got != "" {
		t.Errorf("an absolute finding can be accepted: %s", got)
	}
}

func TestRecoveryIsFilledIn(t *testing.T) {
	f := finding("op.critical", "it's $(reboot)")
	r := drift.Judge(policy(), drift.Report{}, look(f), t0).Findings[0].Recovery
	want := drift.RecoveryReport{Text: "set it's $(reboot) to 1", Commands: []string{`fix 'it'\''s $(reboot)'`}, Class: drift.Rejoin}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	f.State = drift.Pending
	if got := drift.Judge(policy(), drift.Report{}, look(f), t0).Findings[0].Recovery.Commands; !cmp.Equal(got, []string{`later 'it'\''s $(reboot)'`}) {
		t.Errorf("pending commands: %q", got)
	}
}

func TestUnknownOperationIsShown(t *testing.T) {
	r := drift.Judge(policy(), drift.Report{}, look(finding("op.nobody", "a")), t0)
	if len(r.Findings) != 1 || !r.Drifted() {
		t.Errorf("the finding was dropped: %+v", r.Findings)
	}
}

func TestChineseMessage(t *testing.T) {
	p := policy()
	p.Language = drift.Chinese
	got := condition(t, drift.Judge(p, drift.Report{}, look(finding("op.critical", "a")), t0), family).Message
	if want := "a 为 0，支持 1（op.critical）"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Two checks that look for one operation share a baseline that is damaged.
func TestAGapIsListedOnce(t *testing.T) {
	gap := drift.Gap{Operation: "op", Reason: "the baseline is damaged", Hint: "look at it"}
	p := drift.Policy{Checks: []drift.CheckPolicy{
		{Name: "a", Condition: "A", Operations: []string{"op"}, Gaps: []drift.Gap{gap}}, {Name: "b", Condition: "B", Operations: []string{"op"}, Gaps: []drift.Gap{gap}},
	}}
	r := drift.Judge(p, drift.Report{}, map[string]drift.Look{"a": {}, "b": {}}, time.Time{})
	if len(r.Unknown) != 1 {
		t.Errorf("%+v", r.Unknown)
	}
}
