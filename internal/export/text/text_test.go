package text_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func report() drift.Report {
	finding := drift.FindingReport{
		Operation: "op", Subject: "s", Observed: "0", Supported: "1", State: drift.Active, Severity: drift.Critical,
		Title: "Title", Impact: "impact.", Recovery: drift.RecoveryReport{Text: "Do it.", Commands: []string{"do it"}},
	}
	info, waived := finding, finding
	info.Severity, info.Subject = drift.Info, "i"
	waived.Waiver, waived.Subject = &drift.WaiverReport{Reason: "CHG-1", Owner: "sre"}, "w"
	return drift.Report{Node: "n", Profile: "p", Findings: []drift.FindingReport{finding, info, waived}}
}

func printed(t *testing.T, format string, o text.Options) string {
	t.Helper()
	var b bytes.Buffer
	if err := text.Print(&b, format, report(), o); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestColorIsForTerminalsOnly(t *testing.T) {
	plain, colored := printed(t, "table", text.Options{}), printed(t, "table", text.Options{Color: true})
	if strings.Contains(plain, "\x1b") {
		t.Errorf("escape sequences without a terminal: %q", plain)
	}
	for _, want := range []string{"\x1b[31mcritical", "\x1b[2minfo", "\x1b[2mwaived", "\x1b[1m$ do it\x1b[0m"} {
		if !strings.Contains(colored, want) {
			t.Errorf("no %q in %q", want, colored)
		}
	}
	stripped := strings.NewReplacer("\x1b[31m", "", "\x1b[2m", "", "\x1b[1m", "", "\x1b[0m", "").Replace(colored)
	if diff := cmp.Diff(plain, stripped); diff != "" {
		t.Errorf("color changes the text: %s", diff)
	}
}

func TestWhatIsWaivedHasNoRecovery(t *testing.T) {
	_, after, _ := strings.Cut(printed(t, "table", text.Options{}), "waived ")
	if !strings.Contains(after, "Waived: CHG-1, sre") || strings.Contains(after, "$ do it") {
		t.Errorf("got %q", after)
	}
}

func TestYAMLAndJSONSayTheSame(t *testing.T) {
	var fromJSON any
	if err := json.Unmarshal([]byte(printed(t, "json", text.Options{})), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if got := printed(t, "yaml", text.Options{}); !strings.HasPrefix(got, "apiVersion: \"\"\nkind: \"\"\nnode: \"n\"\nprofile: p\n") {
		t.Errorf("the order of the keys is lost: %s", got)
	}
}

func TestUnknownFormat(t *testing.T) {
	if err := text.Print(&bytes.Buffer{}, "xml", report(), text.Options{}); err == nil {
		t.Error("no error")
	}
}
