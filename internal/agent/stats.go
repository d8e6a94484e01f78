package agent

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Source is how one source of a check is doing.
type Source struct {
	Check, Name               string
	Mode                      drift.Mode
	Why                       string
	Events, Overflows, Errors uint64
}

// CheckStats is how one check is doing.
type CheckStats struct {
	Name             string
	Took             time.Duration
	LastSuccess      time.Time
	Passes, Failures uint64
}

// Latency counts how long detections took, from the event to the report.
type Latency struct {
	Counts []uint64 // by LatencyBuckets, and one for all above
	Sum    float64  // seconds
	Count  uint64
}

// LatencyBuckets are upper bounds in seconds.
var LatencyBuckets = [...]float64{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30}

// Snapshot is what the agent shows of itself. It does not change.
type Snapshot struct {
	Report       drift.Report
	Complete     bool // every check has answered once
	Sources      []Source
	Checks       []CheckStats
	OutOfSupport map[string]float64 // seconds, by condition
	Latency      Latency
}

// stats are guarded: sources write them from anywhere. changed belongs to the loop.
type stats struct {
	changed bool

	mu           *sync.Mutex
	sources      map[[2]string]*Source
	checks       map[string]*checkStats
	outOfSupport map[string]float64
	accounted    time.Time
	latency      *Latency
}

type checkStats struct {
	mu *sync.Mutex
	CheckStats
}

func newStats() stats {
	return stats{
		mu: &sync.Mutex{}, sources: map[[2]string]*Source{}, checks: map[string]*checkStats{},
		outOfSupport: map[string]float64{}, latency: &Latency{Counts: make([]uint64, len(LatencyBuckets)+1)},
	}
}

func (s *stats) check(name string) *checkStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.checks[name] == nil {
		s.checks[name] = &checkStats{mu: s.mu, CheckStats: CheckStats{Name: name}}
	}
	return s.checks[name]
}

func (c *checkStats) passed(look drift.Look, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Took = look.Took
	c.Passes++
	if look.Error != "" {
		c.Failures++
		return
	}
	c.LastSuccess = now
}

// source is called with the lock held.
func (s *stats) source(check, name string) *Source {
	key := [2]string{check, name}
	if s.sources[key] == nil {
		s.sources[key] = &Source{Check: check, Name: name, Mode: drift.Off}
	}
	return s.sources[key]
}

func (s *stats) hinted(r *runner, h drift.Hint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ended.Load() {
		return
	}
	src := s.source(r.check.Name(), h.Source)
	src.Events++
	if h.Lost {
		src.Overflows++
	}
}

// mode tells whether it is another one than before.
func (s *stats) mode(r *runner, name string, m drift.Mode, why string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.ended.Load() {
		return false
	}
	check := r.check.Name()
	_, known := s.sources[[2]string{check, name}]
	src := s.source(check, name)
	other := !known || src.Mode != m || src.Why != why
	src.Mode, src.Why = m, why
	return other
}

func (s *stats) failed(r *runner, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !r.ended.Load() {
		s.source(r.check.Name(), name).Errors++
	}
}

// forget drops what a check that no longer runs has left.
func (s *stats) forget(check string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.sources {
		if key[0] == check {
			delete(s.sources, key)
		}
	}
}

func (s *stats) sourcesOf(check string) []Source {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Source
	for key, src := range s.sources {
		if key[0] == check && src.Name != "agent" && src.Name != "watch" {
			out = append(out, *src)
		}
	}
	slices.SortFunc(out, func(a, b Source) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// account adds up how long conditions were True, and how long the detections took
// that this report brings.
func (a *Agent) account(shown drift.Report, changes []Change, now time.Time) {
	s := &a.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp(a.published.Load(), now)
	for _, r := range a.runners {
		if !r.since.IsZero() && concerns(changes, shown, r.check.Name()) {
			s.latency.observe(now.Sub(r.since).Seconds())
		}
		r.since = time.Time{}
	}
}

// addUp is called with the lock held.
func (s *stats) addUp(last *Snapshot, now time.Time) {
	if last != nil {
		for _, c := range last.Report.Conditions {
			if c.Status == drift.True {
				s.outOfSupport[c.Type] += now.Sub(s.accounted).Seconds()
			}
		}
	}
	s.accounted = now
}

func concerns(changes []Change, r drift.Report, check string) bool {
	return slices.ContainsFunc(changes, func(c Change) bool {
		return c.Raised != nil && conditionOf(r, check) == c.Raised.Condition
	})
}

// conditionOf is the condition of a check: families stand in the order of checks.
func conditionOf(r drift.Report, check string) string {
	for i, c := range r.Checks {
		if c.Name == check && i < len(r.Conditions) {
			return r.Conditions[i].Type
		}
	}
	return ""
}

func (l *Latency) observe(seconds float64) {
	i := 0
	for i < len(LatencyBuckets) && seconds > LatencyBuckets[i] {
		i++
	}
	l.Counts[i]++
	l.Sum += seconds
	l.Count++
}

// publish hands the report out.
func (a *Agent) publish(r drift.Report) {
	a.published.Store(&Snapshot{Report: r, Complete: true})
	if a.config.Publish != nil {
		a.config.Publish(r)
	}
}

// Snapshot returns what the agent shows of itself now.
func (a *Agent) Snapshot() Snapshot {
	out := Snapshot{}
	last := a.published.Load()
	if last != nil {
		out = *last
	}
	s := &a.stats
	s.mu.Lock()
	defer s.mu.Unlock()
	s.addUp(last, time.Now())
	for _, src := range s.sources {
		if src.Name != "agent" && src.Name != "watch" {
			out.Sources = append(out.Sources, *src)
		}
	}
	slices.SortFunc(out.Sources, func(a, b Source) int { return cmp.Or(cmp.Compare(a.Check, b.Check), cmp.Compare(a.Name, b.Name)) })
	for _, c := range s.checks {
		out.Checks = append(out.Checks, c.CheckStats)
	}
	slices.SortFunc(out.Checks, func(a, b CheckStats) int { return cmp.Compare(a.Name, b.Name) })
	out.OutOfSupport = map[string]float64{}
	for _, c := range out.Report.Conditions {
		out.OutOfSupport[c.Type] = s.outOfSupport[c.Type]
	}
	out.Latency = Latency{Counts: slices.Clone(s.latency.Counts), Sum: s.latency.Sum, Count: s.latency.Count}
	return out
}
