package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// step does what is due and returns when the next thing will be.
func (a *Agent) step(ctx context.Context) time.Time {
	now := time.Now()
	next := now.Add(defaultResync)
	for _, r := range a.runners {
		if due := a.stepRunner(ctx, r, now); due.Before(next) {
			next = due
		}
	}
	if due, waiting := a.damper.due(); waiting && !due.After(now) {
		a.stats.changed = true
	}
	if !a.freeze.IsZero() && !a.freeze.After(now) {
		a.freeze, a.stats.changed = time.Time{}, true
	}
	if !a.retell.IsZero() && !a.retell.After(now) {
		a.retell, a.stats.changed = time.Time{}, true
	}
	if a.stats.changed {
		a.stats.changed = false
		a.conclude(now)
	}
	if due, waiting := a.damper.due(); waiting {
		next = earliest(next, due)
	}
	for _, t := range []time.Time{a.freeze, a.retell} {
		if !t.IsZero() {
			next = earliest(next, t)
		}
	}
	return next
}

// stepRunner starts what is due for one check.
func (a *Agent) stepRunner(ctx context.Context, r *runner, now time.Time) time.Time {
	a.askPoller(r, now)
	if r.busy {
		if !r.hung && !now.Before(r.deadline) {
			r.hung = true
			a.answer(r, drift.Look{Took: a.config.Deadline, Error: fmt.Sprintf("the check did not answer within %v", a.config.Deadline)})
		}
		if r.hung {
			return r.poll
		}
		return earliest(r.deadline, r.poll)
	}
	switch {
	case !r.resync.After(now):
		r.resync = a.onGrid(now.Add(jittered(resyncOf(r.check))))
		r.rearm()
		a.start(ctx, r, []string{}, now)
	case len(r.again) > 0 && !r.again[0].After(now):
		r.again = r.again[1:]
		a.start(ctx, r, r.early, now)
	case r.hinted() && !a.hintedDue(r).After(now):
		a.startHinted(ctx, r, now)
	}
	if r.busy {
		return earliest(r.deadline, r.poll)
	}
	due := earliest(r.resync, r.poll)
	if r.hinted() {
		due = earliest(due, a.hintedDue(r))
	}
	if len(r.again) > 0 {
		due = earliest(due, r.again[0])
	}
	return due
}

const (
	// narrowLook is how long a look at everything waits at most for one at something.
	narrowLook = 50 * time.Millisecond
	// telling is how long it leaves the processors to those who tell what that one saw.
	telling = 10 * time.Millisecond
)

// hintedDue is when to answer what was hinted. One change often concerns several checks:
// the one that knows what changed is quick, and goes first.
func (a *Agent) hintedDue(r *runner) time.Time {
	since, last, all := r.hintedAll()
	var likely time.Duration // to take
	if all {
		likely = r.look.Took
	}
	due := latest(r.quiet, earliest(r.budget.free(ownBurst, likely), a.budget.free(burst, likely)))
	if all {
		due = latest(due, earliest(a.narrow, since.Add(narrowLook)))
	}
	return latest(r.quiet, earliest(due, last.Add(calm)))
}

// startHinted answers hints at once; further ones merge until the window ends.
func (a *Agent) startHinted(ctx context.Context, r *runner, now time.Time) {
	r.quiet = now.Add(a.config.Merge)
	a.start(ctx, r, []string{}, now)
}

// start looks at these subjects and at what was hinted meanwhile.
func (a *Agent) start(ctx context.Context, r *runner, only []string, now time.Time) {
	h := r.takeHints()
	if h.early {
		r.early = h.only()
		r.again = nil
		delays := earlyAgain[:]
		if now.Sub(r.earlyAt) < 2*a.config.Merge { // they keep coming: the next one has it looked at as soon
			delays = delays[1:]
		}
		for _, d := range delays {
			r.again = append(r.again, now.Add(d))
		}
		r.earlyAt = now
	}
	if !h.empty() {
		r.since = h.first
		switch {
		case h.all:
			only = nil
		case h.armed && only != nil:
			only = h.only()
		case only != nil:
			only = append(slices.Clone(only), h.only()...)
		}
	}
	if r.narrow = len(h.subjects) > 0 && !h.all && !h.armed; r.narrow {
		a.narrow = now.Add(narrowLook)
	}
	a.observe(ctx, r, only, now)
}

func (a *Agent) askPoller(r *runner, now time.Time) {
	p, ok := r.check.(drift.Poller)
	if !ok {
		r.poll = now.Add(defaultResync)
		return
	}
	if !r.poll.After(now) {
		p.Poll(sink{a, r})
		r.poll = a.onGrid(now.Add(p.PollEvery()))
	}
}

// onGrid moves a time to the shared grid, so that timers fall together.
func (a *Agent) onGrid(t time.Time) time.Time {
	return a.epoch.Add(t.Sub(a.epoch).Round(grid))
}

func resyncOf(c drift.Check) time.Duration {
	if r, ok := c.(drift.Resyncer); ok {
		return r.ResyncEvery()
	}
	return defaultResync
}

// jittered spreads the nodes of a fleet that were started at once.
func jittered(d time.Duration) time.Duration {
	return d - d/10 + rand.N(d/5+1) //nolint:gosec // no secret depends on it
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
