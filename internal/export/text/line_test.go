package text_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func line(t *testing.T, r drift.Report, l drift.Language) string {
	t.Helper()
	var b bytes.Buffer
	if err := text.Line(&b, r, text.Options{Language: l}); err != nil {
		t.Fatal(err)
	}
	if strings.Count(b.String(), "\n") != 1 || !utf8.ValidString(b.String()) || strings.Contains(b.String(), "\x1b") {
		t.Errorf("it is no line: %q", b.String())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func raised(severity drift.Severity, state drift.State, operation, subject string) drift.FindingReport {
	return drift.FindingReport{Severity: severity, State: state, Operation: operation, Subject: subject, Observed: "0", Supported: "1"}
}

func TestLineBeginsWithTheMostSevere(t *testing.T) {
	waived := raised(drift.Critical, drift.Active, "a.waived", "s")
	waived.Waiver = &drift.WaiverReport{}
	blind := drift.Report{Profile: "ack", Conditions: []drift.Condition{{Status: drift.Unknown}}, Unknown: []drift.UnknownReport{{Subject: "x\n\x1b", Reason: "no"}, {Reason: "no bus"}}}
	both := blind
	both.Findings = []drift.FindingReport{raised(drift.Warning, drift.Active, "a.warn", "s")}
	for _, c := range []struct {
		name   string
		report drift.Report
		want   string
	}{
		{"in force before pending", drift.Report{Findings: []drift.FindingReport{
			waived, raised(drift.Critical, drift.Pending, "a.later", "s"), raised(drift.Critical, drift.Active, "a.now", "s"), raised(drift.Warning, drift.Active, "a.warn", "s"),
		}}, "critical a.now: s is 0, supported 1; critical a.later (pending): s is 0, supported 1; warning a.warn: s is 0, supported 1"},
		{"waived and light", drift.Report{Profile: "ack", Findings: []drift.FindingReport{waived, raised(drift.Info, drift.Active, "a.info", "s")}}, "in support (profile ack)"},
		{"blind", blind, `unknown: cannot tell about x\x0a\x1b: no; cannot tell: no bus`},
		{"drift beats blindness", both, `warning a.warn: s is 0, supported 1; cannot tell about x\x0a\x1b: no; cannot tell: no bus`},
		{"a check that failed", drift.Report{Checks: []drift.CheckReport{{Status: drift.CheckUnknown}}}, "unknown: cannot tell"},
	} {
		if got := line(t, c.report, drift.English); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

// Whatever the names are made of, 80 bytes name severity, operation and both ends of
// the subject, and are no broken text.
func TestLineHead(t *testing.T) {
	for _, subject := range []string{strings.Repeat("/long/path", 40), strings.Repeat("名称", 60), "x" + strings.Repeat("名称", 60), "xx" + strings.Repeat("名称", 60), "net.ipv4.ip_forward"} {
		for _, operation := range []string{"ack.net.ip-forward", "ack-dedicated.master.controller-manager-flags"} {
			for _, l := range drift.Languages {
				f := raised(drift.Critical, drift.Pending, operation, subject)
				f.Observed = "present where it was not"
				many := drift.Report{Findings: []drift.FindingReport{f}}
				for range 200 {
					many.Findings = append(many.Findings, raised(drift.Warning, drift.Active, "a.warn", "s"))
				}
				got := line(t, many, l)
				if len(got) > 1024+40 || !strings.Contains(got, "more)") && !strings.Contains(got, "项") {
					t.Errorf("%d bytes: %s", len(got), got)
				}
				head, _, _ := strings.Cut(got, "; ")
				if len(head) > 80 || !utf8.ValidString(head) || !strings.HasPrefix(head, "critical "+operation) || !strings.Contains(head, string([]rune(subject)[:1])) || strings.Contains(head, `\x`) {
					t.Errorf("%s: %d bytes %q", l, len(head), head)
				}
			}
		}
	}
}
