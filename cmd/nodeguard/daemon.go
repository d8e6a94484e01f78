package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/nodeguard/nodeguard/internal/agent"
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
	journal *journal.Journal // nil where it cannot be written
	agent   *agent.Agent
	settler *baseline.Settler
	first   chan struct{} // closed after the first full pass
	anew    chan struct{} // the baseline changed: build the checks anew
	reloads chan struct{} // the configuration file changed

	configFile configFile // the loop's

	exporter *kube.Exporter // nil: standalone
	nodes    chan struct{}  // the own Node is another than before

	mu    sync.Mutex // guards the baseline, the configuration and what was last seen
	looks map[string]drift.Look
	node  *kube.Node
}

// runAgent watches until the context ends.
func runAgent(ctx context.Context, flags *agentOptions) error {
	if err := flags.validate(); err != nil {
		return err
	}
	s, err := openHost(flags.options)
	if err != nil {
		return err
	}
	defer s.host.Close()
	d := &daemon{session: s, flags: flags, log: newLogger(flags.stderr), settler: baseline.NewSettler(flags.baselineSettle), first: make(chan struct{}), anew: make(chan struct{}, 1), nodes: make(chan struct{}, 1), reloads: make(chan struct{}, 1)}
	d.configFile.name = flags.config
	if err := d.connect(); err != nil {
		return err
	}
	release, err := d.openState()
	if err != nil {
		return err
	}
	defer release()
	d.files, d.units = watch.New(s.host), units.New(s.host)
	return d.run(ctx)
}

// openState holds the state directory. One that cannot be written is said, and
// the agent goes on without: only another nodeguard's hold is final.
func (d *daemon) openState() (release func(), err error) {
	unlock, err := d.store.Lock()
	switch {
	case errors.Is(err, baseline.ErrLocked):
		return nil, usage(err, "is another agent running on this host?")
	case err != nil:
		d.log.Error("state cannot be kept: baselines and open findings do not survive a restart", "error", err)
		return func() {}, nil
	}
	d.setAside()
	if d.journal, err = journal.Open(d.host); err != nil {
		d.log.Error("journal cannot be written", "error", err)
	}
	return func() {
		if d.journal != nil {
			_ = d.journal.Close()
		}
		_ = unlock()
	}, nil
}

// setAside archives a baseline that came with an image of another machine.
func (d *daemon) setAside() {
	if d.baseline == nil || d.baseline.Machine.Same(d.machine()) {
		return
	}
	archived, err := d.store.Archive(now())
	if err != nil {
		d.baseline, d.baseErr = nil, fmt.Errorf("the baseline is another machine's, and it cannot be set aside: %w", err)
		return
	}
	d.record(journal.Entry{At: now(), Event: journal.Archived, Detail: "the baseline was another machine's: " + archived})
	d.baseline, d.baseErr = nil, baseline.ErrNone
}

func (d *daemon) run(ctx context.Context) error {
	set, err := d.set()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	d.agent = agent.New(agent.Config{
		Set: set, Before: d.openFindings(), Record: d.changed, Publish: d.publish, Looked: d.looked, Turned: d.turned, Log: d.log, Deadline: d.flags.deadline,
	})
	var tasks sync.WaitGroup
	tasks.Go(func() { d.maintain(ctx) })
	tasks.Go(func() { d.serve(ctx) })
	if d.exporter != nil {
		tasks.Go(func() { d.exporter.Run(ctx) })
	}
	if d.flags.once {
		tasks.Go(func() {
			select {
			case <-d.first:
				cancel()
			case <-ctx.Done():
			}
		})
	}
	d.log.Info("watching", "version", versionString(), "profile", d.profile.Name, "root", d.root)
	d.agent.Run(ctx)
	cancel()
	tasks.Wait()
	d.log.Info("ended")
	if d.flags.once {
		return verdict(d.agent.Snapshot().Report)
	}
	return nil
}

// openFindings are those that an earlier run left open in the journal.
func (d *daemon) openFindings() drift.Report {
	entries, damaged, err := journal.Read(d.host)
	if err != nil {
		d.log.Error("journal cannot be read: open findings begin anew", "error", err)
	}
	if damaged > 0 {
		d.log.Warn("journal has damaged lines", "lines", damaged)
	}
	return drift.Report{Findings: journal.OpenFindings(entries)}
}

// changed journals what the agent tells.
func (d *daemon) changed(c agent.Change) {
	switch {
	case c.Raised != nil:
		d.record(journal.Entry{At: c.At, Event: journal.Raised, Finding: c.Raised})
	case c.Cleared != nil:
		d.record(journal.Entry{At: c.At, Event: journal.Cleared, Finding: c.Cleared})
	case c.Blind != "":
		d.record(journal.Entry{At: c.At, Event: journal.Blind, Detail: c.Blind + ": " + c.Why})
	case c.Sighted != "":
		d.record(journal.Entry{At: c.At, Event: journal.Sighted, Detail: c.Sighted})
	}
}

func (d *daemon) record(e journal.Entry) {
	if d.journal == nil {
		return
	}
	if err := d.journal.Append(e); err != nil {
		d.log.Error("journal cannot be written", "error", err)
	}
}

// maintain reads the configuration again on SIGHUP, and builds the checks anew
// when their baseline changed.
func (d *daemon) maintain(ctx context.Context) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
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
		case <-d.nodes:
			d.followNode(ctx)
		}
	}
}
