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

// area is what settings are recorded under: all together, or those of one file.
func (s *Settings) area() string {
	if s.Apart {
		return s.Files[0]
	}
	return settingsArea
}

const inFile = " in "

// subject is a parameter's in the area.
func (s *Settings) subject(name string) string {
	if s.Apart {
		return name + inFile + s.Files[0]
	}
	return name
}

// owns tells whether a recorded subject is of the area.
func (s *Settings) owns(subject string) bool {
	if s.Apart {
		return strings.HasSuffix(subject, inFile+s.Files[0])
	}
	return !strings.Contains(subject, inFile) && !strings.HasPrefix(subject, "/")
}

// settings compares, key by key, what the administrator's sysctl.d files set with
// what was recorded. Comments, order and file names do not count, nor do the
// parameters that have rules of their own.
func (l *look) settings(r drift.Bound[Rule], rules []drift.Bound[Rule], recorded baseline.Scope) {
	if l.bootBlind {
		l.keep(recorded)
		return
	}
	own := r.Rule.Settings
	now := map[string]setting{own.area(): {value: "read"}}
	for _, s := range l.boot.of(own.covers).settings {
		if name := host.SysctlName(s.key); !s.bare && !judged(rules, s.key) && !matchAny(own.Allow, name) {
			now[own.subject(drift.Printable(name))] = s
		}
	}
	_, covered := recorded[own.area()]
	for name, s := range now {
		l.fact(name, drift.Fact{Value: shown(name, s.value), Fresh: !covered})
	}
	if covered {
		l.compareSettings(r.Operation, own, recorded, now)
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

// judged tells whether a rule judges the parameter of this key by itself. Within
// bounds there is room for a change that matters.
func judged(rules []drift.Bound[Rule], k string) bool {
	return slices.ContainsFunc(rules, func(r drift.Bound[Rule]) bool {
		_, ofInterface := interfaceOf(r.Rule, k)
		return r.Rule.Within == nil && (key(r.Rule.Parameter) == k || len(r.Rule.Interfaces) > 0 && ofInterface ||
			slices.ContainsFunc(r.Rule.Aliases, func(a string) bool { return key(a) == k }))
	})
}

// shown is the value with single spaces. The few parameters that hold a secret
// tell only that they are set.
func shown(name, value string) string {
	name, _, _ = strings.Cut(name, inFile)
	if strings.Contains(name, "secret") || strings.HasSuffix(name, "_key") {
		return "set"
	}
	return drift.Printable(strings.Join(strings.Fields(value), " "))
}

func (l *look) compareSettings(operation string, own *Settings, recorded baseline.Scope, now map[string]setting) {
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
		if _, set := now[name]; !set && was != baseline.Unread && own.owns(name) {
			l.settingFinding(operation, name, "unset", was)
		}
	}
}

// settingFinding is pending: the files speak at the next boot.
func (l *look) settingFinding(operation, name, observed, supported string) {
	parameter, _, _ := strings.Cut(name, inFile)
	l.out.Findings = append(l.out.Findings, drift.Finding{
		Operation: operation, Subject: name, Observed: observed, Supported: supported, State: drift.Pending, Baseline: true,
		Args: map[string]string{"assignment": parameter + " = " + supported},
	})
}
