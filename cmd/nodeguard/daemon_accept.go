package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// acceptAnnotated does what the annotation asks for, and says once where it names no
// state that is there: somebody waits for it.
func (d *daemon) acceptAnnotated(digest string) {
	if digest == "" || d.acceptDigest(digest) || digest == d.unaccepted {
		return
	}
	d.unaccepted = digest
	d.log.Warn("nothing was accepted: no condition shows a state with this digest", "annotation", drift.Printable(digest))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell(kube.Notice{
		Reason: "AcceptIgnored", Action: "Ignore", Warning: true,
		Note: fmt.Sprintf("annotation %s=%q accepted nothing: no condition shows a state with this digest, it may have changed since", kube.AcceptBaseline, drift.Printable(digest)),
	})
}

// acceptDigest accepts the state with that digest, exactly as a check saw it, and
// nothing that changed since. It tells whether it is done, was done before, or cannot
// be told yet.
func (d *daemon) acceptDigest(digest string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.baseline == nil || d.unusable() != nil || d.upgrading.judged == nil {
		return true
	}
	for check, l := range d.upgrading.judged {
		if l.Facts == nil || l.AcceptDigest() != digest {
			continue
		}
		accepted := baseline.ScopeOf(l.Facts, l.Gaps)
		if drift.AcceptDigest(factsOf(d.baseline.Scopes[check])) == drift.AcceptDigest(factsOf(accepted)) {
			return true // it is what is recorded already
		}
		d.baseline, _ = with(d.baseline, d.upgrading.judged, placesOf(l))
		d.baseline.Scopes[check] = accepted
		d.baseline.Note(baseline.Acceptance{At: now(), Reason: "annotation " + kube.AcceptBaseline, Subjects: []string{digest}, Changed: len(accepted)})
		d.saved(journal.Entry{At: now(), Event: journal.Accepted, Detail: fmt.Sprintf("%s: %s", check, digest)})
		return true
	}
	return slices.ContainsFunc(d.baseline.Accepted, func(a baseline.Acceptance) bool { return slices.Equal(a.Subjects, []string{digest}) })
}

func factsOf(s baseline.Scope) map[string]drift.Fact {
	out := map[string]drift.Fact{}
	for subject, value := range s {
		out[subject] = drift.Fact{Value: value}
	}
	return out
}

// acceptFleet accepts the states that the configuration accepts on every node. It
// is called with the lock held.
func (d *daemon) acceptFleet(looks map[string]drift.Look, at time.Time) {
	for _, a := range d.acceptShared(looks, at) {
		d.saved(journal.Entry{At: at, Event: journal.Accepted, Detail: fmt.Sprintf("%s: %s by the configuration, %d subjects: %s", a.Scope, a.Digest, a.changed, a.Reason)})
	}
}
