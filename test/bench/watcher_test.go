package bench

import (
	"context"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// watcher sees all Nodes, as an operator's tool does.
type watcher struct {
	nodes rest.Interface

	mu       sync.Mutex
	messages map[string]string // of KernelParameterDrift, by Node
	counts   map[string]int
	changed  chan struct{}
}

func watchNodes(b *testing.B, config *rest.Config) *watcher {
	b.Helper()
	scheme := runtime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	config.APIPath, config.GroupVersion, config.QPS = "/api", &corev1.SchemeGroupVersion, -1
	config.ContentType = runtime.ContentTypeProtobuf
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		b.Fatal(err)
	}
	w := &watcher{nodes: client, messages: map[string]string{}, counts: map[string]int{}, changed: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	go w.run(ctx)
	return w
}

// run watches anew whenever the API server ends a watch.
func (w *watcher) run(ctx context.Context) {
	for ctx.Err() == nil {
		stream, err := w.nodes.Get().Resource("nodes").Param("watch", "true").Watch(ctx)
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for event := range stream.ResultChan() {
			if n, ok := event.Object.(*corev1.Node); ok {
				w.saw(n)
			}
		}
		stream.Stop()
	}
}

func (w *watcher) saw(n *corev1.Node) {
	for _, c := range n.Status.Conditions {
		if c.Type != "KernelParameterDrift" {
			continue
		}
		w.mu.Lock()
		w.counts[w.messages[n.Name]]--
		w.messages[n.Name] = c.Message
		w.counts[c.Message]++
		w.mu.Unlock()
		select {
		case w.changed <- struct{}{}:
		default:
		}
	}
}

func (w *watcher) count(message string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.counts[message]
}

// await waits until that many Nodes have the message.
func (w *watcher) await(b *testing.B, nodes int, message string) {
	b.Helper()
	timeout := time.After(10 * time.Minute)
	for w.count(message) < nodes {
		select {
		case <-w.changed:
		case <-timeout:
			b.Fatalf("after ten minutes %d of %d Nodes say %q", w.count(message), nodes, message)
		}
	}
}
