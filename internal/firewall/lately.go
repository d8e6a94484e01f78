package firewall

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// holdsFor is how long what was seen last answers for rules that change faster than they
// can be read. Each commit has them looked at again; who commits without an end is told
// from those that stop.
const holdsFor = 10 * time.Second

// lately is what the last look saw whose rules stood still.
type lately struct {
	listening atomic.Bool // commits are hinted

	mu   sync.Mutex
	seen drift.Observation
	at   time.Time
}

func (l *lately) keep(seen drift.Observation, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen, l.at = seen, now
}

// stillHolds returns it where a commit is going to be hinted, for as long as it holds.
func (l *lately) stillHolds(now time.Time) (drift.Observation, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen, l.listening.Load() && now.Sub(l.at) < holdsFor
}
