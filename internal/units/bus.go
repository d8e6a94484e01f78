package units

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Source is the name of the source.
const Source = "systemd"

const (
	queue    = 4096 // a daemon-reload tells of every unit anew
	soonest  = 250 * time.Millisecond
	latest   = 30 * time.Second
	pingRest = time.Second // the checks ask together
)

// PingEvery is how often Poll is worth calling: it is for a systemd that hangs,
// and one whose connection ends is noticed at once.
const PingEvery = 30 * time.Second

// Bus is one connection to the host's systemd, shared by all who watch units. It
// is open as long as somebody does.
type Bus struct {
	root  *host.Root
	queue int
	pings chan struct{}

	mu      sync.Mutex
	hearers map[*hearer]bool
	running *session // nil while nobody watches
}

// hearer is somebody who watches units.
type hearer struct {
	subjects map[string]string // by unit
	to       drift.Sink
}

// session is the time in which somebody watches.
type session struct {
	ctx    context.Context
	cancel context.CancelFunc
	done   chan struct{}
	mode   drift.Mode // as it was last said; "" before that
	why    string
}

// New returns the bus of a host; it connects when somebody watches.
func New(root *host.Root) *Bus {
	return &Bus{root: root, queue: queue, pings: make(chan struct{}, 1), hearers: map[*hearer]bool{}}
}

// Watch hints with the subject of every unit that changes, and for everything
// after each connection, until ctx ends.
func (b *Bus) Watch(ctx context.Context, subjects map[string]string, to drift.Sink) {
	switch {
	case b == nil:
		to.Mode(Source, drift.Off, "systemd is not listened to")
	case !b.root.Systemd():
		to.Mode(Source, drift.Off, "systemd does not run this host")
	default:
		h := &hearer{maps.Clone(subjects), to}
		b.join(h)
		defer b.leave(h)
	}
	<-ctx.Done()
}

// Poll has the connection tried; the answer is waited for elsewhere.
func (b *Bus) Poll() {
	if b == nil {
		return
	}
	select {
	case b.pings <- struct{}{}:
	default:
	}
}

func (b *Bus) join(h *hearer) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hearers[h] = true
	if b.running == nil {
		ctx, cancel := context.WithCancel(context.Background())
		b.running = &session{ctx: ctx, cancel: cancel, done: make(chan struct{})}
		go b.run(b.running)
		return
	}
	if s := b.running; s.mode != "" {
		h.to.Mode(Source, s.mode, s.why)
		h.hint("", false)
	}
}

// leave ends the connection with its last hearer.
func (b *Bus) leave(h *hearer) {
	b.mu.Lock()
	delete(b.hearers, h)
	s := b.running
	last := len(b.hearers) == 0
	if last {
		s.cancel()
		b.running = nil
	}
	b.mu.Unlock()
	if last {
		<-s.done
	}
}

// run connects, listens and connects again.
func (b *Bus) run(s *session) {
	defer close(s.done)
	for wait := soonest; s.ctx.Err() == nil; wait = min(2*wait, latest) {
		l, err := open(s.ctx, b.root, b.queue)
		if err == nil {
			wait = soonest
			b.say(s, drift.Event, "")
			b.each(s, func(h *hearer) { h.hint("", false) })
			err = b.listen(s, l)
			l.bus.Close()
		}
		b.each(s, func(h *hearer) { h.to.Failed(Source, err) })
		b.say(s, drift.Poll, "systemd cannot be heard over D-Bus: "+Cause(err))
		select {
		case <-s.ctx.Done():
		case <-time.After(wait):
		}
	}
}

// listen passes on what changes until the link is dead.
func (b *Bus) listen(s *session, l *link) error {
	var pinged time.Time
	for {
		select {
		case <-s.ctx.Done():
			return s.ctx.Err()
		case <-l.closed():
			return errClosed
		case u := <-l.updates:
			b.changed(s, u.UnitName)
		case <-l.dropped: //nolint:errcheck // that the queue is full is all it says
			b.each(s, func(h *hearer) { h.hint("", true) })
		case <-b.pings:
			if time.Since(pinged) < pingRest {
				continue
			}
			pinged = time.Now()
			if err := l.ping(s.ctx); err != nil {
				return err
			}
		}
	}
}

func (b *Bus) changed(s *session, unit string) {
	b.each(s, func(h *hearer) {
		if subject, wanted := h.subjects[unit]; wanted {
			h.hint(subject, false)
		}
	})
}

func (h *hearer) hint(subject string, lost bool) {
	h.to.Hint(drift.Hint{Source: Source, Subject: subject, At: time.Now(), Lost: lost})
}

// each does it for every hearer of the session, and for nobody once it ended.
func (b *Bus) each(s *session, do func(*hearer), then ...func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.ctx.Err() != nil {
		return
	}
	for h := range b.hearers {
		do(h)
	}
	for _, f := range then {
		f()
	}
}

// say tells a mode when it is another one than before.
func (b *Bus) say(s *session, m drift.Mode, why string) {
	b.each(s, func(h *hearer) {
		if s.mode != m || s.why != why {
			h.to.Mode(Source, m, why)
		}
	}, func() { s.mode, s.why = m, why })
}
