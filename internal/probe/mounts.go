package probe

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// Answer is what is known of a mount.
type Answer struct {
	At     time.Time  // of the last answer; zero: it has not given one yet
	Errno  unix.Errno // of the last answer; 0: all is well
	Hidden bool       // another mount, or none, is there in nodeguard's own view
	Open   time.Time  // of the first question without an answer; zero: there is none
	Failed string     // why the last question could not be asked
}

// Mounts asks mounts whether they answer. A mount is asked by one child at a time:
// while that one hangs on it, nobody else is sent.
type Mounts struct {
	root *host.Root

	slow     time.Duration // after which the next mounts no longer wait for one
	tick     time.Duration // how often a question that stays open is told of
	deadline time.Duration // after which a child is killed

	mu      sync.Mutex
	known   map[Mount]*asked
	hanging int
	changed chan struct{} // closed, and made anew, when something became known
}

// asked is a mount with what it said.
type asked struct {
	Answer
	busy bool // a child is at it, or hangs on it
}

// maxHanging is how many children may hang at a time.
const maxHanging = 16

// NewMounts returns somebody to ask the mounts of a host.
func NewMounts(root *host.Root) *Mounts {
	return &Mounts{
		root: root, slow: time.Second, tick: 2 * time.Second, deadline: 30 * time.Second,
		known: map[Mount]*asked{}, changed: make(chan struct{}),
	}
}

// Ask has the mounts asked whose last answer is older than age, and forgets those
// that are not among them. It does not wait for the answers.
func (m *Mounts) Ask(mounts []Mount, age time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	wanted := make(map[Mount]bool, len(mounts))
	var due []Mount
	for _, mount := range mounts {
		if wanted[mount] {
			continue
		}
		wanted[mount] = true
		a := m.known[mount]
		if a == nil {
			a = &asked{}
			m.known[mount] = a
		}
		if !a.busy && now.Sub(a.At) >= age {
			a.busy = true
			due = append(due, mount)
		}
	}
	for mount, a := range m.known {
		if !wanted[mount] && !a.busy {
			delete(m.known, mount)
		}
	}
	if len(due) > 0 {
		go m.round(due)
	}
}

// Answer is what is known of a mount by now.
func (m *Mounts) Answer(mount Mount) Answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	if a := m.known[mount]; a != nil {
		return a.Answer
	}
	return Answer{}
}

// Changed is closed when more is known than now.
func (m *Mounts) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// Wait returns when every mount has answered or been silent for so long, or ctx ends.
func (m *Mounts) Wait(ctx context.Context, mounts []Mount, silent time.Duration) {
	for {
		changed, left := m.pending(mounts, silent)
		if left <= 0 {
			return
		}
		timer := time.NewTimer(left)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-changed:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// pending is how long at most it takes until nothing is waited for.
func (m *Mounts) pending(mounts []Mount, silent time.Duration) (changed <-chan struct{}, left time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, mount := range mounts {
		switch a := m.known[mount]; {
		case a == nil || !a.busy:
		case a.Open.IsZero(): // in the queue
			left = max(left, m.deadline)
		default:
			left = max(left, silent-time.Since(a.Open))
		}
	}
	return m.changed, left
}

// tell is called with the lock held.
func (m *Mounts) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// round asks mounts one after the other, until each has answered or is waited for
// by a child of its own.
func (m *Mounts) round(due []Mount) {
	for len(due) > 0 {
		due = due[m.series(due):]
	}
}

// series lets one child ask, up to the first mount that keeps it waiting, and
// returns how many were dealt with.
func (m *Mounts) series(due []Mount) int {
	child, err := m.start(due)
	if err != "" {
		for _, mount := range due {
			m.fail(mount, err)
		}
		return len(due)
	}
	replies := child.replies(len(due))
	for i, mount := range due {
		m.open(mount)
		timer := time.NewTimer(m.slow)
		select {
		case r, ok := <-replies:
			timer.Stop()
			if !ok {
				child.Kill()
				m.lose(mount)
				return i + 1
			}
			m.answered(mount, r)
		case <-timer.C:
			m.leave(child, replies, mount)
			return i + 1
		}
	}
	child.Kill()
	return len(due)
}

func (m *Mounts) start(due []Mount) (*Process, string) {
	m.mu.Lock()
	hanging := m.hanging
	m.mu.Unlock()
	if hanging >= maxHanging {
		return nil, "too many mounts do not answer"
	}
	child, err := Start(m.root, StatMounts, questions(due))
	if err != nil {
		return nil, err.Error()
	}
	return child, ""
}

// replies are the child's, at most max, which nobody has to take.
func (p *Process) replies(max int) <-chan reply {
	out := make(chan reply, max)
	go func() {
		defer close(out)
		for range max {
			var r reply
			if p.Next(&r) != nil {
				return
			}
			out <- r
		}
	}()
	return out
}

// leave lets a child wait for its mount by itself.
func (m *Mounts) leave(child *Process, replies <-chan reply, mount Mount) {
	m.mu.Lock()
	m.hanging++
	m.mu.Unlock()
	go func() {
		told := m.linger(replies, mount)
		child.Kill()
		m.note(func() {})
		<-child.Exited()
		m.note(func() {
			m.hanging--
			if !told {
				m.known[mount].busy = false
			}
		})
	}()
}

// note changes what is known and tells of it.
func (m *Mounts) note(change func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change()
	m.tell()
}

// linger returns when the mount has answered, or the child was given time enough.
func (m *Mounts) linger(replies <-chan reply, mount Mount) (told bool) {
	deadline := time.NewTimer(m.deadline)
	defer deadline.Stop()
	tick := time.NewTicker(m.tick)
	defer tick.Stop()
	for {
		select {
		case r, ok := <-replies:
			if ok {
				m.answered(mount, r)
			} else {
				m.lose(mount)
			}
			return true
		case <-deadline.C:
			return false
		case <-tick.C:
			m.note(func() {})
		}
	}
}

// open notes that the mount is being asked.
func (m *Mounts) open(mount Mount) {
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.known[mount]
	a.Failed = ""
	if a.Open.IsZero() {
		a.Open = time.Now()
	}
}

func (m *Mounts) answered(mount Mount, r reply) {
	m.note(func() {
		*m.known[mount] = asked{Answer: Answer{At: time.Now(), Errno: unix.Errno(r.Errno), Hidden: r.Hidden}}
	})
}

// fail notes why a mount could not be asked. A question before it stays open.
func (m *Mounts) fail(mount Mount, why string) {
	m.note(func() {
		a := m.known[mount]
		a.busy, a.Failed = false, why
	})
}

// lose is for a child that ended without an answer, which says nothing of the mount.
func (m *Mounts) lose(mount Mount) {
	m.note(func() {
		a := m.known[mount]
		a.busy, a.Open, a.Failed = false, time.Time{}, "the child that asks it ended"
	})
}
