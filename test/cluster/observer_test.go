//go:build e2e

package cluster

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
)

// ours are the conditions that nodeguard writes, as far as their check is there.
var ours = []string{
	"KernelParameterDrift", "KubernetesPathDrift", "FirewallInterference", "ComponentConfigDrift",
	"VolumeMountDrift", "NodeIdentityDrift", "HostConfigDrift", "NodeOutOfSupport", "NodeRebuildAdvised",
}

// Turn is a condition that turned, as a watcher of the API saw it.
type Turn struct {
	At   time.Time
	Node string
	seq  int
	corev1.NodeCondition
}

func (t Turn) String() string {
	return fmt.Sprintf("%s %s %s %s: %s", t.Node, t.Type, t.Status, t.Reason, t.Message)
}

// Observer watches all Nodes, and the events about them, from its start to its
// end: what it has not seen did not happen, or only while the API was away.
type Observer struct {
	mu      sync.Mutex
	nodes   map[string]*corev1.Node
	turns   []Turn
	events  []eventsv1.Event
	changed chan struct{} // closed and made anew at every change
}

// Observe begins to watch.
func Observe(config *rest.Config) *Observer {
	o := &Observer{nodes: map[string]*corev1.Node{}, changed: make(chan struct{})}
	go o.follow(config, "/api", corev1.SchemeGroupVersion, "nodes", func(e watch.Event) {
		if n, ok := e.Object.(*corev1.Node); ok {
			o.node(n, e.Type == watch.Deleted)
		}
	})
	go o.follow(config, "/apis", eventsv1.SchemeGroupVersion, "events", func(e watch.Event) {
		if event, ok := e.Object.(*eventsv1.Event); ok && e.Type == watch.Added && event.Regarding.Kind == "Node" {
			o.events = append(o.events, *event)
		}
	})
	return o
}

// follow watches until the process ends; the API server may go and come back.
func (o *Observer) follow(config *rest.Config, path string, version schema.GroupVersion, resource string, take func(watch.Event)) {
	scheme := runtime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	_ = eventsv1.AddToScheme(scheme)
	config = rest.CopyConfig(config)
	config.APIPath, config.GroupVersion = path, &version
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		fmt.Fprintln(os.Stderr, "watch:", err)
		return
	}
	for since := ""; ; {
		stream, err := client.Get().Resource(resource).Param("watch", "true").Param("resourceVersion", since).Watch(context.Background())
		if err != nil {
			time.Sleep(20 * time.Millisecond) // not to spin while the API server is away
			continue
		}
		for event := range stream.ResultChan() {
			if event.Type == watch.Error {
				since = ""
				break
			}
			since = resourceVersion(event.Object)
			o.mu.Lock()
			take(event)
			close(o.changed)
			o.changed = make(chan struct{})
			o.mu.Unlock()
		}
		stream.Stop()
	}
}

func (o *Observer) node(n *corev1.Node, gone bool) {
	before := o.nodes[n.Name]
	if o.nodes[n.Name] = n; gone {
		delete(o.nodes, n.Name)
	}
	for _, c := range n.Status.Conditions {
		if was := find(before, string(c.Type)); was == nil || was.Status != c.Status || was.Reason != c.Reason || was.Message != c.Message || !was.LastTransitionTime.Equal(&c.LastTransitionTime) {
			o.turns = append(o.turns, Turn{time.Now(), n.Name, len(o.turns), c})
		}
	}
}

// Await waits for what the watches see.
func (o *Observer) Await(within time.Duration, what string, as func() bool) error {
	late := time.After(within)
	for {
		o.mu.Lock()
		done, changed := as(), o.changed
		o.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-late:
			return fmt.Errorf("not within %v: %s; last seen:\n%s", within, what, o.conditions())
		}
	}
}

// find returns a condition, nil where there is none.
func find(n *corev1.Node, kind string) *corev1.NodeCondition {
	if n == nil {
		return nil
	}
	for i, c := range n.Status.Conditions {
		if string(c.Type) == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// ready tells whether a Node has come up; it is to be called by Await.
func (o *Observer) ready(node string) bool {
	n := o.nodes[node]
	c := find(n, "Ready")
	return c != nil && c.Status == corev1.ConditionTrue && len(n.Spec.Taints) == 0 && n.Spec.PodCIDR != ""
}

// Mark is a point in what was seen.
func (o *Observer) Mark() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.turns)
}

// Since are the turns of our conditions since a mark.
func (o *Observer) Since(mark int) (out []Turn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, t := range o.turns[mark:] {
		if slices.Contains(ours, string(t.Type)) {
			out = append(out, t)
		}
	}
	return out
}

// Flips are the turns since a mark that changed a status or its time of transition.
func (o *Observer) Flips(mark int) (out []Turn) {
	last := map[string]Turn{}
	for _, t := range o.Since(0) {
		key := t.Node + string(t.Type)
		before, known := last[key]
		last[key] = t
		if known && t.seq >= mark && (before.Status != t.Status || !before.LastTransitionTime.Equal(&t.LastTransitionTime)) {
			out = append(out, t)
		}
	}
	return out
}

// conditions prints those that are ours.
func (o *Observer) conditions() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	var out strings.Builder
	for name, n := range o.nodes {
		for _, kind := range append([]string{"Ready"}, ours...) {
			if c := find(n, kind); c != nil {
				fmt.Fprintf(&out, "  %s %s %s %s: %s\n", name, kind, c.Status, c.Reason, c.Message)
			}
		}
	}
	return out.String()
}

func resourceVersion(o runtime.Object) string {
	m, err := meta.Accessor(o)
	if err != nil {
		return ""
	}
	return m.GetResourceVersion()
}

// hasEvent is to be called by Await.
func (o *Observer) hasEvent(node, reason, words string, since time.Time) bool {
	return slices.ContainsFunc(o.events, func(e eventsv1.Event) bool {
		return e.Regarding.Name == node && e.Reason == reason && strings.Contains(e.Note, words) && !e.EventTime.Time.Before(since)
	})
}
