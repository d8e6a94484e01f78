package firewall

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

// The sources; the third is systemd.
const (
	nftablesSource = "nftables"
	legacySource   = "legacy-iptables"
)

const (
	relist    = 30 * time.Second
	firstTry  = time.Second
	lastTries = time.Minute
)

// WithUnits returns the check with a bus over which it hears of services.
func (c *Check) WithUnits(bus *units.Bus) *Check {
	with := *c
	with.units = bus
	return &with
}

// ResyncEvery implements drift.Resyncer: nothing tells of iptables-legacy.
func (c *Check) ResyncEvery() time.Duration { return relist }

// PollEvery implements drift.Poller.
func (c *Check) PollEvery() time.Duration { return units.PingEvery }

// Poll implements drift.Poller: it has the bus tried.
func (c *Check) Poll(drift.Sink) { c.units.Poll() }

// Watch implements drift.Watcher.
func (c *Check) Watch(ctx context.Context, to drift.Sink) error {
	var sources sync.WaitGroup
	defer sources.Wait()
	c.sayLegacy(to)
	first := c.arm(to, eventBuffer)
	to.Hint(drift.Hint{Source: nftablesSource, At: time.Now()})
	sources.Go(func() { c.units.Watch(ctx, c.services(), to) })
	c.hearCommits(ctx, first, to)
	return nil
}

func (c *Check) sayLegacy(to drift.Sink) {
	if err := c.root.CheckNetwork(); err != nil {
		to.Mode(legacySource, drift.Off, err.Error())
		return
	}
	to.Mode(legacySource, drift.Poll, "the kernel tells nobody of these tables: they are read every 30 s")
}

// services are the check's, by their units.
func (c *Check) services() map[string]string {
	out := map[string]string{}
	for _, s := range services {
		if c.wants(s.name) {
			out[s.unit()] = s.name
		}
	}
	return out
}

// arm listens to this network namespace, where it is the host's, and says its
// mode; without a listener it has said why.
func (c *Check) arm(to drift.Sink, buffer int) *listener {
	err := c.root.CheckNetwork()
	var l *listener
	if err == nil {
		l, err = listen(buffer)
	}
	if err != nil {
		to.Mode(nftablesSource, modeWithout(err), cause(err))
		to.Failed(nftablesSource, err)
		return nil
	}
	to.Mode(nftablesSource, drift.Event, "")
	return l
}

// modeWithout is what is left without events: who may not listen may not read either.
func modeWithout(err error) drift.Mode {
	if errors.Is(err, host.ErrForeignNetwork) || errors.Is(err, os.ErrPermission) {
		return drift.Off
	}
	return drift.Poll
}

// hearCommits goes on until ctx ends; a listener that fails, or could not be
// armed, is tried again, ever more rarely.
func (c *Check) hearCommits(ctx context.Context, l *listener, to drift.Sink) {
	for wait := firstTry; ; wait = min(2*wait, lastTries) {
		if l != nil {
			wait = firstTry
			err := l.follow(ctx, to)
			if err == nil {
				return
			}
			to.Mode(nftablesSource, modeWithout(err), cause(err))
			to.Failed(nftablesSource, err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		if l = c.arm(to, eventBuffer); l != nil {
			to.Hint(drift.Hint{Source: nftablesSource, At: time.Now()})
		}
	}
}
