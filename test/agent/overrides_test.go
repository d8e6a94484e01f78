package agent

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// Overrides hold as long as the Node's labels match, and nothing is ever written to
// the Node of what holds for others: not at the start, not while the API is away.
func TestOverridesFollowTheLabels(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	ctx := context.Background()
	pool := func(value string) {
		t.Helper()
		if err := c.Patch(ctx, node, `{"metadata":{"labels":{"pool":`+value+`}}}`); err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(t.TempDir(), "nodeguard.yaml")
	write(t, config, clockless+`
overrides:
  - nodeSelector: {pool: edge}
    disabled: [ack.net.tcp-tw-reuse]
  - nodeSelector: "!pool"
    severities: {ack.net.tcp-tw-reuse: critical}
`)
	write(t, "/proc/sys/net/ipv4/tcp_tw_reuse", "1")
	pool(`"edge"`)
	stop := c.agent(t, "--config", config)
	c.settled(t)
	c.neverRaised(t, "tcp_tw_reuse")
	stop()

	// Without the API server the agent watches with what holds for all, and says so to
	// the metrics alone.
	c.server.Pause()
	stop = c.agent(t, "--config", config)
	awaitMetric(t, `nodeguard_condition{condition="KernelParameterDrift",status="True"} 1`)
	if err := c.server.Resume(); err != nil {
		t.Fatal(err)
	}
	awaitMetric(t, `nodeguard_condition{condition="KernelParameterDrift",status="False"} 1`)
	write(t, "/proc/sys/net/ipv4/ip_forward", "0") // what is written after all that
	c.sees(t, "KernelParameterDrift", corev1.ConditionTrue, "net.ipv4.ip_forward")
	write(t, "/proc/sys/net/ipv4/ip_forward", "1")
	c.sees(t, "KernelParameterDrift", corev1.ConditionFalse)
	c.neverRaised(t, "tcp_tw_reuse")
	stop() // what turned often is held for a minute

	defer c.agent(t, "--config", config)()
	c.settled(t)
	pool(`"core"`)
	c.sees(t, "KernelParameterDrift", corev1.ConditionTrue, "net.ipv4.tcp_tw_reuse is 1")
	awaitMetric(t, `nodeguard_findings{condition="KernelParameterDrift",severity="warning"} 1`)
	pool(`"edge"`)
	c.sees(t, "KernelParameterDrift", corev1.ConditionFalse)
	pool("null")
	c.sees(t, "KernelParameterDrift", corev1.ConditionTrue, "net.ipv4.tcp_tw_reuse is 1")
	awaitMetric(t, `nodeguard_findings{condition="KernelParameterDrift",severity="critical"} 1`)
}

// neverRaised makes sure that no event has told of it.
func (c *cluster) neverRaised(t *testing.T, what string) {
	t.Helper()
	events, err := c.Events(context.Background(), node)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if strings.Contains(e.Note, what) {
			t.Errorf("%s: %s", e.Reason, e.Note)
		}
	}
}
