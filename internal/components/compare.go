package components

import (
	"maps"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

const unset = "unset"

// compare returns how the components that the rule is about differ from what was
// recorded of them. An area that was not there then is added, not drift. The
// subject of a gap is what the subjects of its findings begin with.
func (s *scene) compare(operation string, r Rule) (findings []drift.Finding, gaps []drift.Gap) {
	if s.unlisted != nil && r.Compare == parameters {
		return nil, []drift.Gap{{Operation: operation, Subject: string(r.Component), Reason: s.unlisted.reason, Hint: s.unlisted.hint}}
	}
	if !s.holds(r) {
		return nil, nil
	}
	for _, a := range s.areasOf(r, r.Compare) {
		if a.fault != nil {
			gaps = append(gaps, drift.Gap{Operation: operation, Subject: a.prefix, Reason: a.fault.reason, Hint: a.fault.hint})
			continue
		}
		for _, f := range s.differences(a) {
			if r.counts(a, f.Subject) && (r.Changes != ofGone || f.Observed == string(absent)) {
				f.Operation = operation
				if r.Compare == "packages" {
					f.Package, _ = a.key(f.Subject)
				}
				findings = append(findings, f)
			}
		}
	}
	return findings, gaps
}

func (s *scene) differences(a *area) []drift.Finding {
	switch {
	case !s.wasThere(a):
		return nil
	case a.state == absent && a.place != "":
		return []drift.Finding{a.gone(s.recorded[a.name])}
	case a.state == absent || a.state == "":
		return nil
	}
	var out []drift.Finding
	for _, key := range s.keys(a) {
		now, set := a.values[key]
		was, recorded := s.recorded[a.subject(key)]
		if set != recorded || now.text != was {
			out = append(out, a.difference(key, now, set, was, recorded))
		}
	}
	return out
}

// wasThere tells whether the area has been recorded.
func (s *scene) wasThere(a *area) bool {
	was, recorded := s.recorded[a.name]
	return recorded && was != string(absent) && was != baseline.Unread
}

// keys are those of the area, and those recorded of it.
func (s *scene) keys(a *area) []string {
	all := map[string]bool{}
	for key := range a.values {
		all[key] = true
	}
	for subject := range s.recorded {
		if key, ok := a.key(subject); ok {
			all[key] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func (a *area) difference(key string, now value, set bool, was string, recorded bool) drift.Finding {
	f := a.finding(a.subject(key), now.text, was, a.pending(key, now, set))
	none := unset
	if a.listing {
		none = string(absent)
	}
	if !set {
		f.Observed = none
	}
	if !recorded {
		f.Supported = none
	}
	if now.file != "" {
		f.Args["file"] = drift.Printable(now.file)
	}
	return f
}

// gone is the one finding about a configuration that is there no more.
func (a *area) gone(before string) drift.Finding {
	return a.finding(a.name, string(absent), before, !a.started.IsZero() && a.later(a.changed))
}

func (a *area) finding(subject, observed, supported string, pending bool) drift.Finding {
	f := drift.Finding{
		Subject: subject, Observed: observed, Supported: supported, State: drift.Active, Baseline: true,
		Args: map[string]string{},
	}
	if a.component != "" {
		f.Args["unit"] = string(a.component)
	}
	if pending {
		f.State = drift.Pending
	}
	if a.place != "" {
		f.Args["file"] = drift.Printable(a.place)
	}
	return f
}

// counts tells whether the rule is about the setting.
func (r Rule) counts(a *area, subject string) bool {
	key, _ := a.key(subject)
	named := func(glob string) bool {
		return drift.Glob(glob, subject) || drift.Glob(glob, key) || drift.Glob("--"+glob, key)
	}
	return (len(r.Keys) == 0 || slices.ContainsFunc(r.Keys, named)) && !slices.ContainsFunc(r.Allow, named)
}

// facts are what a baseline would record; what is absent is no fact, so that its
// coming is an addition. What was recorded of an area that could
// not be looked at now, or of a component that is down, stays.
func (s *scene) facts(rules []Rule) map[string]drift.Fact {
	out := map[string]drift.Fact{}
	local := s.locality()
	for subject, text := range s.recorded {
		if text != baseline.Unread && s.kept(subject) {
			out[subject] = drift.Fact{Value: text, Local: local.of(subject, text)}
		}
	}
	for _, a := range s.areas {
		compared := slices.ContainsFunc(rules, func(r Rule) bool { return r.Compare == parameters && r.about(a.component) })
		if !compared || a.fault != nil {
			continue
		}
		s.addFacts(out, a, local)
	}
	s.matterFacts(rules, out, local)
	if slices.ContainsFunc(rules, func(r Rule) bool { return r.Version != "" }) {
		s.releaseFacts(out)
		s.ownedFacts(out)
	}
	return out
}

// addFacts adds what was seen of an area.
func (s *scene) addFacts(out map[string]drift.Fact, a *area, local locality) {
	if a.state != running && a.state != present {
		return
	}
	fresh := !s.wasThere(a)
	out[a.name] = drift.Fact{Value: string(a.state), Fresh: fresh}
	for key, v := range a.values {
		subject := a.subject(key)
		out[subject] = drift.Fact{Value: v.text, Local: a.local || local.of(subject, v.text), Fresh: fresh}
	}
}

// down tells whether the area is the command line of a component that ran and
// does not run now: a service that is down has not changed its parameters.
func (s *scene) down(a *area) bool {
	return a.place == "" && a.state == absent && s.recorded[a.name] == string(running)
}

func (s *scene) kept(subject string) bool {
	for _, a := range s.areas {
		if _, own := a.key(subject); own || subject == a.name {
			return a.fault != nil || a.state == "" || s.down(a)
		}
	}
	name, _, _ := strings.Cut(subject, " ")
	c := Component(name)
	return (c == Containerd || c == Docker) && s.runtimes[c].config == nil
}
