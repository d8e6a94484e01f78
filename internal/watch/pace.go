package watch

import "time"

// A storm is not read: beyond what a large change makes at once, more than readable
// changes a second are left to the kernel's queue, and twice a second all is looked
// at instead.
const (
	readable   = 2000
	large      = 8192
	stormPause = 500 * time.Millisecond
)

// pace is a bucket that changes fill and time empties.
type pace struct {
	most  float64
	level float64
	at    time.Time
}

// storm counts changes and tells whether they have become too many to read.
func (p *pace) storm(changes int) bool {
	now := time.Now()
	p.level = max(0, p.level-readable*now.Sub(p.at).Seconds()) + float64(changes)
	p.at = now
	if p.level <= p.most {
		return false
	}
	p.level = p.most
	return true
}
