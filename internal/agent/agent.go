package agent

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Set is what the agent runs with; a reload brings another one.
type Set struct {
	Policy drift.Policy
	Checks []Built
}

// Built is a check with a key that says what it was built from. A reload keeps
// the running check where the key is the same.
type Built struct {
	drift.Check
	Key  string
	Also []drift.Watcher // further sources, beside those that the check brings itself
}

// Config is what the agent is made of.
type Config struct {
	Set    Set
	Before drift.Report // open findings and conditions of an earlier run
	// Record is told what changed, before the reporters are: raised and cleared
	// findings, blind checks. It may fail; the agent goes on.
	Record func(Change)
	// Classify tells what is to be judged of what the checks saw: what belongs to
	// another finding is taken out. It must be quick; nil judges all of it.
	Classify func(before drift.Report, seen map[string]drift.Look, at time.Time) map[string]drift.Look
	// Who tells who caused a finding; nil: nobody.
	Who Attributor
	// Publish is told the report after every change and must not block.
	Publish func(drift.Report)
	// Looked is told what the checks saw, after every pass; the baseline settles by it.
	// It is told again at the time that it returns, though nothing changed until then;
	// zero: with the next pass.
	Looked func(looks map[string]drift.Look, at time.Time) (again time.Time)
	// Turned is called whenever the loop turned, for what shares its wake-ups.
	Turned func(time.Time)
	Log    *slog.Logger

	Deadline time.Duration // of one look; 0: 30 s
	Merge    time.Duration // how long further hints merge; 0: 20 ms
}

// Change is one thing that is different from the report before.
type Change struct {
	At      time.Time
	Raised  *drift.FindingReport
	Cleared *drift.FindingReport
	Blind   string // condition that is Unknown now
	Sighted string // condition that is not Unknown any more
	Why     string

	Waived     *drift.FindingReport // an open one is held back by a waiver now
	Unwaived   *drift.FindingReport // and is so no longer
	Attributed *drift.FindingReport // it became known who did it, or somebody did it again
}

const (
	defaultDeadline = 30 * time.Second
	defaultMerge    = 20 * time.Millisecond
	// grid is what all timers are aligned to, so that they share wake-ups.
	grid = time.Second
	// defaultResync is the safety net of a check that does not say its own.
	defaultResync = 5 * time.Minute
)

// earlyAgain is when to look again after an event that came before its change:
// soon, and once more for a writer that lost its processor in between.
var earlyAgain = [...]time.Duration{2 * time.Millisecond, 25 * time.Millisecond}

// Agent runs checks.
type Agent struct {
	config   Config
	runners  []*runner
	before   drift.Report // as Judge gave it last
	complete bool         // every check has answered once
	damper   damper
	epoch    time.Time // of the grid
	hold     string    // why nothing is raised: the host or the node ends
	freeze   time.Time // until when families are shown as they were: maintenance
	frozen   []drift.Condition
	retell   time.Time // when a waiver ends, or Looked wants to be told again
	budget   budget
	narrow   time.Time // until when looks at everything leave the host to one that knows at what

	wake    chan struct{}
	results chan result
	inputs  chan func(context.Context)
	turned  atomic.Int64 // when the loop last turned, in Unix nanoseconds

	published atomic.Pointer[Snapshot]
	stats     stats

	sinks sync.WaitGroup
}

// New returns an agent that Run starts.
func New(c Config) *Agent {
	if c.Deadline == 0 {
		c.Deadline = defaultDeadline
	}
	if c.Merge == 0 {
		c.Merge = defaultMerge
	}
	return &Agent{
		config: c, before: c.Before, damper: newDamper(), epoch: time.Now(),
		wake: make(chan struct{}, 1), results: make(chan result), inputs: make(chan func(context.Context)), stats: newStats(),
	}
}

// Run looks until ctx ends.
func (a *Agent) Run(ctx context.Context) {
	a.replace(ctx, a.config.Set)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			a.stop()
			return
		case <-a.wake:
		case r := <-a.results:
			a.take(r)
		case input := <-a.inputs:
			input(ctx)
		case <-timer.C:
		}
		a.turned.Store(time.Now().UnixNano())
		timer.Reset(time.Until(a.step(ctx)))
		if a.config.Turned != nil {
			a.config.Turned(time.Now())
		}
	}
}

// stop ends the sources and returns when none of them can hint any more. Looks
// that hang are left behind.
func (a *Agent) stop() {
	for _, r := range a.runners {
		r.cancel()
	}
	a.sinks.Wait()
}

// Reload hands a new set over; it returns once the agent has taken it or ended.
func (a *Agent) Reload(ctx context.Context, s Set) {
	a.do(ctx, func(run context.Context) { a.replace(run, s) })
}

// Hold keeps anything from being raised while the host shuts down or the Node is
// going away; an empty reason ends it.
func (a *Agent) Hold(ctx context.Context, reason string) {
	a.do(ctx, func(context.Context) {
		if a.hold == reason {
			return
		}
		a.hold, a.stats.changed = reason, true
		if reason != "" {
			a.config.Log.Info("nothing is raised any more", "why", reason)
		} else {
			a.config.Log.Info("findings are raised again")
		}
	})
}

// Maintain freezes the families until then and says that neither aggregate is
// true; findings are recorded all the same, and what remains is raised at its
// end. A time that has passed ends it.
func (a *Agent) Maintain(ctx context.Context, until time.Time) {
	a.do(ctx, func(context.Context) {
		a.freeze, a.stats.changed = until, true
		if s := a.published.Load(); s != nil {
			a.frozen = s.Report.Conditions
		}
	})
}

// Again looks at everything, trusting nothing.
func (a *Agent) Again(ctx context.Context) {
	a.do(ctx, func(context.Context) {
		for _, r := range a.runners {
			r.hint(drift.Hint{Source: "agent", At: time.Now()})
		}
	})
}

// Seed gives the agent conditions of an earlier run as the API has them, so that
// a restart moves no transition time.
func (a *Agent) Seed(ctx context.Context, conditions []drift.Condition) {
	a.do(ctx, func(context.Context) {
		if !a.complete {
			a.before.Conditions = conditions
		}
	})
}

func (a *Agent) do(ctx context.Context, input func(context.Context)) {
	select {
	case a.inputs <- input:
	case <-ctx.Done():
	}
}

// Turning tells whether the loop turned lately. It turns at least every
// defaultResync; whether a check hangs does not matter to it.
func (a *Agent) Turning() bool {
	return time.Since(time.Unix(0, a.turned.Load())) < 2*defaultResync
}

// nudge wakes the loop; it never blocks.
func (a *Agent) nudge() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}
