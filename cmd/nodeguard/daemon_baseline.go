package main

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// looked follows what the checks see: it records the first baseline once the
// node has settled, and adds to an older one what it never covered. The loop
// waits for it, so writing and rebuilding happen elsewhere.
func (d *daemon) looked(looks map[string]drift.Look, at time.Time) (again time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looks = looks
	select {
	case <-d.first:
	default:
		close(d.first)
		lean()
	}
	switch {
	case d.unusable() != nil:
	case d.baseline == nil:
		if d.settler.Settled(stateOf(looks), d.settledNode(), at) {
			d.recordFirstBaseline(looks, at)
			break
		}
		again = d.settler.Due()
		if soonest := at.Add(settleLooks); again.Before(soonest) {
			again = soonest // it is the Node that is not ready
		}
	default:
		news := d.facts.news(looks)
		d.extendBaseline(news, at)
		d.absorbRenewals(news, at)
		d.acceptFleet(looks, at)
		again = d.followUpgrade(at)
	}
	return again
}

// known are the facts that were gone through, by check. Most looks see what the ones
// before saw, and share it.
type known map[string]map[string]drift.Fact

// news are the looks with other facts than when they were gone through last.
func (k *known) news(looks map[string]drift.Look) map[string]drift.Look {
	if *k == nil {
		*k = known{}
	}
	out := map[string]drift.Look{}
	for check, l := range looks {
		if l.Facts == nil || l.Error != "" || sameMap((*k)[check], l.Facts) {
			continue
		}
		out[check], (*k)[check] = l, l.Facts
	}
	return out
}

func sameMap(a, b map[string]drift.Fact) bool {
	return reflect.ValueOf(a).Pointer() == reflect.ValueOf(b).Pointer()
}

// settleLooks is how often it is asked at most whether the node has settled.
const settleLooks = time.Second

// stateOf names what all checks with a baseline see.
func stateOf(looks map[string]drift.Look) string {
	var state string
	for _, check := range slices.Sorted(maps.Keys(looks)) {
		if facts := looks[check].Facts; facts != nil {
			state += check + " " + drift.AcceptDigest(facts) + "\n"
		}
	}
	return state
}

func (d *daemon) recordFirstBaseline(looks map[string]drift.Look, at time.Time) {
	b := d.newBaseline()
	if d.node != nil {
		b.Machine.NodeUID = d.node.UID
	}
	subjects := 0
	for check, l := range looks {
		if l.Facts != nil && l.Error == "" {
			b.Scopes[check] = baseline.ScopeOf(l.Facts, l.Gaps)
			subjects += len(l.Facts)
		}
	}
	d.baseline, d.baseErr = b, nil
	d.saved(journal.Entry{At: at, Event: journal.Recorded, Detail: fmt.Sprintf("the first baseline: %d subjects", subjects)})
}

func (d *daemon) extendBaseline(looks map[string]drift.Look, at time.Time) {
	added := 0
	for check, l := range looks {
		if l.Facts == nil || l.Error != "" {
			continue
		}
		if d.baseline.Scopes[check] == nil {
			d.baseline.Scopes[check] = baseline.ScopeOf(l.Facts, l.Gaps)
			added += len(l.Facts)
			continue
		}
		if !baseline.AnyFresh(l.Facts) {
			continue
		}
		scope := maps.Clone(d.baseline.Scopes[check]) // the running check reads the old one
		if n := scope.AddFresh(l.Facts); n > 0 {
			d.baseline.Scopes[check] = scope
			added += n
		}
	}
	if added > 0 {
		d.saved(journal.Entry{At: at, Event: journal.Recorded, Detail: fmt.Sprintf("%d subjects that the baseline did not cover", added)})
	}
}

// saved writes the baseline and has the checks compare with it from now on. Where
// it cannot be written the agent goes on with what it has in memory, and tries again.
func (d *daemon) saved(e journal.Entry) {
	d.state.save(d.baseline, e)
	d.baselineChanged()
}

// keepState tries again what could not be written, and writes the baseline anew
// where it was deleted.
func (d *daemon) keepState() {
	if !d.state.again() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.baseline != nil && d.unusable() == nil && d.foreign == nil {
		d.state.save(d.baseline, journal.Entry{At: now(), Event: journal.Recorded, Detail: "the baseline, which was not on disk"})
	}
}

// baselineChanged has the checks built anew.
func (d *daemon) baselineChanged() {
	d.facts = nil
	select {
	case d.anew <- struct{}{}:
	default: // it is to be built anew already
	}
}
