package sysctl

import (
	"context"
	"sync"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	firstRetry = 30 * time.Second
	lastRetry  = 10 * time.Minute
)

// source is one way to notice. It is armed, serves until it breaks, and is armed
// again by and by; while it is off, its fallback serves.
type source struct {
	name     string
	mode     drift.Mode // while it is armed
	arm      func(to drift.Sink) (stream, error)
	fallback *source
}

// stream is an armed source.
type stream interface {
	// run hints until the stream is closed or breaks.
	run(to drift.Sink) error
	Close() error
}

// stop ends a source, with its fallback, and waits for that. Where another one does
// its work from now on, it says so.
type stop func(instead string)

// start arms the source and returns when its mode has been said.
func (s *source) start(ctx context.Context, to drift.Sink) stop {
	ctx, cancel := context.WithCancel(ctx)
	ready, done := make(chan struct{}), make(chan struct{})
	var stopFallback stop
	go func() {
		defer close(done)
		stopFallback = s.keep(ctx, to, sync.OnceFunc(func() { close(ready) }))
	}()
	<-ready
	return func(instead string) {
		cancel()
		<-done
		if stopFallback != nil {
			stopFallback(instead)
		}
		if instead != "" {
			to.Mode(s.name, drift.Off, instead+" does its work")
		}
	}
}

// keep keeps the source armed until ctx ends, and returns what is left to be ended
// then.
func (s *source) keep(ctx context.Context, to drift.Sink, ready func()) (stopFallback stop) {
	defer ready()
	wait, again := firstRetry, false
	for ctx.Err() == nil {
		armed, err := s.arm(to)
		if err == nil {
			if stopFallback != nil {
				stopFallback(s.name)
				stopFallback = nil
			}
			to.Mode(s.name, s.mode, "")
			if again {
				to.Hint(drift.Hint{Source: s.name, At: time.Now()})
			}
			ready()
			err = serve(ctx, armed, to)
			wait = firstRetry
			if ctx.Err() != nil {
				return nil
			}
			to.Failed(s.name, err)
		}
		to.Mode(s.name, drift.Off, plain(err))
		if s.fallback != nil && stopFallback == nil {
			stopFallback = s.fallback.start(ctx, to)
		}
		ready()
		sleep(ctx, wait)
		wait, again = min(2*wait, lastRetry), true
	}
	return stopFallback
}

// serve runs a stream until it breaks or ctx ends.
func serve(ctx context.Context, s stream, to drift.Sink) error {
	closed := make(chan struct{})
	unwatch := context.AfterFunc(ctx, func() {
		defer close(closed)
		_ = s.Close()
	})
	err := s.run(to)
	if unwatch() {
		return errorsOf(err, s.Close())
	}
	<-closed
	return err
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
