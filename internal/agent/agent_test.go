package agent_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// host is what a fake check looks at: the subjects that are out of support.
type host struct {
	mu      sync.Mutex
	drifted map[string]bool
	looks   [][]string    // what each look was asked for
	at      []time.Time   // when
	block   chan struct{} // a look hangs until it is closed
	sink    drift.Sink
	armed   chan struct{}
}

func newHost() *host { return &host{drifted: map[string]bool{}, armed: make(chan struct{})} }

// source returns the sink once the check's source is armed.
func (h *host) source() drift.Sink {
	<-h.armed
	return h.sink
}

func (h *host) set(subject string, out bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drifted[subject] = out
}

func (h *host) hang(on bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if on {
		h.block = make(chan struct{})
	} else {
		close(h.block)
		h.block = nil
	}
}

func (h *host) asked() [][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.looks)
}

// check is a fake check of the host with one source.
type check struct {
	name string
	host *host
}

func (c check) Name() string { return c.name }

func (c check) Observe(ctx context.Context, only []string) drift.Observation {
	c.host.mu.Lock()
	c.host.looks, c.host.at = append(c.host.looks, only), append(c.host.at, time.Now())
	block := c.host.block
	c.host.mu.Unlock()
	if block != nil {
		<-block
	}
	c.host.mu.Lock()
	defer c.host.mu.Unlock()
	var o drift.Observation
	for subject, out := range c.host.drifted {
		if out {
			o.Findings = append(o.Findings, drift.Finding{Operation: "op", Subject: subject, Observed: "0", Supported: "1", State: drift.Active})
		}
	}
	return o.Sorted()
}

func (c check) Watch(ctx context.Context, to drift.Sink) error {
	c.host.sink = to
	to.Mode("fake", drift.Event, "")
	close(c.host.armed)
	to.Hint(drift.Hint{Source: "fake"})
	<-ctx.Done()
	return nil
}

func (check) ResyncEvery() time.Duration { return time.Hour }

func policy(names ...string) drift.Policy {
	p := drift.Policy{Operations: map[string]drift.Operation{"op": {ID: "op", Severity: drift.Critical, Recovery: drift.Recovery{Class: drift.Revert}}}}
	for _, n := range names {
		p.Checks = append(p.Checks, drift.CheckPolicy{Name: n, Condition: "Drift-" + n, Operations: []string{"op"}})
	}
	return p
}

// bench is a running agent and what it told.
type bench struct {
	*agent.Agent
	mu      sync.Mutex
	reports []drift.Report
	changes []string
	cancel  context.CancelFunc
	ended   chan struct{}
}

func start(t *testing.T, c agent.Config) *bench {
	t.Helper()
	b := &bench{ended: make(chan struct{})}
	c.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	c.Publish = func(r drift.Report) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.reports = append(b.reports, r)
	}
	c.Record = func(ch agent.Change) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch {
		case ch.Raised != nil:
			b.changes = append(b.changes, "raised "+ch.Raised.Subject)
		case ch.Cleared != nil:
			b.changes = append(b.changes, "cleared "+ch.Cleared.Subject)
		case ch.Blind != "":
			b.changes = append(b.changes, "blind "+ch.Blind)
		case ch.Sighted != "":
			b.changes = append(b.changes, "sighted "+ch.Sighted)
		}
	}
	b.Agent = agent.New(c)
	ctx, cancel := context.WithCancel(t.Context())
	b.cancel = cancel
	go func() {
		defer close(b.ended)
		b.Run(ctx)
	}()
	return b
}

func (b *bench) stop() {
	b.cancel()
	<-b.ended
}

func (b *bench) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.changes)
}

func (b *bench) status(kind string) drift.Status {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.reports) == 0 {
		return ""
	}
	for _, c := range b.reports[len(b.reports)-1].Conditions {
		if c.Type == kind {
			return c.Status
		}
	}
	return ""
}

func one(h *host) agent.Set {
	return agent.Set{Policy: policy("a"), Checks: []agent.Built{{Check: check{"a", h}, Key: "1"}}}
}

