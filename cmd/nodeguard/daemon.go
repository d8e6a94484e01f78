package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/attribute"
	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/journal"
	"github.com/nodeguard/nodeguard/internal/units"
	"github.com/nodeguard/nodeguard/internal/watch"
)

// daemon is the agent with its state on the host.
type daemon struct {
	*session
	flags   *agentOptions
	log     *slog.Logger
	state   *state
	agent   *agent.Agent
	settler *baseline.Settler
	first   chan struct{} // closed after the first full pass
	anew    chan struct{} // the baseline changed: build the checks anew
	reloads chan struct{} // the configuration file changed

	configFile configFile // the loop's
	overrides  overrides
	settling   time.Duration // of the settler

	exporter *kube.Exporter // nil: standalone
	nodes    chan struct{}  // the own Node is another than before

	holds holds
	// What the Node's annotations asked for in vain last; the maintaining goroutine's.
	ignored    string // a maintenance
	unaccepted string // the digest of a state

	mu      sync.Mutex // guards the baseline, the configuration and what was last seen
	looks   map[string]drift.Look
	digests digests
	node    *kube.Node

	upgrading upgrading
	facts     known // of the baseline that is in force
	seen      recollection
	who       whoModes

	foreign    *baseline.Baseline // of another machine: not used until the Node says whose it is
	recognized bool               // the Node was asked

	anotherMachine bool // the state came with another machine
}

// runAgent watches until the context ends.
func runAgent(ctx context.Context, flags *agentOptions) error {
	if err := flags.validate(); err != nil {
		return err
	}
	quick(flags.pprof)
	s, err := openHost(flags.options)
	if err != nil {
		return err
	}
	// The host stays open: a look that hangs still reads it when the agent has ended.
	d := &daemon{session: s, flags: flags, digests: digests{}, log: newLogger(flags.stderr), first: make(chan struct{}), anew: make(chan struct{}, 1), nodes: make(chan struct{}, 1), reloads: make(chan struct{}, 1)}
	d.configFile.name = flags.config
	d.overrides.file = s.config
	d.adopt(s)
	if err := d.connect(); err != nil {
		return err
	}
	if err := d.openState(); err != nil {
		return err
	}
	defer d.state.close()
	d.seen.kept = d.recalling()
	d.files, d.units = watch.New(s.host), units.New(s.host)
	return d.run(ctx)
}

// openState holds the state directory. One that cannot be written is said, and
// the agent goes on without: only another nodeguard's hold is final.
func (d *daemon) openState() error {
	d.state = newState(d.host, d.store, d.log)
	if err := d.state.hold(); err != nil {
		return usage(err, "is another agent running on this host?")
	}
	d.setAside()
	return nil
}

func (d *daemon) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	if d.exporter != nil {
		tasks.Go(func() { d.exporter.Run(ctx) })
	}
	d.awaitNode(ctx)
	set, err := d.set()
	if err != nil {
		return err
	}
	d.log.Info("watching", "version", versionString(), "profile", d.profile.Name, "because", d.because, "root", d.root)
	who := attribute.New(d.host, d.toldWho)
	tasks.Go(func() { who.Run(ctx) })
	d.agent = agent.New(agent.Config{
		Set: set, Before: d.openFindings(), Record: d.changed, Classify: d.classify, Who: who, Publish: d.publish, Looked: d.looked, Turned: d.turned,
		Log: d.log, Deadline: d.flags.deadline,
	})
	tasks.Go(func() { d.maintain(ctx) })
	tasks.Go(func() { d.serve(ctx) })
	tasks.Go(func() { d.control(ctx) })
	tasks.Go(func() { units.Shutdowns(ctx, d.host, d.hostEnding(ctx)) })
	if d.flags.once {
		tasks.Go(func() {
			select {
			case <-d.first:
				cancel()
			case <-ctx.Done():
			}
		})
	}
	d.agent.Run(ctx)
	cancel()
	tasks.Wait()
	d.keepUpgrade()
	d.keepSeen()
	d.log.Info("ended")
	if d.flags.once {
		return verdict(d.agent.Snapshot().Report)
	}
	return nil
}

// openFindings are those that an earlier run left open in the journal; those of
// another machine mean nothing here.
func (d *daemon) openFindings() drift.Report {
	if d.anotherMachine {
		return drift.Report{}
	}
	entries, damaged, err := journal.Read(d.host)
	if err != nil {
		d.log.Error("journal cannot be read: open findings begin anew", "error", err)
	}
	if damaged > 0 {
		d.log.Warn("journal has damaged lines", "lines", damaged)
	}
	open := journal.OpenFindings(entries)
	d.state.found(open)
	d.state.recent.add(entries[max(0, len(entries)-maxRecent):]...)
	return drift.Report{Findings: open}
}

// changed journals what the agent tells.
func (d *daemon) changed(c agent.Change) {
	switch {
	case c.Raised != nil:
		d.record(journal.Entry{At: c.At, Event: journal.Raised, Finding: c.Raised})
	case c.Cleared != nil:
		d.record(journal.Entry{At: c.At, Event: journal.Cleared, Finding: c.Cleared})
	case c.Waived != nil:
		d.record(journal.Entry{At: c.At, Event: journal.Waived, Finding: c.Waived})
	case c.Unwaived != nil:
		d.record(journal.Entry{At: c.At, Event: journal.Unwaived, Finding: c.Unwaived})
	case c.Attributed != nil:
		d.record(journal.Entry{At: c.At, Event: journal.Attributed, Finding: c.Attributed})
	case c.Blind != "":
		d.record(journal.Entry{At: c.At, Event: journal.Blind, Detail: c.Blind + ": " + c.Why})
	case c.Sighted != "":
		d.record(journal.Entry{At: c.At, Event: journal.Sighted, Detail: c.Sighted})
	}
}

func (d *daemon) record(e journal.Entry) { d.state.record(e) }

// settle gives back what was needed to build the checks.
func (d *daemon) settle() {
	d.mu.Lock()
	d.rest()
	d.mu.Unlock()
	giveBack()
}

// maintain reads the configuration again on SIGHUP, and builds the checks anew
// when their baseline changed.
func (d *daemon) maintain(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	settled := time.NewTimer(settledAfter)
	defer settled.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangups:
			d.reload(ctx)
		case <-d.reloads:
			d.reload(ctx)
		case <-d.anew:
			d.rebuild(ctx)
			settled.Reset(settledAfter)
		case <-settled.C:
			d.keepSeen()
			d.settle()
		case <-d.nodes:
			d.followNode(ctx)
		case <-d.state.turns:
			d.keepState()
		}
	}
}
