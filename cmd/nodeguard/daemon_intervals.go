package main

import (
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// settleAfter is how long the node must look the same before it is recorded: what
// the flag says, else the file, else the flag's default.
func (d *daemon) settleAfter() time.Duration {
	if after := d.config.Intervals.BaselineSettle; after > 0 && !d.flags.settleNamed {
		return after
	}
	return d.flags.baselineSettle
}

// resynced lets a check look at all of its area at least as often as the
// configuration wants it.
func (d *daemon) resynced(b agent.Built) agent.Built {
	every := d.config.Intervals.Resync
	if every == 0 {
		return b
	}
	if w, ok := b.Check.(drift.Watcher); ok {
		b.Also = append(slices.Clone(b.Also), w)
	}
	r := resynced{b.Check, every}
	b.Check, b.Key = r, b.Key+" "+every.String()
	if p, ok := r.Check.(drift.Poller); ok {
		b.Check = resyncedPoller{r, p}
	}
	return b
}

// resynced is a check whose safety net is closer than its own.
type resynced struct {
	drift.Check
	every time.Duration
}

// ResyncEvery implements drift.Resyncer. Where the check has to do without events,
// its own may be closer still.
func (r resynced) ResyncEvery() time.Duration {
	if own, ok := r.Check.(drift.Resyncer); ok {
		return min(own.ResyncEvery(), r.every)
	}
	return r.every
}

// resyncedPoller is one that has to be asked, too.
type resyncedPoller struct {
	resynced
	drift.Poller
}
