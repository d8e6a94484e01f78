package web

import (
	"context"
	"log/slog"
	"time"
)

const (
	firstPause = time.Second
	maxPause   = time.Minute
)

// again serves until ctx ends, with growing pauses between failures. The same
// failure is logged once.
func again(ctx context.Context, log *slog.Logger, serve func(context.Context) error) {
	pause, logged := firstPause, ""
	for ctx.Err() == nil {
		began := time.Now()
		err := serve(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxPause { // it served for a while
			pause, logged = firstPause, ""
		}
		if err != nil && err.Error() != logged {
			logged = err.Error()
			log.Error("metrics and report are not served here; this is tried again", "err", err)
		}
		wait(ctx, pause)
		pause = min(2*pause, maxPause)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