func TestRaiseAndClear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h)})
		defer b.stop()
		synctest.Wait()
		if got := b.status("Drift-a"); got != drift.False {
			t.Fatalf("at first it is %q", got)
		}
		h.set("x", true)
		h.source().Hint(drift.Hint{Source: "fake", Subject: "x"})
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("after the hint it is %q", got)
		}
		h.set("x", false)
		h.source().Hint(drift.Hint{Source: "fake", Subject: "x"})
		time.Sleep(30 * time.Millisecond)
		synctest.Wait()
		if got := b.status("Drift-a"); got != drift.False {
			t.Errorf("after it was undone it is %q", got)
		}
		if diff := cmp.Diff([]string{"raised x", "cleared x"}, b.told()); diff != "" {
			t.Error(diff)
		}
		if s := b.Snapshot(); s.Sources[0].Mode != drift.Event || s.Sources[0].Events < 3 || s.Latency.Count != 1 {
			t.Errorf("snapshot %+v %+v", s.Sources, s.Latency)
		}
	})
}

// A hint is answered at once; what comes within the window is answered together
// at its end.
func TestHintsMerge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h), Merge: 20 * time.Millisecond})
		defer b.stop()
		time.Sleep(time.Second)
		before := len(h.asked())
		begin := time.Now()
		for i := range 10 {
			h.source().Hint(drift.Hint{Source: "fake", Subject: string(rune('a' + i))})
			synctest.Wait()
		}
		time.Sleep(time.Second)
		asked := h.asked()[before:]
		if diff := cmp.Diff([][]string{{"a"}, {"b", "c", "d", "e", "f", "g", "h", "i", "j"}}, asked); diff != "" {
			t.Error(diff)
		}
		if first := h.at[before].Sub(begin); first != 0 {
			t.Errorf("the first look came after %v", first)
		}
		if second := h.at[before+1].Sub(begin); second != 20*time.Millisecond {
			t.Errorf("the second look came after %v", second)
		}
	})
}

// An event that comes before its change is answered twice.
func TestEarlyHintLooksAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h)})
		defer b.stop()
		time.Sleep(time.Second)
		h.source().Hint(drift.Hint{Source: "fake", Subject: "x", Early: true})
		synctest.Wait()
		h.set("x", true) // the write happens after the event
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("2 ms after the event it is %q", got)
		}
	})
}

// While events keep coming, the next one has it looked at again, and after the last one
// it is looked at once more.
func TestEarlyHintsThatKeepComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h), Merge: 20 * time.Millisecond})
		defer b.stop()
		time.Sleep(time.Second)
		before := len(h.asked())
		for range 200 {
			h.source().Hint(drift.Hint{Source: "fake", Subject: "x", Early: true})
			time.Sleep(time.Millisecond)
		}
		if n := len(h.asked()) - before; n > 13 { // one a window, and again after the first
			t.Errorf("%d looks in ten windows", n)
		}
		h.set("x", true) // the last write happens after its event
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("after the last write it is %q", got)
		}
	})
}

func TestLostHintLooksAtAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h)})
		defer b.stop()
		time.Sleep(time.Second)
		h.source().Hint(drift.Hint{Source: "fake", Subject: "x", Lost: true})
		synctest.Wait()
		if asked := h.asked(); asked[len(asked)-1] != nil {
			t.Errorf("it was asked for %v only", asked[len(asked)-1])
		}
		if s := b.Snapshot(); s.Sources[0].Overflows != 1 {
			t.Errorf("%+v", s.Sources)
		}
	})
}

