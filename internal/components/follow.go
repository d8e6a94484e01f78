package components

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// pidfdSource is the name of the source; the other is systemd.
const pidfdSource = "pidfd"

const (
	searchEvery = time.Second
	searchFor   = time.Minute // after that the compare every 30 s finds it
)

// processes are those of the components, by component.
type processes = map[Component]*host.Process

// follower holds the components' processes and hints when one exits and when
// another takes its place.
type follower struct {
	root  *host.Root
	to    drift.Sink
	exits chan exit
	held  map[Component]*handle
	gone  map[Component]time.Time // since when a component that ran does not
	fault string                  // why a process could not be held
	mode  string                  // as it was last said
	waits sync.WaitGroup
}

// exit is the end of waiting for a process.
type exit struct {
	component Component
	handle    *handle
	err       error
}

func newFollower(root *host.Root, to drift.Sink) *follower {
	return &follower{
		root: root, to: to, exits: make(chan exit),
		held: map[Component]*handle{}, gone: map[Component]time.Time{},
	}
}

// run goes on until ctx ends. What the check observes comes from seen.
func (f *follower) run(ctx context.Context, seen <-chan processes) {
	defer f.letGo()
	for {
		var search <-chan time.Time
		if f.searches() {
			search = time.After(searchEvery)
		}
		select {
		case <-ctx.Done():
			return
		case found := <-seen:
			f.follow(ctx, found)
		case e := <-f.exits:
			f.exited(e)
		case <-search:
			f.look(ctx)
		}
		f.sayMode()
	}
}

// look looks for the processes itself.
func (f *follower) look(ctx context.Context) {
	found, fault := findProcesses(f.root)
	if fault != nil {
		f.fault = fault.reason
		return
	}
	for _, c := range f.follow(ctx, found) {
		f.hint(c)
	}
}

// follow holds what runs and returns what is back.
func (f *follower) follow(ctx context.Context, found processes) (back []Component) {
	f.fault = ""
	for _, c := range components {
		p, held := found[c], f.held[c]
		if p == nil || held != nil && held.pid == p.PID {
			continue
		}
		h, err := hold(f.root, p.PID)
		if errors.Is(err, unix.ESRCH) {
			continue // it was seen before it exited
		}
		if _, was := f.gone[c]; was {
			back = append(back, c)
			delete(f.gone, c)
		}
		if err != nil {
			f.fault = reasonOf(err)
			f.to.Failed(pidfdSource, err)
			continue
		}
		f.keep(ctx, c, h)
	}
	return back
}

func (f *follower) keep(ctx context.Context, c Component, h *handle) {
	if before := f.held[c]; before != nil {
		before.letGo()
	}
	f.held[c] = h
	f.waits.Go(func() {
		e := exit{c, h, h.wait()}
		select {
		case f.exits <- e:
		case <-ctx.Done():
		}
	})
}

// exited hints, unless another process is already held for the component.
func (f *follower) exited(e exit) {
	if f.held[e.component] != e.handle {
		return
	}
	e.handle.letGo()
	delete(f.held, e.component)
	if e.err != nil {
		f.fault = reasonOf(e.err)
		f.to.Failed(pidfdSource, e.err)
		return
	}
	f.gone[e.component] = time.Now()
	f.hint(e.component)
}

func (f *follower) hint(c Component) {
	f.to.Hint(drift.Hint{Source: pidfdSource, Subject: string(c), At: time.Now()})
}

// searches tells whether a component is missing for not long yet.
func (f *follower) searches() bool {
	for _, since := range f.gone {
		if time.Since(since) < searchFor {
			return true
		}
	}
	return false
}

func (f *follower) letGo() {
	for _, h := range f.held {
		h.letGo()
	}
	f.waits.Wait()
}

// sayMode tells a mode when it is another one than before.
func (f *follower) sayMode() {
	m, why := f.current()
	if said := string(m) + why; said != f.mode {
		f.mode = said
		f.to.Mode(pidfdSource, m, why)
	}
}

func (f *follower) current() (drift.Mode, string) {
	var missing []string
	for c := range f.gone {
		missing = append(missing, string(c))
	}
	slices.Sort(missing)
	switch {
	case f.fault != "":
		return drift.Poll, f.fault
	case len(missing) > 0:
		return drift.Poll, strings.Join(missing, ", ") + " ended and is looked for"
	case len(f.held) == 0:
		return drift.Poll, "no component runs: they are looked for every 30 s"
	default:
		return drift.Event, ""
	}
}

// reasonOf is an error in words that are the same at every try.
func reasonOf(err error) string {
	var errno unix.Errno
	switch {
	case errors.Is(err, errForeignPIDs):
		return errForeignPIDs.Error()
	case errors.As(err, &errno):
		return "processes cannot be held: " + errno.Error()
	default:
		return "processes cannot be held"
	}
}
