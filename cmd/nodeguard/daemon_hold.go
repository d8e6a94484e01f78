package main

import (
	"context"
	"sync"

	"github.com/nodeguard/nodeguard/internal/agent"
)

// Who can say that nothing is worth raising any more.
const (
	holdNode = "node"
	holdHost = "host"
)

// holds are the reasons for raising nothing, by who says so; it lasts until nobody
// says so any more.
type holds struct {
	mu      sync.Mutex
	reasons map[string]string
}

// say takes what one of them says, "" for nothing, and tells the agent. The lock is
// kept while it does: what was said last is what the agent has last.
func (h *holds) say(ctx context.Context, a *agent.Agent, who, reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.reasons == nil {
		h.reasons = map[string]string{}
	}
	h.reasons[who] = reason
	for _, who := range []string{holdHost, holdNode} {
		if reason := h.reasons[who]; reason != "" {
			a.Hold(ctx, reason)
			return
		}
	}
	a.Hold(ctx, "")
}

// hostEnding follows what logind announces.
func (d *daemon) hostEnding(ctx context.Context) func(ending bool) {
	return func(ending bool) {
		reason := ""
		if ending {
			reason = "the host is shutting down"
		}
		d.holds.say(ctx, d.agent, holdHost, reason)
	}
}
