package identity

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// The sources; the third is the shared watch of files.
const (
	netlinkSource = "rtnetlink"
	nodeSource    = "node"
)

const (
	resync      = 5 * time.Minute
	resyncAlone = 30 * time.Second // without events, and while the Node is away
	firstTry    = time.Second
	lastTries   = time.Minute
)

var (
	_ drift.Watcher  = (*Check)(nil)
	_ drift.Resyncer = (*Check)(nil)
)

// ResyncEvery implements drift.Resyncer.
func (c *Check) ResyncEvery() time.Duration {
	if !c.listening.Load() || c.gone.Load() != nil {
		return resyncAlone
	}
	return resync
}

// WatchedDirectories are those of the files that name the host and its system.
func (c *Check) WatchedDirectories() []string {
	dirs := []string{"/etc"}
	for _, r := range c.rules {
		dirs = append(dirs, directoriesOf(r.Rule.Agree)...)
	}
	return dirs
}

// Watch implements drift.Watcher.
func (c *Check) Watch(ctx context.Context, to drift.Sink) error {
	var sources sync.WaitGroup
	defer sources.Wait()
	first := c.arm(to)
	to.Hint(drift.Hint{Source: netlinkSource, At: time.Now()})
	if c.node != nil {
		to.Mode(nodeSource, drift.Event, "")
		sources.Go(func() {
			c.node.Watch(ctx, func() { to.Hint(drift.Hint{Source: nodeSource, At: time.Now()}) })
		})
	}
	c.hear(ctx, first, to)
	return nil
}

// arm listens to this network namespace, where it is the host's, and says its mode;
// without a listener it has said why.
func (c *Check) arm(to drift.Sink) *listener {
	err := errNotLive
	if c.root.Live() {
		err = c.root.CheckNetwork()
	}
	var l *listener
	if err == nil {
		l, err = listen(eventBuffer)
	}
	c.listening.Store(err == nil)
	if err != nil {
		to.Mode(netlinkSource, modeWithout(err), err.Error())
		return nil
	}
	to.Mode(netlinkSource, drift.Event, "")
	return l
}

var errNotLive = errors.New("the root is a directory tree, not a running host")

// modeWithout is what is left without events: where nobody may listen nothing can be
// read either.
func modeWithout(err error) drift.Mode {
	if errors.Is(err, errNotLive) || errors.Is(err, host.ErrForeignNetwork) || errors.Is(err, os.ErrPermission) {
		return drift.Off
	}
	return drift.Poll
}

// hear goes on until ctx ends; a listener that fails, or could not be armed, is tried
// again, ever more rarely.
func (c *Check) hear(ctx context.Context, l *listener, to drift.Sink) {
	for try := firstTry; ; try = min(2*try, lastTries) {
		if l != nil {
			try = firstTry
			err := l.follow(ctx, to)
			if err == nil {
				return
			}
			c.listening.Store(false)
			to.Mode(netlinkSource, modeWithout(err), err.Error())
			to.Failed(netlinkSource, err)
		}
		if !wait(ctx, try) {
			return
		}
		if l = c.arm(to); l != nil {
			to.Hint(drift.Hint{Source: netlinkSource, At: time.Now()})
		}
	}
}
