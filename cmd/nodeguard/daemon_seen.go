package main

import (
	"errors"
	"io/fs"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// recollection is by what the paths check knows files as they were recorded: one that
// takes its place, and one of the next run, have to read none of them anew.
type recollection struct {
	kept  func() *paths.Seen // by an earlier run
	check *paths.Check       // the one that runs
	key   string
}

// recall hands on what was seen to a check that will take the place of another one.
func (r *recollection) recall(check drift.Check, key string) {
	next, is := check.(*paths.Check)
	if !is || r.check != nil && r.key == key {
		return
	}
	if r.check == nil {
		next.Recall(r.kept())
	} else {
		next.Recall(r.check.Seen())
	}
	r.check, r.key = next, key
}

// recalling begins to read what an earlier run kept. There is nothing where nothing is
// recorded, and for a single look, after which nobody would read the contents.
func (d *daemon) recalling() func() *paths.Seen {
	if d.baseline == nil || d.flags.once {
		return func() *paths.Seen { return nil }
	}
	return aside(d.seenBefore) // which asks for no baseline: the Node may bring another one
}

func (d *daemon) seenBefore() *paths.Seen {
	data, err := d.store.LoadSeen()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var seen *paths.Seen
	if err == nil {
		seen, err = paths.DecodeSeen(data)
	}
	if err != nil {
		d.log.Warn("every content is read before the first report", "why", err)
	}
	return seen
}

// keepSeen keeps it for the next run, which can do without.
func (d *daemon) keepSeen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.baseline == nil || d.seen.check == nil || !d.state.held() {
		return
	}
	seen := d.seen.check.Seen()
	if seen == nil {
		return
	}
	if err := d.store.SaveSeen(seen.Encode()); err != nil {
		d.log.Warn("the next start will take longer", "why", err)
	}
}
