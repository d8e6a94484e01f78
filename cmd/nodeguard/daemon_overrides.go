package main

import (
	"context"
	"slices"
	"time"

	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/export/kube"
)

// overrides are what the configuration says of pools, and which of it holds here.
type overrides struct {
	file    config.Config     // as it was read
	labels  map[string]string // of the own Node as last seen; nil: it was not seen yet
	applied []int             // which of the file's overrides are in force
	placed  bool              // the Node's labels are in the configuration in force
}

// awaitPatience is how long a start waits for the API server.
const awaitPatience = 5 * time.Second

// apply makes the configuration with these overrides the session's.
func (s *session) apply(overrides []int) error {
	for _, i := range overrides {
		s.config = s.config.With(s.config.Overrides[i])
	}
	return s.chooseProfile()
}

// unplaced tells whether it is still unknown which configuration and profile hold here: until
// then nothing is written to the Node. It is called with the lock held.
func (d *daemon) unplaced() bool {
	return d.exporter != nil && !d.overrides.placed && (len(d.overrides.file.Overrides) > 0 || d.undetected())
}

// awaitNode lets the agent begin with what holds for its Node. An API server that
// is away does not keep it from watching with what holds for all.
func (d *daemon) awaitNode(ctx context.Context) {
	d.mu.Lock()
	unplaced := d.unplaced()
	d.mu.Unlock()
	if !unplaced {
		return
	}
	patience := time.NewTimer(awaitPatience)
	defer patience.Stop()
	for {
		select {
		case <-d.nodes:
			d.mu.Lock()
			n := *d.node
			d.mu.Unlock()
			if !n.Exists {
				continue
			}
			d.label(n)
			d.mu.Lock()
			d.overrides.placed = true
			d.mu.Unlock()
			d.nodeChanged() // what else it asks for is for the running agent
			return
		case <-patience.C:
			d.log.Warn("the Node is not known yet: overrides and the profile wait for it, and so do its conditions")
			return
		case <-ctx.Done():
			return
		}
	}
}

// nodeChanged has the maintaining goroutine follow the Node.
func (d *daemon) nodeChanged() {
	select {
	case d.nodes <- struct{}{}:
	default:
	}
}

// followLabels puts the overrides for the Node's labels in force.
func (d *daemon) followLabels(ctx context.Context, n kube.Node) {
	if !n.Exists {
		return
	}
	if d.label(n) {
		d.rebuild(ctx)
	}
	d.mu.Lock()
	waited := d.unplaced()
	d.overrides.placed = true
	d.mu.Unlock()
	if waited {
		d.rebuild(ctx) // and have published what was held back
	}
}

// label takes the overrides for the Node's labels, and the profile that they tell, and
// tells whether either is another than before.
func (d *daemon) label(n kube.Node) (changed bool) {
	d.mu.Lock()
	d.overrides.labels = labelsOf(n)
	applied := d.overrides.file.Applying(d.overrides.labels)
	same := slices.Equal(applied, d.overrides.applied)
	if same && !d.undetected() {
		d.mu.Unlock()
		return false
	}
	fresh := *d.session
	fresh.config = d.overrides.file
	err := fresh.apply(applied)
	if same && err == nil && fresh.profile.Name == d.profile.Name {
		d.because = fresh.because
		d.mu.Unlock()
		return false
	}
	if err == nil {
		d.overrides.applied = applied
		d.adopt(&fresh)
	}
	d.mu.Unlock()
	if err != nil {
		d.log.Error("overrides not taken: the last good configuration stays", "overrides", applied, "error", err)
		return false
	}
	d.taken(applied)
	return true
}

// labelsOf are never nil.
func labelsOf(n kube.Node) map[string]string {
	if n.Labels == nil {
		return map[string]string{}
	}
	return n.Labels
}
