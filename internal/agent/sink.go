package agent

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// sink takes what the sources of one check say.
type sink struct {
	agent  *Agent
	runner *runner
}

// Hint implements drift.Sink.
func (s sink) Hint(h drift.Hint) {
	if h.At.IsZero() {
		h.At = time.Now()
	}
	if h.PID == os.Getpid() {
		h.PID = 0 // the agent's own doing is no one's
	}
	if h.PID != 0 && s.agent.config.Who != nil {
		s.agent.config.Who.Seen(h.PID, h.At)
	}
	s.agent.stats.hinted(s.runner, h)
	s.runner.hint(h)
}

// Mode implements drift.Sink.
func (s sink) Mode(source string, m drift.Mode, why string) {
	if s.agent.stats.mode(s.runner, source, m, why) {
		s.agent.config.Log.Info("source", "check", s.runner.check.Name(), "source", source, "mode", m, "why", why)
	}
}

// Failed implements drift.Sink.
func (s sink) Failed(source string, err error) {
	s.agent.stats.failed(s.runner, source)
	s.agent.config.Log.Debug("source failed", "check", s.runner.check.Name(), "source", source, "error", err)
}

func watchSafely(ctx context.Context, w drift.Watcher, to drift.Sink) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return w.Watch(ctx, to)
}
