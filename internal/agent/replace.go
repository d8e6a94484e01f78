package agent

import (
	"context"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// replace makes a set the agent's. A check with the key of a running one is kept
// running with all that it knows; the others' sources end.
func (a *Agent) replace(ctx context.Context, s Set) {
	a.config.Set = s
	for _, r := range a.runners {
		if !slices.ContainsFunc(s.Checks, r.is) {
			a.end(r)
		}
	}
	old := a.runners
	a.runners = nil
	for _, built := range s.Checks {
		if i := slices.IndexFunc(old, func(r *runner) bool { return r.is(built) }); i >= 0 {
			a.runners = append(a.runners, old[i])
		} else {
			a.runners = append(a.runners, a.newRunner(ctx, built))
		}
	}
	a.stats.changed = true
}

// is tells whether the runner runs that very check.
func (r *runner) is(b Built) bool { return r.check.Name() == b.Name() && r.key == b.Key }

// end ends a check's sources. What they still say is not heard, for another check of
// the same name may say the opposite.
func (a *Agent) end(r *runner) {
	r.cancel()
	r.ended.Store(true)
	a.stats.forget(r.check.Name())
}

// newRunner starts a check's sources. Their first hint, or the first resync,
// makes the first look.
func (a *Agent) newRunner(ctx context.Context, built Built) *runner {
	ctx, cancel := context.WithCancel(ctx)
	r := &runner{check: built.Check, key: built.Key, cancel: cancel, nudge: a.nudge, stats: a.stats.check(built.Name())}
	now := time.Now()
	r.resync, r.poll = a.onGrid(now.Add(jittered(resyncOf(built.Check)))), now
	r.hint(drift.Hint{Source: "agent", At: now})
	watchers := built.Also
	if w, ok := built.Check.(drift.Watcher); ok {
		watchers = append(slices.Clone(watchers), w)
	}
	for _, w := range watchers {
		a.sinks.Go(func() { a.watch(ctx, r, w) })
	}
	return r
}

// watch keeps a check's sources going; sources that fail altogether, or panic,
// are started again after a while, and the resync covers for them meanwhile.
func (a *Agent) watch(ctx context.Context, r *runner, w drift.Watcher) {
	for wait := time.Second; ctx.Err() == nil; wait = min(2*wait, time.Minute) {
		if err := watchSafely(ctx, w, sink{a, r}); err != nil {
			a.config.Log.Warn("sources of a check failed", "check", r.check.Name(), "error", err, "again", wait)
			a.stats.failed(r, "watch")
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}