// A hung check is Unknown at its deadline, delays nobody, does not pile up, and
// its late answer counts for nothing; what was last seen of it stays.
func TestHungCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := newHost(), newHost()
		bad.set("y", true)
		b := start(t, agent.Config{Deadline: 10 * time.Second, Set: agent.Set{Policy: policy("a", "b"), Checks: []agent.Built{
			{Check: check{"a", good}, Key: "1"}, {Check: check{"b", bad}, Key: "1"},
		}}})
		defer b.stop()
		time.Sleep(time.Second)
		bad.hang(true)
		bad.set("y", false)
		bad.source().Hint(drift.Hint{Source: "fake", Subject: "y"})
		synctest.Wait()
		looks := len(bad.asked())
		for range 5 {
			bad.source().Hint(drift.Hint{Source: "fake", Subject: "y"})
			time.Sleep(time.Second)
		}
		good.set("x", true)
		good.source().Hint(drift.Hint{Source: "fake", Subject: "x"})
		time.Sleep(30 * time.Millisecond)
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("a hung neighbour delays: %q", got)
		}
		time.Sleep(10 * time.Second)
		if got := b.status("Drift-b"); got != drift.True {
			t.Errorf("what was last seen is %q", got)
		}
		if !slices.ContainsFunc(b.Snapshot().Report.Unknown, func(u drift.UnknownReport) bool { return u.Reason == "the check did not answer within 10s" }) {
			t.Errorf("the gap is missing: %+v", b.Snapshot().Report.Unknown)
		}
		if n := len(bad.asked()); n != looks {
			t.Errorf("%d more looks piled up", n-looks)
		}
		if !b.Turning() {
			t.Error("the agent itself is not healthy")
		}
		bad.hang(false)
		time.Sleep(time.Second)
		if got := b.status("Drift-b"); got != drift.False {
			t.Errorf("after it answers again it is %q", got)
		}
	})
}

// Nothing is published before every check answered or ran into its deadline.
func TestFirstPassIsWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		quick, slow := newHost(), newHost()
		slow.hang(true)
		b := start(t, agent.Config{Deadline: 10 * time.Second, Set: agent.Set{Policy: policy("a", "b"), Checks: []agent.Built{
			{Check: check{"a", quick}, Key: "1"}, {Check: check{"b", slow}, Key: "1"},
		}}})
		defer b.stop()
		time.Sleep(9 * time.Second)
		if got := b.status("Drift-a"); got != "" {
			t.Errorf("published %q before the pass was whole", got)
		}
		time.Sleep(2 * time.Second)
		if a, bb := b.status("Drift-a"), b.status("Drift-b"); a != drift.False || bb != drift.Unknown {
			t.Errorf("after the deadline: %q and %q", a, bb)
		}
		slow.hang(false)
	})
}

// What an earlier run knew is carried over: nothing is raised twice, what changed
// meanwhile is.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Now().Add(-time.Hour)
		before := drift.Judge(policy("a"), drift.Report{}, map[string]drift.Look{"a": {Observation: drift.Observation{Findings: []drift.Finding{
			{Operation: "op", Subject: "old", State: drift.Active}, {Operation: "op", Subject: "kept", State: drift.Active},
		}}}}, since)
		h := newHost()
		h.set("kept", true)
		h.set("new", true)
		b := start(t, agent.Config{Set: one(h), Before: before})
		defer b.stop()
		time.Sleep(time.Second)
		if diff := cmp.Diff([]string{"raised new", "cleared old"}, b.told()); diff != "" {
			t.Error(diff)
		}
		r := b.Snapshot().Report
		for _, f := range r.Findings {
			if f.Subject == "kept" && !f.Since.Equal(since) {
				t.Errorf("kept since %v", f.Since)
			}
		}
		if !r.Conditions[0].LastTransitionTime.Equal(since) {
			t.Errorf("the restart moved the transition time to %v", r.Conditions[0].LastTransitionTime)
		}
	})
}

// Four flips in a minute hold the condition True; drift itself is never hidden.
func TestFlapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h)})
		defer b.stop()
		time.Sleep(time.Second)
		flip := func(out bool) {
			h.set("x", out)
			h.source().Hint(drift.Hint{Source: "fake", Subject: "x"})
			time.Sleep(5 * time.Second)
		}
		for range 2 {
			flip(true)
			if got := b.status("Drift-a"); got != drift.True {
				t.Errorf("a drift is shown as %q", got)
			}
			flip(false)
		}
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("after four flips it is %q", got)
		}
		if got := b.status(drift.NodeOutOfSupport); got != drift.True {
			t.Errorf("the aggregate is %q", got)
		}
		if findings := b.Snapshot().Report.Findings; len(findings) != 0 {
			t.Errorf("findings are damped: %+v", findings)
		}
		time.Sleep(54 * time.Second)
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("before 60 s it is %q", got)
		}
		time.Sleep(2 * time.Second)
		if got := b.status("Drift-a"); got != drift.False {
			t.Errorf("after 60 s it is %q", got)
		}
		if got := b.status(drift.NodeOutOfSupport); got != drift.False {
			t.Errorf("then the aggregate is %q", got)
		}
	})
}

