package attribute

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// The modes, as they are told.
const (
	ProcFS  = "procfs"
	ExitMap = "exit-map"
)

// lag is how late an event may be read so that its process is still told apart
// from another one with the same id.
const lag = 5 * time.Second

// ancestors is how many parents are told.
const ancestors = 3

// Attributor tells who it was. It is safe for concurrent use.
type Attributor struct {
	root *host.Root
	told func(source string, m drift.Mode, why string)
	// foreign says why pids cannot be told; nil where they can.
	foreign func() error
	seen    seen

	mu    sync.RWMutex
	exits *exitMap // nil while there is none
}

// New returns an attributor for the host; told hears how it works, and why not better.
func New(root *host.Root, told func(source string, m drift.Mode, why string)) *Attributor {
	return &Attributor{root: root, told: told, foreign: sync.OnceValue(func() error { return hostPIDs(root) })}
}

// Run keeps the exit map until ctx ends. Without it an attributor only knows who
// is alive.
func (a *Attributor) Run(ctx context.Context) {
	if err := a.foreign(); err != nil {
		a.told(ProcFS, drift.Off, err.Error())
		a.told(ExitMap, drift.Off, err.Error())
		return
	}
	a.told(ProcFS, drift.Event, "")
	exits, err := armExitMap()
	if err != nil {
		a.told(ExitMap, drift.Off, err.Error())
		return
	}
	defer a.use(exits)()
	a.told(ExitMap, drift.Event, "")
	<-ctx.Done()
}

// use takes the exit map into use; what it returns gives it back.
func (a *Attributor) use(exits *exitMap) (release func()) {
	set := func(to *exitMap) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.exits = to
	}
	set(exits)
	return func() {
		set(nil)
		exits.Close()
	}
}

// Seen is told of the process of an event when that arrives. With the exit map
// there is time to ask later.
func (a *Attributor) Seen(pid int, at time.Time) {
	if pid <= 0 || a.hasExits() || a.foreign() != nil {
		return
	}
	if p, err := readProcess(a.root, pid); err == nil && p.started <= bootTime(at) {
		a.seen.keep(pid, at, p)
	}
}

func (a *Attributor) hasExits() bool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.exits != nil
}

// Actor is who the process was at that time, nil where that cannot be told.
func (a *Attributor) Actor(pid int, at time.Time) *drift.Actor {
	if pid <= 0 || a.foreign() != nil {
		return nil
	}
	if p, known := a.seen.find(pid, at); known {
		return a.actor(p, at)
	}
	p, err := a.process(pid, bootTime(at))
	if err != nil {
		return nil
	}
	return a.actor(p, at)
}

var (
	errReused  = errors.New("the process started after the event")
	errUnknown = errors.New("nothing is known of the process")
)

// process is the one that had the pid at a time since boot. The dead are asked
// last: who dies meanwhile is in the map by then.
func (a *Attributor) process(pid int, at time.Duration) (process, error) {
	living, err := readProcess(a.root, pid)
	if err == nil {
		pid = living.pid // of a thread it is the id of its process
	}
	dead, left := a.lookup(pid)
	switch {
	case err != nil && !left:
		return process{}, errUnknown
	case err != nil:
		return dead.at(at)
	case living.started > at:
		if !left || same(living, dead.process) {
			return process{}, errReused
		}
		return dead.at(at)
	case !left:
		return living, nil
	case same(living, dead.process):
		return dead.at(at) // it waits for its parent, and has given up its control group
	case dead.exited > at-lag:
		return process{}, errReused
	default:
		return living, nil
	}
}

func (a *Attributor) lookup(pid int) (exit, bool) {
	a.mu.RLock()
	defer a.mu.RUnlock()
	if a.exits == nil {
		return exit{}, false
	}
	return a.exits.lookup(pid)
}

// actor is what may be said of a process.
func (a *Attributor) actor(p process, at time.Time) *drift.Actor {
	out := &drift.Actor{
		PID: p.pid, Comm: drift.Printable(p.comm), Command: command(p.args), Exe: drift.Printable(p.exe),
		UID: p.uid, LoginUID: p.loginUID, At: at,
	}
	for _, parent := range p.parents {
		out.Parents = append(out.Parents, drift.Ancestor{PID: parent.pid, Comm: drift.Printable(parent.comm)})
	}
	out.Pod, out.Container = names{a.root}.of(p.cgroups)
	return out
}

var (
	errNotLive = errors.New("the root is a directory tree, not a running host")
	errForeign = errors.New("the process ids are not those of the host: run in its pid namespace (hostPID: true in a pod)")
)

// hostPIDs returns nil where this process has the same id in the host's /proc: it
// is there, and in no namespace below.
func hostPIDs(root *host.Root) error {
	if !root.Live() {
		return errNotLive
	}
	status, err := root.ReadFile("/proc/self/status", maxStatus)
	if err != nil {
		return fmt.Errorf("%w (%w)", errForeign, err)
	}
	if ids := strings.Fields(field(status, "NSpid")); len(ids) != 1 {
		return errForeign
	}
	return nil
}
