// Package armed has what the checks' sources of hints have in common: one that
// fails is armed again, ever more rarely, and what netlink tells makes few hints.
package armed

import (
	"context"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	firstTry  = time.Second
	lastTries = 10 * time.Minute
)

// Source is one way to notice.
type Source struct {
	Name string
	// Arm starts it.
	Arm func() (Stream, error)
	// Without is what is left while it is not armed, and why it is not.
	Without func(error) (drift.Mode, string)
}

// Stream is a source that is armed.
type Stream interface {
	// Follow hints until ctx ends, which is no error, or the source breaks, and
	// gives back what it holds.
	Follow(ctx context.Context, to drift.Sink) error
}

// Watch keeps the source armed until ctx ends. It hints for all of the check at the
// first try and whenever it is armed again.
func (s Source) Watch(ctx context.Context, to drift.Sink) {
	first := true
	for wait := firstTry; ; wait = min(2*wait, lastTries) {
		stream, err := s.Arm()
		if err == nil {
			to.Mode(s.Name, drift.Event, "")
		} else {
			s.off(err, to)
		}
		if first || err == nil {
			to.Hint(drift.Hint{Source: s.Name, At: time.Now(), Armed: true})
			first = false
		}
		if err == nil {
			wait = firstTry
			if err := stream.Follow(ctx, to); err != nil {
				s.off(err, to)
				to.Failed(s.Name, err)
			}
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

func (s Source) off(err error, to drift.Sink) {
	mode, why := s.Without(err)
	to.Mode(s.Name, mode, why)
}

// sleep tells whether the time has passed and ctx has not ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
