package apiserver_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

// BenchmarkVisible measures how long it takes until a watcher sees a condition turn:
// by a bare PATCH, and by a report that is published.
func BenchmarkVisible(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	agent, err := apiserver.NewClient(server.Config(apiserver.AgentToken))
	if err != nil {
		b.Fatal(err)
	}
	client, err := kube.NewClient(server.Config(apiserver.AgentToken))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("patch", func(b *testing.B) {
		turning(ctx, b, "bench-patch", func(message string) {
			body := fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":"True","reason":"OutOfSupport","message":%q}]}}`, kernel, message)
			if err := agent.Patch(ctx, "bench-patch", body, "status"); err != nil {
				b.Error(err)
			}
		})
	})
	b.Run("report", func(b *testing.B) {
		e, err := kube.New(client, kube.Config{Node: "bench-report", Language: drift.English})
		if err != nil {
			b.Fatal(err)
		}
		running, stop := context.WithCancel(ctx)
		defer stop()
		go e.Run(running)
		turning(ctx, b, "bench-report", func(message string) { e.Publish(report(raised(kernel, message))) })
	})
}

// turning turns the condition of a Node over and over, and reports how soon each is seen.
func turning(ctx context.Context, b *testing.B, name string, turn func(message string)) {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if err := admin.CreateNode(ctx, n); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = admin.DeleteNode(ctx, name) }()
	seen := make(chan string, 1)
	go func() {
		_, _ = admin.Await(ctx, name, func(n *corev1.Node) bool {
			if c := condition(n, kernel); c != nil {
				seen <- c.Message
			}
			return n == nil
		})
	}()
	turn("warm up")
	for <-seen != "warm up" {
	}
	var took []time.Duration
	i := 0
	for b.Loop() {
		i++
		message := fmt.Sprintf("turn %d", i)
		start := time.Now()
		turn(message)
		for <-seen != message {
		}
		took = append(took, time.Since(start))
		time.Sleep(110 * time.Millisecond) // the rate that the exporter allows itself
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
