package components

import (
	"maps"
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// policy returns the settings of the rule's matter that are not what it wants.
func (s *scene) policy(operation string, r Rule) (findings []drift.Finding, gaps []drift.Gap) {
	if s.unlisted != nil && r.Policy == parameters {
		return nil, []drift.Gap{{Operation: operation, Subject: string(r.Component), Reason: s.unlisted.reason, Hint: s.unlisted.hint}}
	}
	if !s.holds(r) {
		return nil, nil
	}
	areas := s.areasOf(r, r.Policy)
	for _, a := range areas {
		if a.fault != nil {
			gaps = append(gaps, drift.Gap{Operation: operation, Subject: a.prefix, Reason: a.fault.reason, Hint: a.fault.hint})
			continue
		}
		f, g := s.judgeArea(r, a)
		findings, gaps = append(findings, f...), append(gaps, g...)
	}
	if len(gaps) == 0 {
		findings = append(findings, s.lacking(r, areas)...)
	}
	for i := range findings {
		findings[i].Operation, findings[i].Baseline = operation, false
	}
	for i := range gaps {
		gaps[i].Operation = operation
	}
	return findings, gaps
}

func (s *scene) judgeArea(r Rule, a *area) (findings []drift.Finding, gaps []drift.Gap) {
	for _, key := range slices.Sorted(maps.Keys(a.values)) {
		v, subject := a.values[key], a.subject(key)
		if !r.counts(a, subject) || s.overruled(r, a, key, v) {
			continue
		}
		switch want, verdict := s.verdict(r, key, v.text); verdict {
		case refused:
			f := a.finding(subject, v.text, want, a.pending(key, v, true))
			if v.file != "" {
				f.Args["file"] = drift.Printable(v.file)
			}
			findings = append(findings, f)
		case unknown:
			gaps = append(gaps, drift.Gap{Subject: subject, Reason: want, Hint: "a newer nodeguard may know; an operation of your own can say it"})
		}
	}
	return findings, gaps
}

// overruled tells whether something else goes before the setting: the flag that the
// rule names goes before a file's key, and the flag that a process runs with is
// judged, not the file that it came from.
func (s *scene) overruled(r Rule, a *area, key string, v value) bool {
	if !isFlag(key) {
		return r.Flag != "" && s.flagRuns(a.component, r.Flag)
	}
	if a.place == "" || a.loaded == nil || s.processes[a.component] == nil || !a.loaded(key, v, true) {
		return false
	}
	return slices.ContainsFunc(s.areas, func(running *area) bool {
		return running.component == a.component && running.place == "" && r.counts(running, running.subject(key))
	})
}

func (s *scene) flagRuns(c Component, flag string) bool {
	if c == Kubelet {
		return s.kubelet.flags.has(flag)
	}
	return s.runtimes[c].flags.has(flag)
}

// lacking are the settings that the rule requires and nobody set.
func (s *scene) lacking(r Rule, areas []*area) []drift.Finding {
	if !s.here(r.Component) {
		return nil
	}
	var out []drift.Finding
	for _, key := range r.Required {
		set := slices.ContainsFunc(areas, func(a *area) bool {
			_, inFile := a.values[key]
			_, asFlag := a.values["--"+key]
			return inFile || asFlag || r.Flag != "" && s.flagRuns(a.component, r.Flag)
		})
		if i := slices.IndexFunc(areas, func(a *area) bool { return a.place != "" }); !set && i >= 0 {
			a := areas[i]
			out = append(out, a.finding(a.subject(key), unset, r.want("set"), a.pending(key, value{}, false)))
		}
	}
	return out
}

// here tells whether the component runs on this host, or left its configuration.
func (s *scene) here(c Component) bool {
	if c == Kubelet {
		return s.kubeletHere()
	}
	return s.judged(s.runtimes[c].config)
}
