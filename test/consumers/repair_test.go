package consumers

import (
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// repairer is a consumer that replaces nodes by their conditions.
type repairer interface {
	look(t *testing.T) verdict
	// tolerance is how much after its time it looks again.
	tolerance() time.Duration
}

// verdict is what a repairer made of the nodes.
type verdict struct {
	repairs []string      // nodes that it had replaced
	wait    time.Duration // until it would; 0: no clock is running
}

// documented is how long the snippets tolerate a condition.
const documented = 10 * time.Minute

// repairers are those that run here. They watch what the documentation names, or
// other conditions in the same way.
var repairers = map[string]func(t *testing.T, p *pool, kinds ...string) repairer{
	"Cluster API": newClusterAPI,
	"Karpenter":   newKarpenter,
}

// each runs a test with each repairer, on a pool of its own.
func each(t *testing.T, test func(t *testing.T, p *pool, with func(kinds ...string) repairer)) {
	for name, with := range repairers {
		t.Run(name, func(t *testing.T) {
			p := newPool(t)
			test(t, p, func(kinds ...string) repairer { return with(t, p, kinds...) })
		})
	}
}

func (v verdict) is(t *testing.T, when string, repairs ...string) {
	t.Helper()
	if !slices.Equal(v.repairs, repairs) {
		t.Fatalf("%s: it repairs %q, want %q", when, v.repairs, repairs)
	}
}

// idle is a repairer that has nothing to do, now or later.
func (v verdict) idle(t *testing.T, when string) {
	t.Helper()
	v.is(t, when)
	if v.wait != 0 {
		t.Fatalf("%s: a clock is running, %v to go", when, v.wait)
	}
}

func TestTrueRepairsAfterTheTolerationAndNotBefore(t *testing.T) {
	each(t, func(t *testing.T, p *pool, with func(...string) repairer) {
		r := with()
		for _, step := range []struct {
			status corev1.ConditionStatus
			age    time.Duration
			wait   time.Duration
		}{
			{corev1.ConditionFalse, 24 * time.Hour, 0},
			{corev1.ConditionTrue, 0, documented},
			{corev1.ConditionTrue, documented - 30*time.Second, 30 * time.Second},
			{corev1.ConditionFalse, 0, 0}, // it cleared in time
			{corev1.ConditionUnknown, 24 * time.Hour, 0},
		} {
			when := fmt.Sprintf("%s for %v", step.status, step.age)
			p.says(t, first, rebuild, step.status, step.age)
			before := time.Now()
			v := r.look(t)
			v.is(t, when)
			if step.wait == 0 {
				v.idle(t, when)
				continue
			}
			// Conditions have whole seconds.
			if early, late := step.wait-time.Since(before)-time.Second, step.wait+r.tolerance(); v.wait < early || v.wait > late {
				t.Errorf("%s: it waits %v, want %v to %v", when, v.wait, early, late)
			}
		}
		p.says(t, first, rebuild, corev1.ConditionTrue, documented+time.Second)
		r.look(t).is(t, "True for longer than tolerated", first)
	})
}

// What hits many nodes at once is a roll-out, and no reason to replace them all.
func TestManyAtOnceAreNotRepaired(t *testing.T) {
	each(t, func(t *testing.T, p *pool, with func(...string) repairer) {
		r := with()
		for _, name := range []string{"n1", "n2"} {
			p.says(t, name, rebuild, corev1.ConditionTrue, time.Hour)
		}
		r.look(t).is(t, "two of five")
		p.says(t, "n2", rebuild, corev1.ConditionFalse, 0)
		r.look(t).is(t, "one of five", "n1")
	})
}

func TestUnknownOfTheAgentNeverRepairs(t *testing.T) {
	each(t, func(t *testing.T, p *pool, with func(...string) repairer) {
		r := with(slices.Concat(families, aggregates)...)
		h := p.host(t)
		h.hides(t)
		stop := h.agent(t)
		h.sees(t, kernel, corev1.ConditionUnknown, "CannotObserve")
		h.sees(t, outOfSupport, corev1.ConditionUnknown, "CannotObserve")
		h.sees(t, rebuild, corev1.ConditionFalse, "InSupport") // never Unknown: some take all but False for sick
		stop()
		p.passes(t, first, 24*time.Hour)
		r.look(t).idle(t, "blind for a day")

		// The same repairer is not blind itself.
		if condition(p.node(t, first), kernel).Status != corev1.ConditionUnknown {
			t.Fatal("it did not stay Unknown")
		}
		p.says(t, first, kernel, corev1.ConditionTrue, 24*time.Hour)
		r.look(t).is(t, "out of support for a day", first)
	})
}

func TestMaintenanceNeverRepairs(t *testing.T) {
	each(t, func(t *testing.T, p *pool, with func(...string) repairer) {
		r := with(aggregates...)
		h := p.host(t)
		h.forwards(t, "0")
		h.agent(t)
		h.sees(t, outOfSupport, corev1.ConditionTrue, "OutOfSupport")
		if r.look(t).wait == 0 {
			t.Fatal("no clock is running for a node that is out of support")
		}

		until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		p.patch(t, first, `{"metadata":{"annotations":{"nodeguard.io/maintenance-until":"`+until+`"}}}`, false)
		for _, kind := range aggregates {
			h.sees(t, corev1.NodeConditionType(kind), corev1.ConditionFalse, "Maintenance")
		}
		h.sees(t, kernel, corev1.ConditionTrue, "OutOfSupport") // families stay as they were
		p.passes(t, first, 30*time.Minute)
		r.look(t).idle(t, "in maintenance")

		p.patch(t, first, `{"metadata":{"annotations":{"nodeguard.io/maintenance-until":null}}}`, false)
		raised := h.sees(t, outOfSupport, corev1.ConditionTrue, "OutOfSupport")
		if age := time.Since(raised.LastTransitionTime.Time); age > time.Minute {
			t.Errorf("after the maintenance it is True since %v, as if there had been none", age)
		}
		if v := r.look(t); len(v.repairs) > 0 || v.wait == 0 {
			t.Fatalf("after the maintenance: %+v, want a clock that starts", v)
		}
		p.passes(t, first, documented+time.Second)
		r.look(t).is(t, "long after the maintenance", first)
	})
}

func TestARestartOfTheAgentDoesNotRestartTheClock(t *testing.T) {
	each(t, func(t *testing.T, p *pool, with func(...string) repairer) {
		r := with(outOfSupport)
		h := p.host(t)
		h.forwards(t, "0")
		stop := h.agent(t)
		h.sees(t, outOfSupport, corev1.ConditionTrue, "OutOfSupport")
		if v := r.look(t); len(v.repairs) > 0 || v.wait == 0 {
			t.Fatalf("just out of support: %+v, want a clock that starts", v)
		}
		stop()

		// Nine minutes later another agent is there, and has said what it saw.
		p.passes(t, first, 9*time.Minute)
		before := *condition(p.node(t, first), outOfSupport)
		stop = h.agent(t)
		p.await(t, first, "the first word of the new agent", func(n *corev1.Node) bool {
			return condition(n, outOfSupport).LastHeartbeatTime.After(before.LastHeartbeatTime.Time)
		})
		stop()
		after := *condition(p.node(t, first), outOfSupport)
		if !after.LastTransitionTime.Equal(&before.LastTransitionTime) {
			t.Errorf("the transition time moved from %v to %v", before.LastTransitionTime, after.LastTransitionTime)
		}
		if v := r.look(t); len(v.repairs) > 0 || v.wait == 0 || v.wait > documented-9*time.Minute+r.tolerance() {
			t.Fatalf("after nine of ten minutes: %+v, want a minute to go", v)
		}
		p.passes(t, first, time.Minute+2*time.Second)
		r.look(t).is(t, "after ten minutes", first)
	})
}
