package components

import (
	"path"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// binary tells whether the file that a component was started from is gone from
// its place: deleted, replaced or renamed.
func (s *scene) binary(operation string, c Component) ([]drift.Finding, []drift.Gap) {
	subject := string(c) + " binary"
	p := s.processes[c]
	switch {
	case s.unlisted != nil:
		return nil, []drift.Gap{{Operation: operation, Subject: subject, Reason: s.unlisted.reason, Hint: s.unlisted.hint}}
	case p == nil, s.passedOver(c):
		return nil, nil
	case p.Exe == "":
		return nil, []drift.Gap{{
			Operation: operation, Subject: subject,
			Reason: "the executable of the running process cannot be read", Hint: "run as root, or with CAP_SYS_PTRACE",
		}}
	}
	name, ok := s.replacedBinary(*p)
	if !ok {
		return nil, nil
	}
	return []drift.Finding{{
		Operation: operation, Subject: subject, State: drift.Active,
		Observed: drift.Printable(name) + " was replaced while running", Supported: "the binary that was started",
		Package: s.owned.packageOf(name),
		Args:    map[string]string{"file": drift.Printable(name), "unit": string(c)},
	}}, nil
}

// replacedBinary returns the place that the binary is gone from. One that was
// renamed still has a name, but what the process was started as leads elsewhere
// since then; that is looked at only where the process sees the host's files.
func (s *scene) replacedBinary(p host.Process) (string, bool) {
	if p.Replaced() {
		return strings.TrimSuffix(p.Exe, " (deleted)"), true
	}
	started := p.Args[0]
	if !path.IsAbs(started) || !s.seesHost(p) {
		return "", false
	}
	at, err := s.root.Resolve(started)
	if gone(err) {
		return started, true
	}
	if err != nil || at == p.Exe {
		return "", false
	}
	changed, err := s.changed(started)
	return started, err == nil && changed.After(p.Started.Add(grace))
}
