package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
)

// attribution is what all checks' findings share: how it is told who caused them.
const attribution = "attribution"

// whoModes are how the attributor works, as it told last.
type whoModes struct {
	mu    sync.Mutex
	modes map[string]agent.Source
}

// told takes a mode from the attributor.
func (w *whoModes) told(source string, m drift.Mode, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.modes == nil {
		w.modes = map[string]agent.Source{}
	}
	w.modes[source] = agent.Source{Check: attribution, Name: source, Mode: m, Why: why}
}

// sources are the modes, sorted.
func (w *whoModes) sources() []agent.Source {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []agent.Source
	for _, name := range slices.Sorted(maps.Keys(w.modes)) {
		out = append(out, w.modes[name])
	}
	return out
}

// sources are all that tell the agent something, with how they do it.
func (d *daemon) sources(s agent.Snapshot) []agent.Source {
	return slices.Concat(s.Sources, d.who.sources())
}

// toldWho says how it is told who did it, and why not better.
func (d *daemon) toldWho(source string, m drift.Mode, why string) {
	d.who.told(source, m, why)
	d.log.Info("source", "check", attribution, "source", source, "mode", m, "why", why)
}
