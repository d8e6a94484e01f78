package baseline

import "time"

// Settler says when a node has looked the same for long enough to be recorded.
type Settler struct {
	after  time.Duration
	digest string
	since  time.Time
}

// NewSettler returns a settler that wants the node unchanged for that long.
func NewSettler(after time.Duration) *Settler { return &Settler{after: after} }

// Settled takes what the node looks like now; ready tells whether the node has
// come up at all. It is true once nothing changed for long enough.
func (s *Settler) Settled(digest string, ready bool, now time.Time) bool {
	if !ready || digest != s.digest || s.since.IsZero() {
		s.digest, s.since = digest, now
	}
	return ready && now.Sub(s.since) >= s.after
}

// Due is when the node will have been unchanged for long enough, as far as it is
// known now.
func (s *Settler) Due() time.Time { return s.since.Add(s.after) }
