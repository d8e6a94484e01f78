package sysctl

import (
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// settingsArea is recorded with the settings, so that a baseline without it is
// known never to have covered them.
const settingsArea = "sysctl.d"

// settings compares, key by key, what the administrator's sysctl.d files set with
// what was recorded. Comments, order and file names do not count, nor do the
// parameters that have rules of their own.
func (l *look) settings(r drift.Bound[Rule], rules []drift.Bound[Rule], recorded baseline.Scope) {
	if l.bootBlind {
		l.keep(recorded)
		return
	}
	now := map[string]setting{settingsArea: {value: "read"}}
	for _, s := range l.boot.of(r.Rule.Settings.covers).settings {
		if !s.bare && !judged(rules, s.key) {
			now[drift.Printable(host.SysctlName(s.key))] = s
		}
	}
	_, covered := recorded[settingsArea]
	for name, s := range now {
		l.fact(name, drift.Fact{Value: shown(name, s.value), Fresh: !covered})
	}
	if covered {
		l.compareSettings(r.Operation, recorded, now)
	}
}

// keep leaves what was recorded as it is while some of the files cannot be read.
func (l *look) keep(recorded baseline.Scope) {
	for name, value := range recorded {
		l.fact(name, drift.Fact{Value: value})
	}
}

func (l *look) fact(subject string, f drift.Fact) {
	if l.out.Facts == nil {
		l.out.Facts = map[string]drift.Fact{}
	}
	l.out.Facts[subject] = f
}

// covers tells whether the settings of a file must stay as recorded.
func (s *Settings) covers(file string) bool {
	return matchAny(s.Files, file) && !matchAny(s.Except, file)
}

// judged tells whether a rule judges the parameter of this key.
func judged(rules []drift.Bound[Rule], k string) bool {
	return slices.ContainsFunc(rules, func(r drift.Bound[Rule]) bool {
		_, ofInterface := interfaceOf(r.Rule, k)
		return key(r.Rule.Parameter) == k || len(r.Rule.Interfaces) > 0 && ofInterface ||
			slices.ContainsFunc(r.Rule.Aliases, func(a string) bool { return key(a) == k })
	})
}

// shown is the value with single spaces. The few parameters that hold a secret
// tell only that they are set.
func shown(name, value string) string {
	if strings.Contains(name, "secret") || strings.HasSuffix(name, "_key") {
		return "set"
	}
	return drift.Printable(strings.Join(strings.Fields(value), " "))
}

func (l *look) compareSettings(operation string, recorded baseline.Scope, now map[string]setting) {
	for name, s := range now {
		was, known := recorded[name]
		if is := shown(name, s.value); !known || was != is {
			if !known {
				was = "unset"
			}
			l.settingFinding(operation, name, is+" ("+drift.Printable(s.file)+":"+strconv.Itoa(s.line)+")", was)
		}
	}
	for name, was := range recorded {
		if _, set := now[name]; !set && was != baseline.Unread {
			l.settingFinding(operation, name, "unset", was)
		}
	}
}

// settingFinding is pending: the files speak at the next boot.
func (l *look) settingFinding(operation, name, observed, supported string) {
	l.out.Findings = append(l.out.Findings, drift.Finding{
		Operation: operation, Subject: name, Observed: observed, Supported: supported, State: drift.Pending, Baseline: true,
		Args: map[string]string{"assignment": name + " = " + supported},
	})
}
