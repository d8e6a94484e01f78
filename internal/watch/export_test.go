package watch

import "time"

// RetryAfter sets the first delay before another attempt.
func (w *Watcher) RetryAfter(d time.Duration) { w.wait = d }
