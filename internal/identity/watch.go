package identity

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/netlink"

	"github.com/nodeguard/nodeguard/internal/armed"
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
	if c.node != nil {
		to.Mode(nodeSource, drift.Event, "")
		sources.Go(func() {
			c.node.Watch(ctx, func() { to.Hint(drift.Hint{Source: nodeSource, At: time.Now()}) })
		})
	}
	c.network().Watch(ctx, to)
	return nil
}

// network is this network namespace, where it is the host's. Netlink names nobody.
func (c *Check) network() armed.Source {
	return armed.Source{
		Name: netlinkSource,
		Arm: func() (armed.Stream, error) {
			if !c.root.Live() {
				return nil, errNotLive
			}
			if err := c.root.CheckNetwork(); err != nil {
				return nil, err
			}
			conn, err := listen(eventBuffer)
			if err != nil {
				return nil, err
			}
			c.listening.Store(true)
			return &armed.Netlink{Conn: conn, Name: netlinkSource, Breath: breath, Matters: func(messages []netlink.Message) (int, bool) {
				return 0, slices.ContainsFunc(messages, matters)
			}}, nil
		},
		Without: func(err error) (drift.Mode, string) {
			c.listening.Store(false)
			return modeWithout(err), err.Error()
		},
	}
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
