package agent

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// runner is one check with its sources. The hints are guarded: sources write them
// from anywhere. Everything else belongs to the loop.
type runner struct {
	check  drift.Check
	key    string
	cancel context.CancelFunc
	nudge  func()
	stats  *checkStats
	ended  atomic.Bool // another check took its place: its sources are not heard any more

	mu     sync.Mutex
	hints  hints
	traces []trace // who hinted lately

	look     drift.Look
	answered bool
	busy     bool // a look is under way, or hung
	hung     bool // it passed its deadline: its answer will be thrown away
	deadline time.Time
	quiet    time.Time   // until when further hints merge
	again    []time.Time // look once more then: an event came before its change
	early    []string    // at what
	earlyAt  time.Time   // when such an event was answered last
	narrow   bool        // the look under way knows at what
	budget   budget
	resync   time.Time
	poll     time.Time
	since    time.Time // of the earliest hint that the look under way answers
}

// hints are what sources said since the last look began.
type hints struct {
	subjects map[string]bool
	all      bool
	armed    bool // all, reusing what is known
	early    bool
	first    time.Time
	last     time.Time
}

func (h hints) empty() bool { return !h.all && !h.armed && len(h.subjects) == 0 }

// maxSubjects is when naming subjects is no cheaper than looking at all.
const maxSubjects = 256

// hint remembers that something should be looked at.
func (r *runner) hint(h drift.Hint) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hints.first.IsZero() {
		r.hints.first = h.At
	}
	r.hints.last = h.At
	r.hints.early = r.hints.early || h.Early
	r.traced(h)
	switch {
	case h.Armed:
		r.hints.armed = true
	case h.Subject == "" || h.Lost:
		r.hints.all = true
	case len(r.hints.subjects) >= maxSubjects:
		r.hints.armed = true
	default:
		if r.hints.subjects == nil {
			r.hints.subjects = map[string]bool{}
		}
		r.hints.subjects[h.Subject] = true
	}
	r.nudge()
}

// rearm has all looked at, whatever was hinted.
func (r *runner) rearm() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hints.armed = true
}

// takeHints returns what was hinted and forgets it.
func (r *runner) takeHints() hints {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hints
	r.hints = hints{}
	return h
}

// hintedAll tells since when and until when it was hinted, and whether at all of the check.
func (r *runner) hintedAll() (first, last time.Time, all bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.hints.first, r.hints.last, r.hints.all
}

func (r *runner) hinted() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.hints.empty()
}

// only is what Observe is asked for: nil is all, trusting nothing.
func (h hints) only() []string {
	if h.all {
		return nil
	}
	if h.armed {
		return []string{}
	}
	only := slices.AppendSeq([]string{}, maps.Keys(h.subjects))
	slices.Sort(only)
	return only
}

// result is the answer of one look.
type result struct {
	runner *runner
	look   drift.Look
}

// observe looks in a goroutine of its own, which may hang for ever.
func (a *Agent) observe(ctx context.Context, r *runner, only []string, now time.Time) {
	r.busy, r.hung, r.deadline = true, false, now.Add(a.config.Deadline)
	go func() {
		look := drift.Run(ctx, r.check, only, hangs)
		select {
		case a.results <- result{r, look}:
		case <-ctx.Done():
		}
	}()
}

// hangs is a deadline that the loop's own always comes before.
const hangs = 365 * 24 * time.Hour

// take keeps an answer, unless it came after its deadline: then only the check
// is free again, and is looked with anew.
func (a *Agent) take(r result) {
	r.runner.busy = false
	if r.runner.hung {
		r.runner.hung = false
		r.runner.hint(drift.Hint{Source: "agent", At: time.Now()})
		return
	}
	a.answer(r.runner, r.look)
}

func sameFinding(a, b drift.Finding) bool {
	return a.Operation == b.Operation && a.Subject == b.Subject && a.State == b.State && a.Observed == b.Observed
}

func (a *Agent) answer(r *runner, look drift.Look) {
	now := time.Now()
	if r.narrow {
		r.narrow, a.narrow = false, now.Add(telling)
	}
	if len(r.again) == len(earlyAgain) && !slices.EqualFunc(r.look.Findings, look.Findings, sameFinding) {
		r.again = r.again[1:] // it was not too early
	}
	r.look, r.answered = look, true
	r.budget.spend(look.Took, now)
	a.budget.spend(look.Took, now)
	r.stats.passed(look, now)
	a.stats.changed = true
}
