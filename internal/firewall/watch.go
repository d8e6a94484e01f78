package firewall

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/armed"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/units"
)

// The sources; the third is systemd.
const (
	nftablesSource = "nftables"
	legacySource   = "legacy-iptables"
)

const relist = 30 * time.Second

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
	sources.Go(func() { c.units.Watch(ctx, c.services(), to) })
	c.commits().Watch(ctx, to)
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

// commits are those to the rules of this network namespace, where it is the host's.
func (c *Check) commits() armed.Source {
	return armed.Source{
		Name: nftablesSource,
		Arm: func() (armed.Stream, error) {
			if err := c.root.CheckNetwork(); err != nil {
				return nil, err
			}
			conn, err := listen(eventBuffer)
			if err != nil {
				return nil, err
			}
			c.last.listening.Store(true)
			return generations(conn, c.root.KernelPIDs()), nil
		},
		Without: func(err error) (drift.Mode, string) {
			c.last.listening.Store(false)
			return modeWithout(err), cause(err)
		},
	}
}

// modeWithout is what is left without events: who may not listen may not read either.
func modeWithout(err error) drift.Mode {
	if errors.Is(err, host.ErrForeignNetwork) || errors.Is(err, os.ErrPermission) {
		return drift.Off
	}
	return drift.Poll
}
