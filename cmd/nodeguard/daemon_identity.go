package main

import (
	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// setAside does not use a baseline of another machine. With a cluster the Node says
// whether it came with an image; without one there is nobody to ask.
func (d *daemon) setAside() {
	if d.baseline == nil || d.baseline.Machine.Same(d.machine()) {
		return
	}
	d.foreign, d.baseline, d.baseErr, d.anotherMachine = d.baseline, nil, baseline.ErrNone, true
	if d.exporter == nil {
		d.archiveForeign()
	}
}

// recognize decides, once the Node is known, whose the state on this host is. A
// machine that changed its machine-id keeps its baseline; one that came with an
// image begins anew; an operating system that was installed anew is told.
func (d *daemon) recognize(n kube.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !n.Exists || d.recognized {
		return
	}
	d.recognized = true
	known, current := n.Identity(), d.machine().Digest()
	if d.foreign != nil && known != "" && known == d.foreign.Machine.Digest() {
		d.log.Warn("this host has another machine-id than when it was recorded")
		d.baseline, d.foreign, d.baseErr = d.foreign, nil, nil
		d.baselineChanged()
		return
	}
	if d.foreign != nil {
		d.archiveForeign()
	}
	if d.baseline == nil && known != "" && current != "" && known != current {
		d.reinstalled()
	}
}

// archiveForeign keeps a baseline of another machine for people, and lets this one
// be recorded anew.
func (d *daemon) archiveForeign() {
	d.foreign = nil
	archived, err := d.store.Archive(now())
	if err != nil {
		d.log.Error("a baseline of another machine cannot be set aside: it is overwritten when this one is recorded", "error", err)
		return
	}
	d.record(journal.Entry{At: now(), Event: journal.Archived, Detail: "the baseline was another machine's: " + archived})
	d.log.Info("baseline set aside: it is another machine's", "kept", archived, "event", journal.Archived)
}

// reinstalled is history, not a fault: the operating system under a known Node is
// another one, and a new baseline follows.
func (d *daemon) reinstalled() {
	const detail = "the operating system under this Node was installed anew; a new baseline will be recorded"
	d.record(journal.Entry{At: now(), Event: journal.Reinstalled, Detail: detail})
	d.log.Info("reinstalled", "detail", detail, "event", journal.Reinstalled)
	d.tell(kube.Notice{Reason: "NodeReinstalled", Action: "Record", Note: detail})
}

// bind keeps which Node the baseline belongs to. One whose object was made anew on
// the same machine is the same node.
func (d *daemon) bind(n kube.Node) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.baseline == nil || d.unusable() != nil || !n.Exists || d.baseline.Machine.NodeUID == n.UID {
		return
	}
	if d.baseline.Machine.NodeUID != "" {
		d.record(journal.Entry{At: now(), Event: journal.Recreated, Detail: "the Node object was created anew: the baseline is kept"})
	}
	d.baseline.Machine.NodeUID = n.UID
	if err := d.store.Save(d.baseline); err != nil {
		d.log.Error("baseline cannot be saved: it ends with the agent", "error", err)
	}
}

// identify keeps the digest of this machine on the Node, where what was recorded
// is known to be this Node's.
func (d *daemon) identify() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.exporter == nil || d.config.Observe || d.baseline == nil || !d.recognized {
		return
	}
	if digest := d.machine().Digest(); digest != "" {
		d.exporter.Identify(digest)
	}
}

// tell sends an event about the Node, unless it is only observed. It is called with
// the lock held.
func (d *daemon) tell(n kube.Notice) {
	if d.exporter != nil && !d.config.Observe {
		d.exporter.Tell(n)
	}
}
