package attribute

import (
	"time"

	"golang.org/x/sys/unix"
)

// tick is the unit of times in /proc/PID/stat (USER_HZ).
const tick = 10 * time.Millisecond

// Two clocks are read at once if no more than this passes between.
const (
	atOnce  = time.Millisecond
	retries = 10
)

// bootTime is a time as CLOCK_BOOTTIME has it. Times of this process carry a
// monotonic reading, so that it does not matter whether the clock was set since.
func bootTime(at time.Time) (since time.Duration) {
	for range retries {
		before := sinceBoot()
		ago := time.Since(at)
		after := sinceBoot()
		if since = after - ago; after-before < atOnce {
			break
		}
	}
	return since
}

func sinceBoot() time.Duration {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now) // cannot fail since Linux 2.6.39
	return time.Duration(now.Nano())
}
