package main

import (
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// stateRetry is how long to wait, at least, before the state directory is tried again.
const stateRetry = 2 * time.Second

// maxWaiting bounds what waits in memory for the journal.
const maxWaiting = 10_000

// maxOwed bounds what is said of a baseline once it could be written.
const maxOwed = 100

// state is the agent's hold on the state directory and its journal. While it cannot
// be written, what there is to write waits; that is said once, as is its end.
type state struct {
	host  *host.Root
	store *baseline.Store
	log   *slog.Logger

	mu      sync.Mutex
	release func() error     // nil: the directory is not held
	journal *journal.Journal // nil: it is not open
	open    map[string]journal.Entry
	waiting []journal.Entry // the oldest first
	limits  journal.Limits
	failing bool
	unsaved bool            // the baseline in memory is newer than the file
	owed    []journal.Entry // about what is unsaved

	recent recent
	turned time.Time     // the loop's
	turns  chan struct{} // it is time to try again
}

func newState(root *host.Root, store *baseline.Store, log *slog.Logger) *state {
	return &state{host: root, store: store, log: log, open: map[string]journal.Entry{}, turns: make(chan struct{}, 1)}
}

// turn shares the loop's wake-ups, which does not wait for a disk.
func (s *state) turn(now time.Time) {
	if now.Sub(s.turned) < stateRetry {
		return
	}
	s.turned = now
	select {
	case s.turns <- struct{}{}:
	default:
	}
}

// held tells whether the directory is this agent's.
func (s *state) held() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.journal != nil
}

// hold takes the directory. One that cannot be written is said, and tried again by
// and by: only another nodeguard's hold is final.
func (s *state) hold() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.take()
	if errors.Is(err, baseline.ErrLocked) {
		return err
	}
	s.said(err)
	return nil
}

// take locks the directory and opens the journal.
func (s *state) take() error {
	release, err := s.store.Lock()
	if err != nil {
		return err
	}
	j, err := journal.Open(s.host)
	if err != nil {
		return errors.Join(err, release())
	}
	j.Bound(s.limits)
	s.release, s.journal = release, j
	return nil
}

// bound sets how much the journal keeps.
func (s *state) bound(l journal.Limits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits = l
	if s.journal != nil {
		s.journal.Bound(l)
	}
}

func (s *state) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop()
}

func (s *state) drop() {
	if s.journal != nil {
		_ = s.journal.Close()
		_ = s.release()
		s.journal, s.release = nil, nil
	}
}

// found takes over the findings that an earlier run left open.
func (s *state) found(findings []drift.FindingReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range findings {
		s.remember(journal.Entry{At: f.Since, Event: journal.Raised, Finding: &f})
	}
}

// record writes an entry to the journal, now or as soon as it can be written, and logs
// it, now and once.
func (s *state) record(e journal.Entry) {
	defer logged(s.log, e)
	s.recent.add(e)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.remember(e)
	if s.waiting = append(s.waiting, e); len(s.waiting) > maxWaiting {
		s.waiting = s.waiting[1:]
	}
	s.said(s.flush())
}

// remember knows what is open: a journal that was deleted begins with it.
func (s *state) remember(e journal.Entry) {
	switch {
	case e.Finding == nil:
	case e.Event == journal.Raised:
		s.open[e.Finding.ID] = e
	case e.Event == journal.Cleared:
		delete(s.open, e.Finding.ID)
	default:
		if open, known := s.open[e.Finding.ID]; known {
			open.Finding = e.Finding
			s.open[e.Finding.ID] = open
		}
	}
}

// save writes the baseline, and then the entry about it. What fails is to be tried
// again, and is journalled then.
func (s *state) save(b *baseline.Baseline, e journal.Entry) {
	err := s.store.Save(b)
	s.mu.Lock()
	s.unsaved = err != nil
	if n := len(s.owed); n == 0 || s.owed[n-1].Event != e.Event || s.owed[n-1].Detail != e.Detail {
		s.owed = append(s.owed[max(0, n-maxOwed):], e)
	}
	var saved []journal.Entry
	if err == nil {
		saved, s.owed = s.owed, nil
	}
	s.said(err)
	s.mu.Unlock()
	for _, e := range saved {
		s.record(e)
	}
}

// again tries what waits, and tells whether the baseline has to be saved anew: it
// could not be, or it was deleted.
func (s *state) again() (save bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.flush()
	s.said(err)
	return err == nil && (s.unsaved || !s.host.Exists(s.store.Path()))
}

func (s *state) flush() error {
	if s.journal != nil && s.journal.Deleted() {
		s.log.Warn("the journal was removed: it begins anew with what is open")
		s.drop()
		s.startAnew()
	}
	if s.journal == nil {
		if err := s.take(); err != nil {
			return err
		}
	}
	for len(s.waiting) > 0 {
		if err := s.journal.Append(s.waiting[0]); err != nil {
			return err
		}
		s.waiting = s.waiting[1:]
	}
	s.waiting = nil
	if err := s.journal.Expire(time.Now()); err != nil {
		s.log.Warn("the journal keeps what is too old", "error", err)
	}
	return nil
}

// startAnew lets a new journal begin with what is open.
func (s *state) startAnew() {
	var all []journal.Entry
	for _, e := range s.open {
		all = append(all, e)
	}
	for _, e := range s.waiting {
		if e.Event != journal.Raised {
			all = append(all, e)
		}
	}
	s.waiting = all
}

// said tells when it begins to fail, and when all is written again.
func (s *state) said(err error) {
	failing := err != nil || s.unsaved
	switch {
	case err != nil && !s.failing:
		s.log.Error("state cannot be kept: baselines and open findings do not survive a restart", "error", err)
	case !failing && s.failing:
		s.log.Info("state is kept again")
	}
	s.failing = failing
}
