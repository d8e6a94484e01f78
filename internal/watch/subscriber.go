package watch

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// A burst is passed on in portions: what came first at once, up to burstHints in a
// window, the rest at its end, each path once; more than burstPaths are "all".
const (
	window     = 5 * time.Millisecond
	burstHints = 10
	burstPaths = 16
)

// cause is who changed what, and when.
type cause struct {
	pid  int
	at   time.Time
	path string
}

// subscriber is one check's subscription with the state of its burst. The
// watcher's lock guards it.
type subscriber struct {
	Subscription
	trees    []*tree
	told     bool
	degraded bool
	why      string
	named    drift.Mode // whether changes come with names
	whyNot   string

	mu      *sync.Mutex // the watcher's
	timer   *time.Timer // runs while a window is open
	sent    map[string]bool
	pending map[string]cause
	closed  bool
}

func newSubscriber(s Subscription, mu *sync.Mutex) *subscriber {
	switch {
	case s.Whole:
		s.Subject = func(string) (string, bool) { return "", true }
	case s.Subject == nil:
		s.Subject = func(path string) (string, bool) { return drift.Printable(path), true }
	}
	sub := &subscriber{Subscription: s, mu: mu, sent: map[string]bool{}, pending: map[string]cause{}}
	for _, t := range s.Trees {
		sub.trees = append(sub.trees, &tree{Tree: t})
	}
	return sub
}

// mode tells how the source notices, where that changed.
func (s *subscriber) mode(err error, how string) {
	m, why := drift.Event, how
	if err != nil {
		m, why = drift.Poll, err.Error()
	}
	if s.told && s.degraded == (err != nil) && s.why == why {
		return
	}
	s.told, s.degraded, s.why = true, err != nil, why
	s.To.Mode(s.Source, m, why)
}

// NamesSource is the part of the watching that tells who changed something.
const NamesSource = "fanotify"

// names tells whether changes come with names, where that changed.
func (s *subscriber) names(nameless error) {
	m, why := drift.Event, ""
	if nameless != nil {
		m, why = drift.Off, nameless.Error()
	}
	if s.named == m && s.whyNot == why {
		return
	}
	s.named, s.whyNot = m, why
	s.To.Mode(NamesSource, m, why)
}

// hint passes a change on, now or at the end of the window; "" is all.
func (s *subscriber) hint(path string, pid int) {
	subject := ""
	if path != "" {
		var counts bool
		if subject, counts = s.Subject(path); !counts {
			return
		}
	}
	by := cause{pid, time.Now(), path}
	_, all := s.pending[""]
	switch {
	case s.timer == nil:
		s.timer = time.AfterFunc(window, s.flush)
		s.send(subject, by)
	case len(s.sent) < burstHints && !s.sent[subject] && len(s.pending) == 0:
		s.send(subject, by)
	case all && subject != "":
	case len(s.pending) >= burstPaths:
		clear(s.pending)
		s.pending[""] = cause{at: by.at} // not all of it is one's
	default:
		s.wait(subject, by)
	}
}

// wait keeps the last one known to have changed the subject.
func (s *subscriber) wait(subject string, by cause) {
	if by.pid == 0 {
		by.pid = s.pending[subject].pid
	}
	s.pending[subject] = by
}

func (s *subscriber) send(subject string, by cause) {
	s.sent[subject] = true
	s.To.Hint(drift.Hint{Source: s.Source, Subject: subject, Armed: subject == "" && !s.Whole, PID: by.pid, Path: drift.Printable(by.path), At: by.at})
}

// lost says that events were dropped, at once. To a check that is told names the
// metadata of its files tells what it was not told, here and where there were too many.
func (s *subscriber) lost() {
	s.To.Hint(drift.Hint{Source: s.Source, At: time.Now(), Lost: true, Armed: !s.Whole})
}

// flush ends the window; in the next one what has just been sent waits again.
func (s *subscriber) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	clear(s.sent)
	if len(s.pending) == 0 {
		s.timer = nil
		return
	}
	waiting := s.pending
	s.pending = map[string]cause{}
	s.timer.Reset(window)
	for _, subject := range slices.Sorted(maps.Keys(waiting)) {
		s.send(subject, waiting[subject])
	}
}

func (s *subscriber) close() {
	s.closed = true
	if s.timer != nil {
		s.timer.Stop()
	}
}
