package sysctl

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// The sources. None sees everything: BPF, fanotify and inotify, of which the best
// serves, see the file that is written and not what else changes with it, the latter
// two through the host's own mount of procfs alone and inotify without the writer;
// netconf sees forwarding and rp_filter alone, and what a netlink request sets on one
// interface shows only to who reads it.
const (
	bpfSource      = "bpf-sysctl"
	netconfSource  = "netconf"
	fanotifySource = "fanotify-procfs"
	inotifySource  = "inotify-sysctl"
	heldSource     = "held-sysctl"
)

var (
	_ drift.Watcher  = (*Check)(nil)
	_ drift.Poller   = (*Check)(nil)
	_ drift.Resyncer = (*Check)(nil)
)

// Watch implements drift.Watcher.
func (c *Check) Watch(ctx context.Context, to drift.Sink) error {
	to = &recorder{Sink: to, modes: &c.modes}
	for _, s := range c.sources() {
		defer s.start(ctx, to)("")
	}
	to.Hint(drift.Hint{Source: heldSource, At: time.Now()})
	<-ctx.Done()
	return nil
}

// sources start in this order: fanotify and inotify watch what is held.
func (c *Check) sources() []*source {
	return []*source{
		{name: heldSource, mode: drift.Poll, arm: c.armHeld},
		{name: netconfSource, mode: drift.Event, arm: c.armNetconf},
		{name: bpfSource, mode: drift.Event, arm: c.armBPF, fallback: &source{
			name: fanotifySource, mode: drift.Event, arm: c.armFanotify, fallback: &source{
				name: inotifySource, mode: drift.Event, arm: c.armInotify,
			},
		}},
	}
}

var errNotLive = errors.New("the root is a directory tree, not a running host")

// reachable tells why the host's own parameters are out of reach.
func (c *Check) reachable() error {
	if !c.root.Live() {
		return errNotLive
	}
	return c.root.CheckNetwork()
}

// hold opens the parameters as they are named now.
func (c *Check) hold() error {
	existing, err := findInterfaces(c.root)
	if err != nil {
		return err
	}
	return c.held.hold(c.root, parametersOf(c.rules, existing, &c.names))
}

// rehold is hold for a source whose interfaces came or went.
func (c *Check) rehold(source string, to drift.Sink) {
	if !c.held.holds() {
		return
	}
	if err := c.hold(); err != nil {
		to.Failed(source, err)
	}
}

func (c *Check) armHeld(to drift.Sink) (stream, error) {
	if err := c.reachable(); err != nil {
		return nil, err
	}
	c.held.arm()
	if err := c.hold(); err != nil {
		to.Failed(heldSource, err)
	}
	return &holding{held: &c.held, closed: make(chan struct{})}, nil
}

// holding only waits: it is Poll that looks.
type holding struct {
	held   *held
	closed chan struct{}
}

func (h *holding) run(drift.Sink) error {
	<-h.closed
	return nil
}

func (h *holding) Close() error {
	h.held.release()
	close(h.closed)
	return nil
}

// Poll implements drift.Poller.
func (c *Check) Poll(to drift.Sink) {
	if c.held.poll(to) {
		c.rehold(heldSource, to)
		to.Hint(drift.Hint{Source: heldSource, At: time.Now()})
	}
}

const (
	pollBesideEvents = 5 * time.Second
	pollAlone        = time.Second
	resync           = 5 * time.Minute
	resyncAlone      = 30 * time.Second
)

// PollEvery implements drift.Poller.
func (c *Check) PollEvery() time.Duration {
	switch {
	case c.modes.is(heldSource, drift.Off), c.modes.is(bpfSource, drift.Event):
		return pollBesideEvents
	case !c.modes.is(netconfSource, drift.Event):
		return pollAlone
	case c.modes.is(fanotifySource, drift.Event), c.modes.is(inotifySource, drift.Event):
		return pollBesideEvents
	default:
		return pollAlone
	}
}

// ResyncEvery implements drift.Resyncer. Without netconf nothing tells of new
// interfaces.
func (c *Check) ResyncEvery() time.Duration {
	if c.modes.is(netconfSource, drift.Event) {
		return resync
	}
	return resyncAlone
}

// WatchedDirectories are those whose files say what the next boot sets.
func (c *Check) WatchedDirectories() []string {
	return append(slices.Clone(directories[:]), "/etc")
}

// modes are the modes of the sources as they were last said.
type modes struct {
	mu sync.Mutex
	of map[string]drift.Mode
}

func (m *modes) is(source string, mode drift.Mode) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of[source] == mode
}

func (m *modes) set(source string, mode drift.Mode) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.of == nil {
		m.of = map[string]drift.Mode{}
	}
	m.of[source] = mode
}

// recorder is a sink that keeps the modes.
type recorder struct {
	drift.Sink
	modes *modes
}

func (r *recorder) Mode(source string, m drift.Mode, why string) {
	r.modes.set(source, m)
	r.Sink.Mode(source, m, why)
}

// plain says why a source is off.
func plain(err error) string {
	if err == nil {
		return "it ended"
	}
	if errors.Is(err, host.ErrForeignNetwork) {
		return err.Error() + ": " + host.HostNetworkHint
	}
	return err.Error()
}

func errorsOf(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
