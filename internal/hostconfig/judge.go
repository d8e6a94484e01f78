package hostconfig

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	unset   = "unset"
	missing = "missing"
	present = "present"
	lookedA = "looked at"
)

// judge says what a table means to one rule.
func (l *look) judge(b drift.Bound[Rule], t *table) ([]drift.Finding, []drift.Gap) {
	switch {
	case t.skip:
		return nil, nil
	case t.fault != nil:
		return nil, []drift.Gap{{Operation: b.Operation, Subject: t.area, Reason: t.fault.reason, Hint: t.fault.hint}}
	}
	var out []drift.Finding
	if b.Rule.Compare != "" {
		out = l.compared(b.Rule, t)
	} else {
		out = judged(b.Rule, t)
	}
	for i := range out {
		out[i].Operation = b.Operation
		if out[i].Tier == "" {
			out[i].Tier = b.Rule.Tier
		}
	}
	return out, nil
}

// judged are the settings that the rule does not support.
func judged(r Rule, t *table) []drift.Finding {
	var out []drift.Finding
	for _, key := range slices.Sorted(maps.Keys(t.entries)) {
		if e := t.entries[key]; r.counts(key) && !r.supports(e) {
			f := e.finding(t.subject(key))
			f.Supported = r.want(e)
			out = append(out, f)
		}
	}
	return out
}

func (r Rule) supports(e entry) bool {
	switch {
	case len(r.Supported) > 0 && !matchesAny(r.Supported, e.value):
		return false
	case r.AtLeast != 0 && e.number < r.AtLeast, r.AtMost != 0 && e.number > r.AtMost:
		return false
	default:
		return !matchesAny(r.Refused, e.value)
	}
}

// want says what is supported.
func (r Rule) want(e entry) string {
	switch {
	case r.Want != "":
		return r.Want
	case len(r.Supported) > 0:
		return strings.Join(r.Supported, " or ")
	case e.want != "":
		return e.want
	case r.AtLeast != 0:
		return fmt.Sprintf("at least %d", r.AtLeast)
	case r.AtMost != 0:
		return fmt.Sprintf("at most %d", r.AtMost)
	default:
		return "not " + strings.Join(r.Refused, " or ")
	}
}

func (e entry) finding(subject string) drift.Finding {
	f := drift.Finding{Subject: subject, Observed: e.shown(), State: drift.Active, Args: map[string]string{}}
	maps.Copy(f.Args, e.args)
	if e.pending {
		f.State = drift.Pending
	}
	return f
}

func (e entry) shown() string {
	if e.value == "" {
		return present
	}
	return e.value
}

// compared are the settings that are not what was recorded.
func (l *look) compared(r Rule, t *table) []drift.Finding {
	if r.Look == "directory" {
		return l.directoryFindings(r, t)
	}
	if !l.covered(r, t) {
		return nil
	}
	var out []drift.Finding
	for _, key := range l.keys(r, t) {
		now, set := t.entries[key]
		was, known := l.recorded[t.subject(key)]
		if f, ok := l.difference(r, t.subject(key), now, set, was, known); ok {
			out = append(out, f)
		}
	}
	if t.absent && len(out) > 1 {
		f := entry{value: missing, args: out[0].Args}.finding(t.area)
		f.Supported, f.Baseline = present, true
		return []drift.Finding{f}
	}
	return out
}

func (l *look) difference(r Rule, subject string, now entry, set bool, was string, known bool) (drift.Finding, bool) {
	f := now.finding(subject)
	f.Baseline, f.Supported = true, was
	change := changed
	switch {
	case known && was == baseline.Unread || known && set && was == now.shown() || !known && now.lacking:
		return f, false
	case now.lacking:
		change = removed
	case !set:
		f.Observed, change = missing, removed
	case !known:
		f.Supported, change = unset, added
	}
	f.Observed, f.Supported = shortened(f.Observed), shortened(f.Supported)
	return f, r.matters(change) && (change != removed || !l.scheduledStill(r)) && (r.During == "" || set && l.duringLogin(now.changed))
}

// shortened shows so much of a digest that people can tell two apart.
func shortened(value string) string {
	if rest, ok := strings.CutPrefix(value, "sha256:"); ok && len(rest) > 12 {
		return "content sha256:" + rest[:12]
	}
	return value
}

// covered tells whether the baseline has what the rule looks at.
func (l *look) covered(r Rule, t *table) bool {
	was, known := l.recorded[t.scope(r)]
	return known && was != baseline.Unread
}

// keys are those of the table, and those recorded of it.
func (l *look) keys(r Rule, t *table) []string {
	all := map[string]bool{}
	for key := range t.entries {
		all[key] = r.counts(key)
	}
	for subject := range l.recorded {
		if key, ok := t.key(subject); ok && !l.isScope(subject) {
			all[key] = r.counts(key)
		}
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(key string) bool { return !all[key] })
}

// isScope tells the subject of the fact that something was looked at.
func (l *look) isScope(subject string) bool { return l.recorded[subject] == lookedA }

// facts are what a baseline would record. What was recorded of something that
// could not be looked at now stays.
func (l *look) facts(rules []drift.Bound[Rule]) map[string]drift.Fact {
	var out map[string]drift.Fact
	for _, b := range rules {
		if b.Rule.Compare == "" {
			continue
		}
		if out == nil {
			out = map[string]drift.Fact{}
		}
		for _, in := range b.Rule.places() {
			l.addFacts(out, b.Rule, l.table(b.Rule, in))
		}
	}
	return out
}

func (l *look) addFacts(out map[string]drift.Fact, r Rule, t *table) {
	if t.skip {
		return
	}
	if t.fault != nil {
		l.keep(out, r, t)
		return
	}
	if r.Look == "directory" {
		if fact, ok := l.directoryFact(t); ok {
			out[t.area] = fact
		}
		return
	}
	fresh := !l.covered(r, t)
	out[t.scope(r)] = drift.Fact{Value: lookedA, Fresh: fresh}
	for key, e := range t.entries {
		if subject := t.subject(key); r.counts(key) && !e.lacking {
			_, known := l.recorded[subject]
			out[subject] = drift.Fact{Value: e.shown(), Local: r.PerNode || e.local, Fresh: fresh || !known && !r.matters(added)}
		}
	}
}

func (l *look) keep(out map[string]drift.Fact, r Rule, t *table) {
	for subject, was := range l.recorded {
		key, own := t.key(subject)
		if was != baseline.Unread && (subject == t.scope(r) || own && r.counts(key)) {
			out[subject] = drift.Fact{Value: was, Local: r.PerNode}
		}
	}
}