// A reload rebuilds only the checks whose rules changed.
func TestReloadKeepsWhatDidNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kept, old, fresh := newHost(), newHost(), newHost()
		b := start(t, agent.Config{Set: agent.Set{Policy: policy("a", "b"), Checks: []agent.Built{{Check: check{"a", kept}, Key: "1"}, {Check: check{"b", old}, Key: "1"}}}})
		defer b.stop()
		time.Sleep(time.Second)
		looks := len(kept.asked())
		fresh.set("y", true)
		b.Reload(t.Context(), agent.Set{Policy: policy("a", "b"), Checks: []agent.Built{{Check: check{"a", newHost()}, Key: "1"}, {Check: check{"b", fresh}, Key: "2"}}})
		time.Sleep(time.Second)
		if n := len(kept.asked()); n != looks {
			t.Errorf("the unchanged check looked %d times more", n-looks)
		}
		if got := b.status("Drift-b"); got != drift.True {
			t.Errorf("the changed check says %q", got)
		}
		b.Reload(t.Context(), agent.Set{Policy: policy("a"), Checks: []agent.Built{{Check: check{"a", newHost()}, Key: "1"}}})
		time.Sleep(time.Second)
		if got := b.status("Drift-b"); got != "" {
			t.Errorf("the condition of a check that is off is %q", got)
		}
	})
}

func TestNothingIsRaisedWhileTheHostEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h)})
		defer b.stop()
		time.Sleep(time.Second)
		b.Hold(t.Context(), "the host shuts down")
		h.set("x", true)
		h.source().Hint(drift.Hint{Source: "fake", Subject: "x"})
		time.Sleep(time.Minute)
		if got := b.status("Drift-a"); got != drift.False {
			t.Errorf("it is %q", got)
		}
		b.Hold(t.Context(), "")
		synctest.Wait()
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("when it goes on after all it is %q", got)
		}
	})
}

type panicking struct{ check }

func (p panicking) Watch(context.Context, drift.Sink) error { panic("source") }

func (p panicking) Observe(context.Context, []string) drift.Observation { panic(errors.New("check")) }

func TestPanicsStayInTheirCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good := newHost()
		b := start(t, agent.Config{Set: agent.Set{Policy: policy("a", "b"), Checks: []agent.Built{
			{Check: check{"a", good}, Key: "1"}, {Check: panicking{check{"b", newHost()}}, Key: "1"},
		}}})
		defer b.stop()
		time.Sleep(time.Minute)
		if a, bb := b.status("Drift-a"), b.status("Drift-b"); a != drift.False || bb != drift.Unknown {
			t.Errorf("%q and %q", a, bb)
		}
	})
}

type polled struct {
	check
	mu    sync.Mutex
	polls []time.Time
}

func (p *polled) PollEvery() time.Duration { return 5 * time.Second }

func (p *polled) Poll(to drift.Sink) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.polls = append(p.polls, time.Now())
	p.host.mu.Lock()
	defer p.host.mu.Unlock()
	if p.host.drifted["x"] {
		to.Hint(drift.Hint{Source: "held", Subject: "x"})
	}
}

// Pollers are asked at shared wake-ups, and what they find is looked at.
func TestPollersShareWakeUps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := &polled{check: check{"a", newHost()}}, &polled{check: check{"b", newHost()}}
		b := start(t, agent.Config{Set: agent.Set{Policy: policy("a", "b"), Checks: []agent.Built{{Check: first, Key: "1"}, {Check: second, Key: "1"}}}})
		defer b.stop()
		time.Sleep(31 * time.Second)
		first.host.set("x", true)
		time.Sleep(5 * time.Second)
		if got := b.status("Drift-a"); got != drift.True {
			t.Errorf("what the poll found is %q", got)
		}
		if len(first.polls) < 7 || len(first.polls) > 9 || !slices.Equal(first.polls, second.polls) {
			t.Errorf("polled at %v and %v", first.polls, second.polls)
		}
	})
}

