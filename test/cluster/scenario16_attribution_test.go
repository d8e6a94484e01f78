//go:build e2e

package cluster

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What somebody does from within a pod has the pod's name, its container's and the
// command's: in the event, and in the journal.
func TestAttribution(t *testing.T) {
	install(t)
	kubectl(t, "apply", "-f", "testdata/breaker.yaml")
	kubectl(t, "wait", "--for=condition=Ready", "pod/breaker", "--timeout=60s")
	inPod := func(command ...string) func(testing.TB, *Node) {
		return func(t testing.TB, _ *Node) {
			t.Helper()
			kubectl(t, append([]string{"exec", "breaker", "--"}, command...)...)
		}
	}
	n, mark := cluster.nodes[0], cluster.seen.Mark()
	sysctl := Change{
		What: "sysctl -w in a pod", Condition: "KernelParameterDrift", Words: "net.ipv4.tcp_tw_reuse is 1",
		Do: inPod("/usr/sbin/sysctl", "-w", "net.ipv4.tcp_tw_reuse=1"), Undo: inPod("/usr/sbin/sysctl", "-w", "net.ipv4.tcp_tw_reuse=2"),
	}
	file := Change{
		What: "a kubelet file edited in a pod", Condition: "KubernetesPathDrift", Words: "/var/lib/kubelet/config.yaml is content",
		Do: inPod("/usr/bin/sed", "-i.old", "$a # broken", "/kubelet/config.yaml"), Undo: inPod("/usr/bin/mv", "/kubelet/config.yaml.old", "/kubelet/config.yaml"),
	}
	began := time.Now()
	for _, c := range []Change{sysctl, file} {
		r := n.Drift(t, c)
		n.did(t, began, c)
		n.Restore(t, c, r)
		n.clear(t, c.Condition)
		resolved = append(resolved, event{n.Name, c.Condition + "Resolved", time.Now()})
	}
	n.event(t, "KernelParameterDriftDetected", "by sysctl (pid ")
	n.event(t, "KernelParameterDriftDetected", "pod default/breaker, container shell")
	n.event(t, "KubernetesPathDriftDetected", "pod default/breaker, container shell")
	only(t, mark, n, "KernelParameterDrift", "KubernetesPathDrift", "ComponentConfigDrift", "NodeOutOfSupport")
	kubectl(t, "delete", "-f", "testdata/breaker.yaml", "--wait")
}

// did waits until the journal has it that the breaker's shell did it.
func (n *Node) did(t testing.TB, since time.Time, c Change) {
	t.Helper()
	err := eventually(patience, func() error {
		var actors []string
		for _, h := range n.history(t, since) {
			f := h.Finding
			if f.Subject != c.subject() || f.Actor.PID == 0 {
				continue
			}
			if f.Actor.Pod == "default/breaker" && f.Actor.Container == "shell" && strings.Contains("sysctl sed", f.Actor.Comm) && f.Actor.Comm != "" {
				return nil
			}
			actors = append(actors, fmt.Sprintf("%s of %s in %s", f.Actor.Comm, f.Actor.Container, f.Actor.Pod))
		}
		return fmt.Errorf("nobody did %s; done by: %q", c.subject(), actors)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// happening is a line of the journal, as far as the tests read it.
type happening struct {
	Event   string `json:"event"`
	Detail  string `json:"detail"`
	Finding struct {
		Operation string `json:"operation"`
		Subject   string `json:"subject"`
		Actor     struct {
			PID       int    `json:"pid"`
			Comm      string `json:"comm"`
			Pod       string `json:"pod"`
			Container string `json:"container"`
		} `json:"actor"`
	} `json:"finding"`
}

// history is the node's journal, as a user asks for it.
func (n *Node) history(t testing.TB, since time.Time) []happening {
	t.Helper()
	out := kubectl(t, "-n", "nodeguard", "exec", n.agent(t), "--", "/nodeguard", "history", "--root", "/host", "--since", since.UTC().Format(time.RFC3339), "-o", "json")
	var list []happening
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return list
}
