package main

import (
	"context"
	"errors"
	"time"

	"github.com/nodeguard/nodeguard/internal/control"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// agentTakes is how long check waits for what an agent that runs here remembers.
const agentTakes = 2 * time.Second

// remember adds what only somebody who was there can know: since when a finding is
// open, and who did it. Without an agent nobody was, which is no error.
func (s *session) remember(ctx context.Context, report drift.Report) {
	if len(report.Findings) == 0 || !s.store.AgentOwns() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, agentTakes)
	defer cancel()
	of, err := control.Report(ctx, s.host)
	switch {
	case errors.Is(err, control.ErrNoAgent):
		return
	case err != nil:
		s.note("the agent on this host did not say who did it: %v", err)
		return
	}
	known := map[string]drift.FindingReport{}
	for _, f := range of.Findings {
		known[f.ID] = f
	}
	for i := range report.Findings {
		f := &report.Findings[i]
		if k, ok := known[f.ID]; ok && k.Observed == f.Observed {
			f.Since, f.Actor = k.Since, k.Actor
		}
	}
}
