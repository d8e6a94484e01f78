package armed

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// told keeps what a source says, with when it says it.
type told struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
	hints []drift.Hint
}

func newTold() *told { return &told{begun: time.Now()} }

func (s *told) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%v ", time.Since(s.begun))+fmt.Sprintf(format, args...))
}

func (s *told) Hint(h drift.Hint) {
	s.say("hint %s", h.Source)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hints = append(s.hints, h)
}

func (s *told) hinted() []drift.Hint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hints
}

func (s *told) Mode(name string, m drift.Mode, why string) { s.say("%s %s %s", name, m, why) }
func (s *told) Failed(name string, err error)              { s.say("failed %s: %v", name, err) }

// brief is a stream that breaks after a while.
type brief time.Duration

func (b brief) Follow(ctx context.Context, _ drift.Sink) error {
	if sleep(ctx, time.Duration(b)) {
		return errors.New("broken")
	}
	return nil
}

// A source that cannot be armed is tried again ever more rarely, and one that
// breaks soon.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		to, tries := newTold(), 0
		s := Source{
			Name: "s",
			Arm: func() (Stream, error) {
				switch tries++; tries {
				case 1, 2, 3:
					return nil, errors.New("refused")
				default:
					return brief(time.Minute), nil
				}
			},
			Without: func(err error) (drift.Mode, string) { return drift.Off, err.Error() },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		defer cancel()
		s.Watch(ctx, to)
		if diff := cmp.Diff([]string{
			"0s s off refused", "0s hint s",
			"1s s off refused",
			"3s s off refused",
			"7s s event ", "7s hint s",
			"1m7s s off broken", "1m7s failed s: broken",
			"1m8s s event ", "1m8s hint s",
		}, to.lines); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheLongestPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries []time.Time
		s := Source{
			Arm:     func() (Stream, error) { tries = append(tries, time.Now()); return nil, errors.New("refused") },
			Without: func(error) (drift.Mode, string) { return drift.Off, "" },
		}
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		s.Watch(ctx, newTold())
		last := tries[len(tries)-2:]
		if got := last[1].Sub(last[0]); got != lastTries || !slices.IsSortedFunc(tries, time.Time.Compare) {
			t.Errorf("the last pause was %v", got)
		}
	})
}
