package agent

import (
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	flipsToDamp = 4
	flipWindow  = time.Minute
	holdTrue    = time.Minute
)

// damper holds a condition that flaps at True for a while. It delays a False,
// never a True, so it hides no drift.
type damper struct {
	conditions map[string]*damped
	support    *drift.Condition // the aggregate as shown last
}

type damped struct {
	status drift.Status // as judged last
	shown  drift.Condition
	flips  []time.Time // of late, as judged
	until  time.Time   // True is held until then; zero: not held
}

func newDamper() damper { return damper{conditions: map[string]*damped{}} }

// settle returns the report as it is shown.
func (d *damper) settle(r drift.Report, l drift.Language, now time.Time) drift.Report {
	var families, rest []drift.Condition
	for _, c := range r.Conditions {
		switch c.Type {
		case drift.NodeOutOfSupport:
			if d.support == nil {
				d.support = &c // as judged against the run before
			}
		case drift.NodeRebuildAdvised:
			rest = append(rest, c)
		default:
			families = append(families, d.family(c, now))
		}
	}
	support := drift.OutOfSupport(families, l).Since([]drift.Condition{*d.support}, now)
	d.support = &support
	r.Conditions = append(append(families, support), rest...)
	return r
}

func (d *damper) family(c drift.Condition, now time.Time) drift.Condition {
	s := d.conditions[c.Type]
	if s == nil {
		s = &damped{status: c.Status}
		d.conditions[c.Type] = s
	}
	if c.Status != s.status {
		s.status = c.Status
		s.flips = append(recent(s.flips, now), now)
	}
	held := s.shown.Status == drift.True && c.Status != drift.True
	switch {
	case held && len(recent(s.flips, now)) >= flipsToDamp:
		s.until = s.flips[len(s.flips)-1].Add(holdTrue)
	case c.Status == drift.True:
		s.until = time.Time{}
	}
	if held && now.Before(s.until) {
		return s.shown
	}
	s.until = time.Time{}
	if s.shown.Type != "" && s.shown.Status == c.Status {
		c.LastTransitionTime = s.shown.LastTransitionTime // what was held did not move
	} else if s.shown.Type != "" {
		c.LastTransitionTime = now
	}
	s.shown = c
	return c
}

func recent(flips []time.Time, now time.Time) []time.Time {
	for len(flips) > 0 && now.Sub(flips[0]) >= flipWindow {
		flips = flips[1:]
	}
	return flips
}

// due is when the first held condition may be let go.
func (d *damper) due() (at time.Time, waiting bool) {
	for _, s := range d.conditions {
		if !s.until.IsZero() && (!waiting || s.until.Before(at)) {
			at, waiting = s.until, true
		}
	}
	return at, waiting
}
