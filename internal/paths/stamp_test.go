package paths

import (
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/host"
)

// A file that was changed in the same tick of the clock as the look can change
// again without a trace.
func TestStampWaitsForTheClock(t *testing.T) {
	l := &look{start: time.Now()}
	for age, trusted := range map[time.Duration]bool{
		time.Minute: true, tick + time.Millisecond: true,
		tick: false, time.Millisecond: false, 0: false, -time.Millisecond: false, -time.Hour: false,
	} {
		if got := l.stamp(host.Entry{Changed: l.start.Add(-age)}) != (stamp{}); got != trusted {
			t.Errorf("changed %s before the look: trusted %t", age, got)
		}
	}
}
