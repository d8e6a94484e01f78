package main

import (
	"errors"
	"fmt"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// setForeignAside archives a baseline that came with an image of another machine.
func (s *session) setForeignAside() {
	if s.baseline == nil || s.store.AgentOwns() || s.baseline.Machine.Same(s.machine()) {
		return
	}
	archived, err := s.archive()
	if err != nil {
		s.baseline, s.baseErr = nil, fmt.Errorf("the baseline is another machine's, and it cannot be set aside: %w", err)
		return
	}
	s.note("the baseline was another machine's: kept as %s, recording anew", archived)
	s.baseline, s.baseErr = nil, baseline.ErrNone
}

func (s *session) archive() (string, error) {
	release, err := s.store.Lock()
	if err != nil {
		return "", err
	}
	archived, err := s.store.Archive(now())
	return archived, errors.Join(err, release())
}

// record keeps a first look, and adds to an older baseline what it never covered.
// An agent's baseline is the agent's.
func (s *session) record(seen map[string]drift.Look) {
	switch {
	case s.unusable() != nil:
		return // said as gaps
	case s.store.AgentOwns():
		if s.baseline == nil {
			s.note("the agent has not recorded a baseline yet: only absolute rules were judged")
		}
	case s.baseline == nil:
		s.recordFirst(seen)
	default:
		s.recordFresh(seen)
		s.recordRenewals(seen)
	}
}

func (s *session) recordFirst(seen map[string]drift.Look) {
	b := s.newBaseline()
	for name, l := range seen {
		if l.Facts != nil && l.Error == "" {
			b.Scopes[name] = baseline.ScopeOf(l.Facts, l.Gaps)
		}
	}
	if err := s.save(b); err != nil {
		s.note("no baseline recorded, only absolute rules were judged: %v", err)
		return
	}
	s.baseline, s.baseErr = b, nil
	s.note("recorded what this node looks like in %s; later checks compare with it", s.store.Path())
}

func (s *session) recordFresh(seen map[string]drift.Look) {
	added := 0
	for name, l := range seen {
		if l.Facts == nil || l.Error != "" {
			continue
		}
		if s.baseline.Scopes[name] == nil {
			s.baseline.Scopes[name] = baseline.ScopeOf(l.Facts, l.Gaps)
			added += len(l.Facts)
			continue
		}
		added += s.baseline.Scopes[name].AddFresh(l.Facts)
	}
	if added == 0 {
		return
	}
	if err := s.save(s.baseline); err != nil {
		s.note("%d new subjects could not be added to the baseline: %v", added, err)
		return
	}
	s.note("added %d subjects to the baseline that it did not cover yet", added)
}

func (s *session) newBaseline() *baseline.Baseline {
	return &baseline.Baseline{
		Header: baseline.Header{Format: baseline.Format, Machine: s.machine(), Profile: s.profile.Name, Recorded: now(), Version: versionString()},
		Scopes: map[string]baseline.Scope{},
	}
}

func (s *session) save(b *baseline.Baseline) error {
	release, err := s.store.Lock()
	if err != nil {
		return err
	}
	return errors.Join(s.store.Save(b), release())
}

// note says on stderr what happened beside the report.
func (s *session) note(format string, args ...any) {
	fmt.Fprintf(s.stderr, "nodeguard: "+format+"\n", args...)
}
