package volumes

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/armed"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// The sources.
const (
	mountSource    = "mountinfo"
	mountersSource = "fanotify-mounts"
	errorsSource   = "fanotify-errors"
	probeSource    = "mount-probes"
)

// anyMount is what a hint is about: not all that is known is in doubt, as an empty
// subject would say, but any of the mounts may have changed.
const anyMount = "mounts"

const (
	// pause collects the mounts of a starting pod into one look.
	pause = 100 * time.Millisecond
	// started is how long after its mounts a container's first process is there.
	started = 1500 * time.Millisecond
	// compareEvery is how often all of it is looked at though nothing hints: errors
	// of file systems and devices make no event.
	compareEvery = time.Minute
	// pollEvery is the same where mounts make none either.
	pollEvery = 15 * time.Second
)

// state is what the check's sources and its looks share.
type state struct {
	once     sync.Once
	poll     atomic.Bool // changes of mounts make no event
	named    atomic.Bool // somebody asks for subjects
	subjects atomic.Pointer[subjects]
	errors   atomic.Pointer[diskErrors]
}

// saw keeps what the sources need of a look.
func (a *state) saw(s *scene, rules []drift.Bound[Rule]) {
	if a.named.Load() {
		a.subjects.Store(s.subjects(rules))
	}
	if d := a.errors.Load(); d != nil {
		d.mark(s, rules)
	}
}

// ResyncEvery implements drift.Resyncer.
func (c *Check) ResyncEvery() time.Duration {
	if c.armed.poll.Load() {
		return pollEvery
	}
	return compareEvery
}

// Watch implements drift.Watcher: it hears of every change of the host's mounts
// and of who made it, of errors of disks, and of mounts that answer late or not at all.
func (c *Check) Watch(ctx context.Context, to drift.Sink) error {
	c.armed.once.Do(func() { close(c.watched) })
	var sources sync.WaitGroup
	defer sources.Wait()
	if c.mounts != nil {
		to.Mode(probeSource, drift.Poll, "mounts are asked once a minute")
		sources.Go(func() { c.watchProbes(ctx, to) })
	}
	for _, s := range []armed.Source{c.mountSource(), c.mountersSource(), c.errorsSource()} {
		sources.Go(func() { s.Watch(ctx, to) })
	}
	return nil
}

func (c *Check) mountSource() armed.Source {
	return armed.Source{
		Name: mountSource,
		Arm:  c.armMounts,
		Without: func(err error) (drift.Mode, string) {
			c.armed.poll.Store(true)
			return drift.Poll, reason(err)
		},
	}
}

func (c *Check) watchProbes(ctx context.Context, to drift.Sink) {
	for {
		changed := c.mounts.Changed()
		select {
		case <-ctx.Done():
			return
		case <-changed:
			to.Hint(drift.Hint{Source: probeSource, Subject: anyMount, At: time.Now()})
		}
	}
}

// mountWatch waits for changes of the mounts of the host's pid 1.
type mountWatch struct {
	info int // mountinfo
	over int // an eventfd
}

var errNotLive = errors.New("this is no running host")

// armMounts opens mountinfo with a descriptor of its own, which the runtime's poller
// must not know: the first to poll takes the news away from the other.
func (c *Check) armMounts() (armed.Stream, error) {
	if !c.root.Live() {
		return nil, errNotLive
	}
	f, err := c.root.OpenFile("/proc/1/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("watch the mounts: %w", err)
	}
	defer func() { _ = f.Close() }()
	info, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("watch the mounts: %w", err)
	}
	over, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		_ = unix.Close(info)
		return nil, fmt.Errorf("watch the mounts: %w", err)
	}
	c.armed.poll.Store(false)
	return &mountWatch{info, over}, nil
}

// Follow implements armed.Stream.
func (w *mountWatch) Follow(ctx context.Context, to drift.Sink) error {
	defer w.close()
	ended := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		w.end()
		close(ended)
	})
	err := w.run(to)
	if !stop() {
		<-ended
	}
	return err
}

func (w *mountWatch) end() { _, _ = unix.Write(w.over, []byte{1, 0, 0, 0, 0, 0, 0, 0}) }

func (w *mountWatch) close() {
	_ = unix.Close(w.info)
	_ = unix.Close(w.over)
}

// run hints for every change until it is over: at once, again for what comes in the
// pause after it, and once more when a container whose mounts they are has started.
func (w *mountWatch) run(to drift.Sink) error {
	const never = -1
	timeout := never
	for {
		news, over, err := w.wait(timeout, int32(w.info))
		if over || err != nil {
			return err
		}
		to.Hint(drift.Hint{Source: mountSource, Subject: anyMount, At: time.Now()})
		if !news {
			timeout = never
			continue
		}
		if _, over, err := w.wait(int(pause.Milliseconds()), -1); over || err != nil {
			return err
		}
		timeout = int((started - pause).Milliseconds())
	}
}

// wait returns when info has news, at the timeout, or when it is over.
func (w *mountWatch) wait(timeout int, info int32) (news, over bool, err error) {
	for {
		fds := []unix.PollFd{{Fd: int32(w.over), Events: unix.POLLIN}, {Fd: info, Events: unix.POLLPRI}}
		n, err := unix.Poll(fds, timeout)
		if !errors.Is(err, unix.EINTR) {
			over = fds[0].Revents != 0
			return n > 0 && !over, over, err
		}
	}
}
