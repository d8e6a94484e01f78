package main

import (
	"cmp"
	"slices"
	"sync"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/web"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// status is what the page shows, in the language of whoever asks.
func (d *daemon) status(asked drift.Language) web.Status {
	s := d.agent.Snapshot()
	d.mu.Lock()
	profile, own := d.profile, d.language
	d.mu.Unlock()
	out := web.Status{Language: cmp.Or(asked, own), Report: s.Report, Version: versionString(), History: d.state.recent.happenings()}
	if out.Language != own {
		out.Report.Findings = drift.Reword(out.Report.Findings, profile.In(out.Language))
	}
	for _, src := range d.sources(s) {
		out.Sources = append(out.Sources, web.Source{
			Check: src.Check, Name: src.Name, Why: src.Why, Mode: src.Mode, Events: src.Events, Lost: src.Overflows, Errors: src.Errors,
		})
	}
	return out
}

// maxRecent is how much of the journal the page shows.
const maxRecent = 50

// recent are the latest entries of the journal, the oldest first.
type recent struct {
	mu      sync.Mutex
	entries []journal.Entry
}

func (r *recent) add(entries ...journal.Entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries = append(r.entries, entries...)
	r.entries = slices.Clone(r.entries[max(0, len(r.entries)-maxRecent):])
}

// happenings are the latest entries, the newest first.
func (r *recent) happenings() []web.Happening {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []web.Happening
	for _, e := range slices.Backward(r.entries) {
		h := web.Happening{At: e.At, Event: string(e.Event), Detail: e.Detail}
		if f := e.Finding; f != nil {
			h.Operation, h.Subject, h.Observed, h.Actor = f.Operation, f.Subject, f.Observed, f.Actor
		}
		out = append(out, h)
	}
	return out
}
