package paths

import (
	"path"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// compare turns what was looked at into findings against what was recorded.
func (l *look) compare() drift.Observation {
	if l.recorded == nil {
		return drift.Observation{Gaps: l.gaps, Facts: l.facts}
	}
	c := comparison{look: l}
	c.differing = c.differences()
	for _, t := range l.targets {
		c.target(t)
	}
	c.mounts()
	c.owned()
	return drift.Observation{Findings: c.findings, Gaps: l.gaps, Facts: l.facts}
}

type comparison struct {
	*look
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

func (c *comparison) target(t *target) {
	was, known := c.recorded[t.subject]
	now, seen := c.facts[t.subject]
	switch {
	case !known || was == baseline.Unread:
		c.markFresh(t, t.subject)
	case !seen:
		// A gap: neither there nor gone.
	case was == absent && now.Value != absent:
		c.appeared(t)
	case now.Value == absent && c.goneWith(t):
	case now.Value == absent:
		c.changed(t, t.subject, was, absent)
	default:
		c.changed(t, t.subject, was, now.Value)
		if kindOf(was) == kindOf(now.Value) && !c.mountChanged(t) && t.rule.Only == "" {
			c.below(t)
		}
	}
}

// goneWith tells whether a narrowed target went with one that it lies in.
func (c *comparison) goneWith(t *target) bool {
	if t.rule.Only == "" {
		return false
	}
	for dir := path.Dir(t.subject); len(dir) > 1; dir = path.Dir(dir) {
		if c.narrowed[narrowed(dir, t.rule.Only)] && c.facts[dir].Value == absent {
			return true
		}
	}
	return false
}

// markFresh marks the facts of a path that the baseline never recorded, and of
// all below it: they are to be added to it, which is no drift.
func (c *comparison) markFresh(t *target, top string) {
	for subject, fact := range c.facts {
		if subject == top || strings.HasPrefix(subject, top+"/") || top == t.subject && subject == mountSubject(top) {
			fact.Fresh = true
			c.facts[subject] = fact
		}
	}
}

// appeared reports a path that was absent when the baseline was recorded.
func (c *comparison) appeared(t *target) {
	if t.rule.Only != "" && c.own[t.subject] {
		return
	}
	tier := "appeared"
	if t.rule.Appears == "drift" {
		tier = ""
	}
	kind, _, _ := strings.Cut(c.facts[t.subject].Value, " ")
	c.add(t, tier, t.subject, "new "+kind, absent)
}

func (c *comparison) changed(t *target, subject, was, now string) {
	if was == now || c.followed(subject, was, now) {
		return
	}
	counts := func(aspect string) bool { return c.has(t, subject, aspect) }
	tellingWas, tellingNow := renewal{parseValue(was), parseValue(now)}.telling()
	observed, supported := difference(tellingWas, tellingNow, counts)
	if observed == "" {
		observed, supported = difference(was, now, counts) // nothing tells of it but which one it is
	}
	if observed != "" {
		c.add(t, t.lightly(was, now), subject, observed, supported)
	}
}

// followed marks a certificate that took the place of the recorded one in the ordinary
// course of things: it is what is to be recorded, and no drift.
func (c *comparison) followed(subject, was, now string) bool {
	r := renewal{parseValue(was), parseValue(now)}
	if !r.follows() {
		return false
	}
	if f := c.facts[subject]; r.improves() {
		f.Renewal = &drift.Renewal{Of: was, Told: r.tell(subject)}
		c.facts[subject] = f
	}
	return true
}

// lightly is the tier of a difference in mode and owner alone, "" for another.
func (t *target) lightly(was, now string) string {
	observed, supported := difference(was, now, func(aspect string) bool { return aspect != onlyPermissions })
	if observed != supported {
		return ""
	}
	return t.rule.LightTier
}

// has tells whether an aspect of the subject is the target's: a narrowed one has only
// its own, and takes that away from the others.
func (c *comparison) has(t *target, subject, aspect string) bool {
	if t.rule.Only != "" {
		return t.rule.Only == aspect
	}
	return aspect == "" || !c.narrowed[narrowed(subject, aspect)]
}

// mountChanged reports another mount or another directory under the same name.
// It tells whether something lies over the recorded content, so that all below
// would only be its consequence.
func (c *comparison) mountChanged(t *target) bool {
	subject := mountSubject(t.subject)
	was, known := c.recorded[subject]
	now, seen := c.facts[subject]
	if seen && !known {
		now.Fresh = true
		c.facts[subject] = now
	}
	if !known || !seen {
		return false
	}
	observed, supported := mountDifference(was, now.Value)
	if observed == supported {
		return false
	}
	aspect := onlyPresence
	if observed == anotherDirectory && c.covered(t.subject) {
		aspect = "" // it may have been put back: what is in it now tells
	}
	if c.has(t, t.subject, aspect) {
		c.add(t, "", subject, observed, supported)
	}
	return parseValue(was).get("point") != parseValue(now.Value).get("point")
}

// covered tells whether the subject is a target that is not narrowed, or lies in one.
func (c *comparison) covered(subject string) bool {
	for ; len(subject) > 1; subject = path.Dir(subject) {
		if c.own[subject] {
			return true
		}
	}
	return false
}

// below compares all that is static below a target, in both directions.
func (c *comparison) below(t *target) {
	for _, subject := range c.differing {
		if !strings.HasPrefix(subject, t.subject+"/") || c.ofAnother(t, subject) {
			continue
		}
		was, known := c.recorded[subject]
		now, seen := c.facts[subject]
		switch {
		case was == baseline.Unread:
			c.markFresh(t, subject)
		case c.isNarrowed(subject) && !c.counts(t, subject): // only the narrowed one looks at it
		case c.facts[subject].Fresh || c.consequence(t, subject) || c.blind(subject):
		case !seen && isMount(subject, was): // of a path that has no rule of its own any more
		case !seen && c.counts(t, subject) && !matchAny(t.rule.MayVanish, relativeTo(t.subject, subject)):
			c.changed(t, subject, was, absent)
		case !known:
			kind, _, _ := strings.Cut(now.Value, " ")
			c.add(t, c.tierOfNew(t), subject, "new "+kind, absent)
		case seen:
			c.changed(t, subject, was, now.Value)
		}
	}
}

// tierOfNew is that of an entry that is new below the target.
func (c *comparison) tierOfNew(t *target) string {
	if t.rule.FirstTier == "" {
		return t.rule.LightTier
	}
	for subject := range c.recorded {
		if strings.HasPrefix(subject, t.subject+"/") {
			return t.rule.LightTier
		}
	}
	return t.rule.FirstTier
}

// isMount tells whether what was recorded is the mount of a path, and no file of that name.
func isMount(subject, was string) bool {
	return strings.HasSuffix(subject, mountSuffix) && parseValue(was).get("point") != ""
}

// ofAnother tells whether the subject is a target that lies in this one, or in that:
// its own rule judges it. Of a narrowed one that is its mount alone.
func (c *comparison) ofAnother(t *target, subject string) bool {
	name, mount := strings.CutSuffix(subject, mountSuffix)
	if mount && c.isNarrowed(name) {
		return true
	}
	for ; len(name) > len(t.subject); name = path.Dir(name) {
		if c.own[name] {
			return true
		}
	}
	return false
}

func (c *comparison) isNarrowed(subject string) bool {
	return c.narrowed[narrowed(subject, onlyPresence)] || c.narrowed[narrowed(subject, onlyPermissions)]
}

// counts tells whether the rule still covers a recorded subject: a rule that
// covers less than the one before it makes nothing missing.
func (c *comparison) counts(t *target, subject string) bool {
	rel := relativeTo(t.subject, subject)
	return t.rule.static(rel) || t.rule.below(rel) || matchAny(t.rule.Rotating, rel)
}

// consequence tells whether a directory above explains the difference already:
// it is new, gone, mounted over or no directory any more.
func (c *comparison) consequence(t *target, subject string) bool {
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

// unused tells whether the target is of a container runtime that the kubelet does not use.
func (c *comparison) unused(t *target) bool {
	if t.rule.Runtime == "" || c.runtime == nil {
		return false
	}
	uses := c.runtime()
	return uses != "" && uses != t.rule.Runtime
}

func (c *comparison) add(t *target, tier, subject, observed, supported string) {
	if c.unused(t) {
		return
	}
	if tier == "" {
		tier = t.rule.Tier
	}
	c.findings = append(c.findings, drift.Finding{
		Operation: t.operation, Subject: subject, Tier: tier, Observed: observed, Supported: supported,
		State: drift.Active, Baseline: true, Args: map[string]string{"path": strings.TrimSuffix(subject, mountSuffix)},
	})
}
