package agent

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

const identity = "nodeguard.io/identity"

// machineID makes this host another installation of its operating system.
func machineID(t *testing.T, id string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "machine-id")
	write(t, file, id+"\n")
	if _, err := os.Stat("/etc/machine-id"); err != nil {
		write(t, "/etc/machine-id", "") // there is something to mount over
		t.Cleanup(func() { _ = os.Remove("/etc/machine-id") })
	}
	run(t, "mount", "--bind", file, "/etc/machine-id")
	t.Cleanup(func() { run(t, "umount", "/etc/machine-id") })
}

// identified waits until the Node carries another identity than the last one.
func (c *cluster) identified(t *testing.T, last string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	n, err := c.Await(ctx, node, func(n *corev1.Node) bool { return n.Annotations[identity] != "" && n.Annotations[identity] != last })
	if err != nil {
		t.Fatalf("the Node is not identified: %v", err)
	}
	return n.Annotations[identity]
}

func (c *cluster) logged(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(c.log)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestWhoseBaseline(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	machineID(t, "11111111111111111111111111111111")
	stop := c.agent(t)
	c.settled(t)
	first := c.identified(t, "")
	if strings.Contains(first, "1111111") {
		t.Errorf("the machine-id is told: %s", first)
	}
	stop()

	// The machine-id changed under a node that was known: its baseline counts.
	machineID(t, "22222222222222222222222222222222")
	write(t, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nmaxPods: 111\n")
	stop = c.agent(t)
	c.sees(t, "KubernetesPathDrift", corev1.ConditionTrue, "/var/lib/kubelet/config.yaml")
	second := c.identified(t, first)
	stop()

	// Another node that was made from an image of this one.
	if err := c.Patch(context.Background(), node, `{"metadata":{"annotations":{"nodeguard.io/identity":null}}}`); err != nil {
		t.Fatal(err)
	}
	c.patchStatus(t, `{"status":{"conditions":[{"type":"KubernetesPathDrift","$patch":"delete"}]}}`)
	machineID(t, "33333333333333333333333333333333")
	write(t, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nmaxPods: 112\n")
	stop = c.agent(t)
	c.says(t, "baseline set aside: it is another machine's")
	c.settled(t)
	third := c.identified(t, second)
	if log := c.logged(t); strings.Contains(log, `"severity":"warning"`) || strings.Contains(log, `"severity":"critical"`) {
		t.Errorf("something was raised: %s", log)
	}
	stop()

	// The operating system was installed anew under the same Node.
	machineID(t, "44444444444444444444444444444444")
	if err := os.RemoveAll("/var/lib/nodeguard"); err != nil {
		t.Fatal(err)
	}
	stop = c.agent(t)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := c.AwaitEvent(ctx, node, "NodeReinstalled"); err != nil {
		t.Fatal(err)
	}
	c.settled(t)
	c.identified(t, third)
	stop()
	if log := c.logged(t); strings.Contains(log, `"severity":"warning"`) || strings.Contains(log, `"severity":"critical"`) {
		t.Errorf("a reinstalled operating system is no drift: %s", log)
	}
}

func TestMaintenanceThatIsIgnored(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	defer c.agent(t)()
	c.settled(t)
	if err := c.Patch(context.Background(), node, `{"metadata":{"annotations":{"nodeguard.io/maintenance-until":"2199-01-01T00:00:00Z"}}}`); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	event, err := c.AwaitEvent(ctx, node, "MaintenanceIgnored")
	if err != nil || !strings.Contains(event.Note, "more than 24 hours ahead") {
		t.Fatalf("%+v, %v", event, err)
	}
	write(t, "/proc/sys/net/ipv4/ip_forward", "0")
	c.sees(t, "KernelParameterDrift", corev1.ConditionTrue)
}
