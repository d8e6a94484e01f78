//go:build e2e

package cluster

import (
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The API server is away while a node drifts, and another one drifts and recovers.
func TestOutage(t *testing.T) {
	install(t)
	outage := 2 * time.Minute
	if text := os.Getenv("NODEGUARD_E2E_OUTAGE"); text != "" {
		var err error
		if outage, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	drifts, recovers := cluster.nodes[0], cluster.nodes[1]
	mark := cluster.seen.Mark()
	over := time.After(outage)
	cluster.StopAPIServer()
	defer func() {
		if cluster.server.ended() { // the test failed before
			_ = cluster.StartAPIServer()
		}
	}()
	drifts.Run(t, "sysctl -qw net.ipv4.ip_forward=0")
	drifts.metric(t, `nodeguard_condition{condition="KernelParameterDrift",status="True"} 1`)
	drifted := time.Now()
	recovers.Run(t, "sysctl -qw net.ipv4.tcp_tw_reuse=1")
	recovers.metric(t, `nodeguard_condition{condition="KernelParameterDrift",status="True"} 1`)
	recovers.Run(t, "sysctl -qw net.ipv4.tcp_tw_reuse=2")
	recovers.metric(t, `nodeguard_condition{condition="KernelParameterDrift",status="False"} 1`)
	<-over
	for _, n := range cluster.nodes { // the kubelet restarts nothing, and the agents run on
		n.Run(t, "pgrep -x nodeguard")
	}

	if err := cluster.StartAPIServer(); err != nil {
		t.Fatal(err)
	}
	returned := time.Now()
	turn := drifts.sees(t, mark, "drift during the outage", "KernelParameterDrift", corev1.ConditionTrue, "net.ipv4.ip_forward is 0")
	took := turn.At.Sub(returned)
	r := note(t, fmt.Sprintf("%s: ip_forward=0 while the API server is away for %v, from its return", drifts.Name, outage), "KernelParameterDrift", max(took, time.Millisecond), 0)
	if took > 5*time.Second {
		t.Errorf("the API server is back, and it took %v", took)
	}
	if at := turn.LastTransitionTime.Time; at.After(drifted.Add(time.Second)) {
		t.Errorf("the transition was at %v, before %v", at, drifted)
	}
	drifts.Restore(t, Change{What: "ip_forward=0", Condition: "KernelParameterDrift", Words: "net.ipv4.ip_forward is 0", Back: "sysctl -qw net.ipv4.ip_forward=1"}, r)
	drifts.clear(t, "KernelParameterDrift")
	recovers.clear(t, "KernelParameterDrift")
	for _, turn := range cluster.seen.Since(mark) {
		if turn.Node == recovers.Name && turn.Status != corev1.ConditionFalse {
			t.Errorf("it had recovered: %v", turn)
		}
		if turn.Status == corev1.ConditionUnknown {
			t.Errorf("an outage of the API is no reason for %v", turn)
		}
	}
}
