package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/node"
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
	d.ownNode = &node.Source{}
	d.exporter, err = kube.New(client, kube.Config{Node: d.flags.nodeName, Language: d.language, OnNode: d.sawNode, Log: d.log})
	return err
}

// publish tells the cluster, unless the configuration wants it only observed.
func (d *daemon) publish(r drift.Report) {
	if d.exporter == nil {
		return
	}
	d.mu.Lock()
	observe, unplaced := d.config.Observe, d.unplaced()
	d.mu.Unlock()
	if unplaced {
		return
	}
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
	if n.Exists {
		d.ownNode.Set(n.Node)
	} else {
		d.ownNode.Gone()
	}
	d.nodeChanged()
}

// followNode does what the Node asks for.
func (d *daemon) followNode(ctx context.Context) {
	d.mu.Lock()
	n := *d.node
	d.mu.Unlock()
	d.followLabels(ctx, n)
	hold := ""
	if n.Ending() {
		hold = "the Node is being deleted"
	}
	d.holds.say(ctx, d.agent, holdNode, hold)
	d.recognize(n)
	d.bind(n)
	d.identify()
	d.agent.Maintain(ctx, d.maintenance(n))
	d.acceptAnnotated(n.AcceptBaseline())
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
		d.ignoreMaintenance(text, "it is no RFC 3339 time")
	case time.Until(until) > maxMaintenance:
		d.ignoreMaintenance(text, "it ends more than 24 hours ahead")
	default:
		return until
	}
	return time.Time{}
}

// ignoreMaintenance says so once for every announcement.
func (d *daemon) ignoreMaintenance(text, why string) {
	if text == d.ignored {
		return
	}
	d.ignored = text
	d.log.Warn("maintenance ignored: "+why, "annotation", drift.Printable(text))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tell(kube.Notice{
		Reason: "MaintenanceIgnored", Action: "Ignore", Warning: true,
		Note: fmt.Sprintf("annotation %s=%q is ignored: %s", kube.MaintenanceUntil, drift.Printable(text), why),
	})
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
	return d.node != nil && d.recognized && d.node.Ready && !slices.ContainsFunc(d.node.Taints, func(taint string) bool {
		return slices.ContainsFunc(startupTaints, func(s string) bool { return strings.HasPrefix(taint, s) })
	})
}
