package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// connect makes the exporter to the cluster.
func (d *daemon) connect() error {
	if d.flags.standalone {
		return nil
	}
	config, err := kube.Connect(d.flags.kubeconfig)
	if err != nil {
		return usage(err, "name a kubeconfig, run in a pod, or use --standalone")
	}
	client, err := kube.NewClient(config)
	if err != nil {
		return usage(err, "look at the kubeconfig")
	}
	kube.LogTo(d.log)
	d.exporter, err = kube.New(client, kube.Config{Node: d.flags.nodeName, Language: d.language, OnNode: d.sawNode, Log: d.log})
	return err
}

// publish tells the cluster, unless the configuration wants it only observed.
func (d *daemon) publish(r drift.Report) {
	if d.exporter == nil {
		return
	}
	d.mu.Lock()
	observe := d.config.Observe
	d.mu.Unlock()
	if observe {
		r.Conditions = nil // what an earlier run wrote is taken off
	}
	r.Node = d.flags.nodeName
	d.exporter.Publish(r)
}

// sawNode keeps the own Node as last seen; it must not block.
func (d *daemon) sawNode(n kube.Node) {
	d.mu.Lock()
	d.node = &n
	d.mu.Unlock()
	select {
	case d.nodes <- struct{}{}:
	default:
	}
}

// followNode does what the Node asks for.
func (d *daemon) followNode(ctx context.Context) {
	d.mu.Lock()
	n := *d.node
	d.mu.Unlock()
	hold := ""
	if n.Ending() {
		hold = "the Node is being deleted"
	}
	d.agent.Hold(ctx, hold)
	d.agent.Maintain(ctx, d.maintenance(n))
	if digest := n.AcceptBaseline(); digest != "" {
		d.acceptDigest(digest)
	}
}

// maxMaintenance is how far ahead a maintenance may end.
const maxMaintenance = 24 * time.Hour

// maintenance is when the announced one ends; zero for none. One that cannot be
// right is said and ignored.
func (d *daemon) maintenance(n kube.Node) time.Time {
	text := n.MaintenanceUntil()
	if text == "" {
		return time.Time{}
	}
	until, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		d.log.Warn("maintenance ignored: it is no RFC 3339 time", "annotation", drift.Printable(text))
	case time.Until(until) > maxMaintenance:
		d.log.Warn("maintenance ignored: it ends more than 24 hours ahead", "until", until)
	default:
		return until
	}
	return time.Time{}
}

// acceptDigest accepts the state with that digest, exactly as a check saw it, and
// nothing that changed since.
func (d *daemon) acceptDigest(digest string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.baseline == nil || d.unusable() != nil {
		return
	}
	for check, l := range d.looks {
		if l.Facts == nil || drift.AcceptDigest(l.Facts) != digest {
			continue
		}
		accepted := baseline.ScopeOf(l.Facts, l.Gaps)
		if drift.AcceptDigest(factsOf(d.baseline.Scopes[check])) == drift.AcceptDigest(factsOf(accepted)) {
			return // it is what is recorded already
		}
		d.baseline.Scopes[check] = accepted
		d.baseline.Note(baseline.Acceptance{At: now(), Reason: "annotation " + kube.AcceptBaseline, Subjects: []string{digest}, Changed: len(accepted)})
		d.saved(journal.Entry{At: now(), Event: journal.Accepted, Detail: fmt.Sprintf("%s: %s", check, digest)})
		return
	}
}

func factsOf(s baseline.Scope) map[string]drift.Fact {
	out := map[string]drift.Fact{}
	for subject, value := range s {
		out[subject] = drift.Fact{Value: value}
	}
	return out
}

// startupTaints are what is on a Node that is still coming up.
var startupTaints = []string{
	"node.cloudprovider.kubernetes.io/uninitialized", "node.kubernetes.io/not-ready", "node.cilium.io/agent-not-ready",
	"startup-taint.cluster-autoscaler.kubernetes.io/", "readiness.k8s.io/", "ignore-taint.cluster-autoscaler.kubernetes.io/",
}

// settledNode tells whether the node has come up: a baseline is not recorded
// before. It is called with the lock held.
func (d *daemon) settledNode() bool {
	if !d.host.CloudInitDone() {
		return false
	}
	if d.exporter == nil {
		return true
	}
	return d.node != nil && d.node.Ready && !slices.ContainsFunc(d.node.Taints, func(taint string) bool {
		return slices.ContainsFunc(startupTaints, func(s string) bool { return strings.HasPrefix(taint, s) })
	})
}
