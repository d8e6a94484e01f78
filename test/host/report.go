package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"os/exec"
)

// Report is what the tests read of the JSON that nodeguard check prints.
type Report struct {
	APIVersion, Kind string
	Findings         []Finding
	Unknown          []Gap
}

// Finding is one entry of a report's findings.
type Finding struct {
	Operation, Condition, Subject string
	Observed, Supported           string
	Severity, State               string
}

// Gap is one entry of a report's unknown.
type Gap struct{ Operation, Subject, Reason, Hint string }

// Check runs nodeguard check as on an ACK worker and returns its report. Drift and "cannot tell" are answers.
func (m *Machine) Check() Report {
	m.t.Helper()
	cmd, cancel := m.command("/usr/local/bin/nodeguard", "check", "--profile", "ack", "-o", "json")
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr

	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() < 1 || exit.ExitCode() > 2) {
		m.t.Fatalf("nodeguard check: %v\n%s", err, &stderr)
	}
	var report Report
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil {
		m.t.Fatalf("nodeguard check printed no report: %v\n%s%s", err, &stdout, &stderr)
	}
	if report.APIVersion != "nodeguard.io/v1" || report.Kind != "Report" {
		m.t.Fatalf("nodeguard check printed a %q of %q", report.Kind, report.APIVersion)
	}
	return report
}
