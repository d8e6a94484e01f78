package hostconfig

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/units"
)

// The sources; the others are systemd and the file watcher.
const (
	clockSource = "clock"
	swapSource  = "swaps"
	probeSource = "probe"
)

// lookEvery is how often all of it is looked at though nothing hints: nothing
// tells of routes, listeners, sessions and free space.
const lookEvery = time.Minute

// ResyncEvery implements drift.Resyncer.
func (c *Check) ResyncEvery() time.Duration { return lookEvery }

// PollEvery implements drift.Poller.
func (c *Check) PollEvery() time.Duration { return units.PingEvery }

// Poll implements drift.Poller: it has the bus tried.
func (c *Check) Poll(drift.Sink) { c.bus.Poll() }

// Watch implements drift.Watcher.
func (c *Check) Watch(ctx context.Context, to drift.Sink) error {
	var sources sync.WaitGroup
	defer sources.Wait()
	to.Hint(drift.Hint{Source: swapSource, At: time.Now(), Armed: true})
	if watched := c.units(); len(watched) > 0 {
		sources.Go(func() { c.bus.Watch(ctx, watched, to) })
	}
	if c.asks("swap") {
		sources.Go(func() { c.watchKernel(ctx, swapSource, openSwaps, to) })
	}
	if c.asks("clock") {
		sources.Go(func() { c.watchKernel(ctx, clockSource, openClock, to) })
	}
	if which := c.probes(); c.prober != nil && len(which) > 0 {
		sources.Go(func() {
			if err := c.root.CheckNetwork(); err != nil {
				to.Mode(probeSource, drift.Off, err.Error())
			} else {
				to.Mode(probeSource, drift.Poll, "asked every 30 s")
			}
			c.prober.run(ctx, which, to)
		})
	}
	<-ctx.Done()
	return nil
}

func (c *Check) asks(table string) bool {
	return slices.ContainsFunc(c.rules, func(b drift.Bound[Rule]) bool { return b.Rule.Look == table })
}

// units are those that rules look at, and the time daemons.
func (c *Check) units() map[string]string {
	out := map[string]string{}
	for _, b := range c.rules {
		switch b.Rule.Look {
		case "units":
			for _, name := range b.Rule.In {
				if !strings.ContainsAny(name, "*?[") {
					out[name] = name
				}
			}
		case "time-daemon", "clock":
			for _, d := range timeDaemons {
				out[d.unit] = b.Rule.Look
			}
		}
	}
	return out
}

func (c *Check) probes() []string {
	var out []string
	for _, b := range c.rules {
		if b.Rule.Look == "probe" {
			for _, which := range b.Rule.In {
				if !slices.Contains(out, which) {
					out = append(out, which)
				}
			}
		}
	}
	return out
}
