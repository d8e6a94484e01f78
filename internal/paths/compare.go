package paths

import (
	"path"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// compare turns what was looked at into findings against what was recorded.
func (l *look) compare(recorded baseline.Scope) drift.Observation {
	out := drift.Observation{Gaps: l.gaps, Facts: l.facts}
	if recorded == nil {
		return out
	}
	c := comparison{look: l, recorded: recorded}
	c.differing = c.differences()
	for _, t := range l.targets {
		c.target(t)
	}
	out.Findings = c.findings
	return out
}

type comparison struct {
	*look
	recorded  baseline.Scope
	differing []string // the subjects whose value is not the recorded one, sorted
	findings  []drift.Finding
}

// differences are few: most of what is looked at is as it was recorded.
func (c *comparison) differences() []string {
	var out []string
	same := 0
	for subject, now := range c.facts {
		if was, known := c.recorded[subject]; known && was == now.Value {
			same++
		} else {
			out = append(out, subject)
		}
	}
	if same < len(c.recorded) {
		for subject := range c.recorded {
			if _, seen := c.facts[subject]; !seen {
				out = append(out, subject)
			}
		}
	}
	slices.Sort(out)
	return out
}

func (c *comparison) target(t target) {
	was, known := c.recorded[t.subject]
	now, seen := c.facts[t.subject]
	switch {
	case !known || was == baseline.Unread:
		c.markFresh(t, t.subject)
	case !seen:
		// A gap: neither there nor gone.
	case was == absent && now.Value != absent:
		c.appeared(t)
	case now.Value == absent:
		c.changed(t, t.subject, was, absent)
	default:
		c.changed(t, t.subject, was, now.Value)
		if !c.mountChanged(t) && parseValue(was).kind == parseValue(now.Value).kind {
			c.below(t)
		}
	}
}

// markFresh marks the facts of a path that the baseline never recorded, and of
// all below it: they are to be added to it, which is no drift.
func (c *comparison) markFresh(t target, top string) {
	for subject, fact := range c.facts {
		if subject == top || strings.HasPrefix(subject, top+"/") || top == t.subject && subject == mountSubject(top) {
			fact.Fresh = true
			c.facts[subject] = fact
		}
	}
}

// appeared reports a path that was absent when the baseline was recorded.
func (c *comparison) appeared(t target) {
	tier := "appeared"
	if t.rule.Appears == "drift" {
		tier = ""
	}
	kind, _, _ := strings.Cut(c.facts[t.subject].Value, " ")
	c.add(t, tier, t.subject, "new "+kind, absent)
}

func (c *comparison) changed(t target, subject, was, now string) {
	if was == now {
		return
	}
	if observed, supported := difference(was, now); observed != supported {
		c.add(t, "", subject, observed, supported)
	}
}

// mountChanged reports another mount or another directory under the same name.
// It tells whether something lies over the recorded content, so that all below
// would only be its consequence.
func (c *comparison) mountChanged(t target) bool {
	subject := mountSubject(t.subject)
	was, known := c.recorded[subject]
	now, seen := c.facts[subject]
	if !known || !seen {
		return false
	}
	observed, supported := mountDifference(was, now.Value)
	if observed == supported {
		return false
	}
	c.add(t, "", subject, observed, supported)
	return parseValue(was).get("point") != parseValue(now.Value).get("point")
}

// below compares all that is static below a target, in both directions.
func (c *comparison) below(t target) {
	for _, subject := range c.differing {
		if !strings.HasPrefix(subject, t.subject+"/") {
			continue
		}
		was, known := c.recorded[subject]
		now, seen := c.facts[subject]
		switch {
		case was == baseline.Unread:
			c.markFresh(t, subject)
		case c.facts[subject].Fresh || c.consequence(t, subject) || c.blind(subject):
		case !seen && c.counts(t, subject) && !matchAny(t.rule.MayVanish, relativeTo(t.subject, subject)):
			c.changed(t, subject, was, absent)
		case !known:
			kind, _, _ := strings.Cut(now.Value, " ")
			c.add(t, "", subject, "new "+kind, absent)
		case seen:
			c.changed(t, subject, was, now.Value)
		}
	}
}

// counts tells whether the rule still covers a recorded subject: a rule that
// covers less than the one before it makes nothing missing.
func (c *comparison) counts(t target, subject string) bool {
	rel := relativeTo(t.subject, subject)
	return t.rule.static(rel) || t.rule.below(rel) || matchAny(t.rule.Rotating, rel)
}

// consequence tells whether a directory above explains the difference already:
// it is new, gone, mounted over or no directory any more.
func (c *comparison) consequence(t target, subject string) bool {
	for dir := path.Dir(subject); len(dir) > len(t.subject); dir = path.Dir(dir) {
		now, seen := c.facts[dir]
		_, known := c.recorded[dir]
		if v := parseValue(now.Value); !seen || !known || v.kind != "dir" || v.get("mounted") != "" {
			return true
		}
	}
	return false
}

// blind tells whether the subject lies behind a gap.
func (c *comparison) blind(subject string) bool {
	return slices.ContainsFunc(c.gaps, func(g drift.Gap) bool { return g.Covers(subject) })
}

func (c *comparison) add(t target, tier, subject, observed, supported string) {
	c.findings = append(c.findings, drift.Finding{
		Operation: t.operation, Subject: subject, Tier: tier, Observed: observed, Supported: supported,
		State: drift.Active, Baseline: true, Args: map[string]string{"path": strings.TrimSuffix(subject, mountSuffix)},
	})
}