// During maintenance families stand still and both aggregates are False; what
// happens is recorded, and what remains is raised at the end.
func TestMaintenance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h)})
		defer b.stop()
		time.Sleep(time.Second)
		b.Maintain(t.Context(), time.Now().Add(time.Hour))
		h.set("x", true)
		h.source().Hint(drift.Hint{Source: "fake", Subject: "x"})
		time.Sleep(time.Minute)
		if family, all := b.status("Drift-a"), b.status(drift.NodeOutOfSupport); family != drift.False || all != drift.False {
			t.Errorf("during maintenance: %q and %q", family, all)
		}
		if r := b.Snapshot().Report; r.Conditions[1].Reason != agent.ReasonMaintenance || len(r.Findings) != 1 {
			t.Errorf("%+v", r)
		}
		if diff := cmp.Diff([]string{"raised x"}, b.told()); diff != "" {
			t.Error(diff)
		}
		time.Sleep(time.Hour)
		if family, all := b.status("Drift-a"), b.status(drift.NodeOutOfSupport); family != drift.True || all != drift.True {
			t.Errorf("after it: %q and %q", family, all)
		}
	})
}

// A baseline that waits for the node to settle is told when it has, with what was
// last seen: nothing is looked at for that.
func TestLookedIsToldAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		var told atomic.Int64
		c := agent.Config{Set: one(h)}
		c.Looked = func(looks map[string]drift.Look, at time.Time) time.Time {
			if len(looks) != 1 {
				t.Errorf("%d looks", len(looks))
			}
			told.Add(1)
			return at.Add(40 * time.Second)
		}
		b := start(t, c)
		defer b.stop()
		time.Sleep(time.Second) // the first looks are over
		synctest.Wait()
		before, looks := told.Load(), len(h.asked())
		time.Sleep(100 * time.Second)
		synctest.Wait()
		if got := told.Load() - before; got != 2 {
			t.Errorf("told %d times in 100 s, want every 40 s", got)
		}
		if got := len(h.asked()); got != looks {
			t.Errorf("%d looks, were %d", got, looks)
		}
	})
}

// farewell is a check whose source says at its end that it is off.
type farewell struct{ check }

func (f farewell) Watch(ctx context.Context, to drift.Sink) error {
	to.Mode("fake", drift.Event, "")
	<-ctx.Done()
	to.Mode("fake", drift.Off, "it ends")
	to.Hint(drift.Hint{Source: "late"})
	return nil
}

// A check that was built anew has its own sources: those of the one before it are not
// heard any more.
func TestSourcesOfAReplacedCheckAreNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		built := func(key string) agent.Set {
			return agent.Set{Policy: policy("a"), Checks: []agent.Built{{Check: farewell{check{"a", newHost()}}, Key: key}}}
		}
		b := start(t, agent.Config{Set: built("1")})
		defer b.stop()
		time.Sleep(time.Second)
		b.Reload(t.Context(), built("2"))
		time.Sleep(time.Second)
		synctest.Wait()
		sources := b.Snapshot().Sources
		if len(sources) != 1 || sources[0].Name != "fake" || sources[0].Mode != drift.Event {
			t.Errorf("sources %+v", sources)
		}
	})
}

// What was seen before a source was armed is not in doubt: all is looked at again,
// but nothing anew. One subject does not stand for all.
func TestArmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		b := start(t, agent.Config{Set: one(h)})
		defer b.stop()
		time.Sleep(time.Second)
		before := len(h.asked())
		h.source().Hint(drift.Hint{Source: "fake", Armed: true})
		time.Sleep(time.Second)
		h.source().Hint(drift.Hint{Source: "fake", Armed: true})
		h.source().Hint(drift.Hint{Source: "fake", Subject: "x"})
		time.Sleep(time.Second)
		h.source().Hint(drift.Hint{Source: "fake", Armed: true})
		h.source().Hint(drift.Hint{Source: "fake"})
		time.Sleep(time.Second)
		if diff := cmp.Diff([][]string{{}, {}, nil}, h.asked()[before:]); diff != "" {
			t.Error(diff)
		}
	})
}
