package components

import (
	"context"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/node"
	"github.com/nodeguard/nodeguard/internal/units"
)

// compareEvery is how often all of it is compared though nothing hints.
const compareEvery = 30 * time.Second

// nodeSource is the watch of the own Node, for the versions that it tells.
const nodeSource = "node"

// unitsOf are the components by the units that run them.
var unitsOf = map[string]string{
	"kubelet.service": string(Kubelet), "containerd.service": string(Containerd), "docker.service": string(Docker),
}

// WithUnits returns the check with a bus over which it hears of units.
func (c *Check) WithUnits(bus *units.Bus) *Check {
	with := *c
	with.units = bus
	return &with
}

// WithNode returns the check with the Node that this host is. last are the versions
// that it told when an upgrade was seen, by subject: they hold until it is known again.
func (c *Check) WithNode(source *node.Source, last map[string]string) *Check {
	with := *c
	with.node, with.last = source, last
	return &with
}

// ResyncEvery implements drift.Resyncer.
func (c *Check) ResyncEvery() time.Duration { return compareEvery }

// PollEvery implements drift.Poller.
func (c *Check) PollEvery() time.Duration { return units.PingEvery }

// Poll implements drift.Poller: it has the bus tried.
func (c *Check) Poll(drift.Sink) { c.units.Poll() }

// Watch implements drift.Watcher. What Observe finds is followed from then on.
func (c *Check) Watch(ctx context.Context, to drift.Sink) error {
	var sources sync.WaitGroup
	defer sources.Wait()
	f := newFollower(c.root, to)
	f.look(ctx)
	f.sayMode()
	if c.node != nil {
		to.Mode(nodeSource, drift.Event, "")
	}
	to.Hint(drift.Hint{Source: pidfdSource, At: time.Now(), Armed: true})
	sources.Go(func() { c.units.Watch(ctx, unitsOf, to) })
	sources.Go(func() {
		c.node.Watch(ctx, func() { to.Hint(drift.Hint{Source: nodeSource, At: time.Now()}) })
	})
	f.run(ctx, c.seen)
	return nil
}

// tell leaves what was found to the follower, who may not be there; the newest counts.
func (c *Check) tell(found processes) {
	for {
		select {
		case c.seen <- found:
			return
		default:
		}
		select {
		case <-c.seen:
		default:
		}
	}
}
