package agent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/journal"
)

const kubeletYAML = "/var/lib/kubelet/config.yaml"

// runs has the Node's kubelet say its version.
func (c *cluster) runs(t *testing.T, version string) {
	t.Helper()
	c.patchStatus(t, fmt.Sprintf(`{"status":{"nodeInfo":{"kubeletVersion":%q}}}`, version))
}

// holds waits until the recorded state tells what it should.
func holds(t *testing.T, what string, as func(*baseline.Baseline) bool) *baseline.Baseline {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if b, err := state(t).Load(); err == nil && as(b) {
			return b
		}
		if time.Now().After(deadline) {
			b, err := state(t).Load()
			t.Fatalf("the baseline never held %s: %+v, %v", what, b, err)
		}
	}
}

func state(t *testing.T) *baseline.Store {
	t.Helper()
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return baseline.NewStore(root)
}

func journalled(t *testing.T, event journal.Event) []string {
	t.Helper()
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	entries, _, err := journal.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if e.Event == event {
			out = append(out, e.Detail)
		}
	}
	return out
}

func knows(version string) func(*baseline.Baseline) bool {
	return func(b *baseline.Baseline) bool { return b.Scope("components")["kubelet release"] == version }
}

func TestUpgradeIsOneFinding(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	before, err := os.ReadFile(kubeletYAML)
	if err != nil {
		t.Fatal(err)
	}
	c.runs(t, "v1.36.1")
	stop := c.agent(t)
	c.settled(t)
	holds(t, "the version", knows("v1.36.1"))

	// The files of the new version are there before it says so.
	upgrade := func() {
		write(t, kubeletYAML, "kind: KubeletConfiguration\nmaxPods: 250\n")
		write(t, "/var/lib/kubelet/pki/new.crt", "x")
		c.sees(t, "KubernetesPathDrift", corev1.ConditionTrue, kubeletYAML, "/var/lib/kubelet/pki is new dir")
		c.sees(t, "ComponentConfigDrift", corev1.ConditionTrue, "maxPods")
		c.runs(t, "v1.36.2")
		c.sees(t, "KubernetesPathDrift", corev1.ConditionFalse)
	}
	upgrade()
	const told = "kubelet release is v1.36.2, supported v1.36.1 (ack.worker.self-upgrade-components, with 3 more changes)"
	first := c.sees(t, "ComponentConfigDrift", corev1.ConditionTrue, told)
	if strings.Contains(first.Message, "maxPods") || len(first.Message) > 1024 {
		t.Errorf("%s", first.Message)
	}

	// A restart changes nothing. Once the window has passed, another change is drift.
	holds(t, "the upgrade", func(b *baseline.Baseline) bool { return b.Upgrade != nil && len(b.Upgrade.Folded) == 3 })
	stop()
	store := state(t)
	b, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	b.Upgrade.Noticed = b.Upgrade.Noticed.Add(-time.Hour)
	if err := store.Save(b); err != nil {
		t.Fatal(err)
	}
	stop = c.agent(t)
	write(t, "/var/lib/kubelet/other.kubeconfig", "x")
	again := c.sees(t, "KubernetesPathDrift", corev1.ConditionTrue, "/var/lib/kubelet/other.kubeconfig is new file")
	if strings.Contains(again.Message, kubeletYAML) || strings.Contains(again.Message, "pki") {
		t.Errorf("what belongs to the upgrade is raised: %s", again.Message)
	}
	if still := c.sees(t, "ComponentConfigDrift", corev1.ConditionTrue, told); !still.LastTransitionTime.Equal(&first.LastTransitionTime) {
		t.Errorf("the restart moved the transition from %v to %v", first.LastTransitionTime, still.LastTransitionTime)
	}

	// Rolled back, all of it is over.
	write(t, kubeletYAML, string(before))
	run(t, "rm", "-r", "/var/lib/kubelet/pki", "/var/lib/kubelet/other.kubeconfig")
	c.runs(t, "v1.36.1")
	c.sees(t, "ComponentConfigDrift", corev1.ConditionFalse)
	c.sees(t, "KubernetesPathDrift", corev1.ConditionFalse)
	holds(t, "no upgrade", func(b *baseline.Baseline) bool { return b.Upgrade == nil })

	// The digest that the upgrade shows accepts all that it stands for, and no more.
	upgrade()
	shown := c.sees(t, "ComponentConfigDrift", corev1.ConditionTrue, told, "to accept this state: sha256:")
	_, digest, _ := strings.Cut(shown.Message, "to accept this state: ")
	if err := c.Patch(context.Background(), node, fmt.Sprintf(`{"metadata":{"annotations":{"nodeguard.io/accept-baseline":%q}}}`, digest)); err != nil {
		t.Fatal(err)
	}
	c.sees(t, "ComponentConfigDrift", corev1.ConditionFalse)
	c.sees(t, "KubernetesPathDrift", corev1.ConditionFalse)
	accepted := holds(t, "what was accepted", func(b *baseline.Baseline) bool { return knows("v1.36.2")(b) && b.Upgrade == nil })
	if _, all := accepted.Scope("paths")["/var/lib/kubelet/pki/new.crt"]; !all {
		t.Error("what is in the new directory was not accepted with it")
	}
	write(t, "/var/lib/kubelet/pki/evil.crt", "x")
	if after := c.sees(t, "KubernetesPathDrift", corev1.ConditionTrue, "/var/lib/kubelet/pki/evil.crt"); strings.Contains(after.Message, kubeletYAML) {
		t.Errorf("%s", after.Message)
	}
	stop()
	if upgrades := journalled(t, journal.Upgraded); len(upgrades) == 0 || !strings.Contains(strings.Join(upgrades, "\n"), "kubelet release v1.36.1 -> v1.36.2, with 3 subjects") {
		t.Errorf("the journal does not tell: %q", upgrades)
	}
}

// Where upgrades are the user's, the agent accepts one by itself.
func TestUpgradeIsAbsorbed(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	c.runs(t, "v1.36.1")
	stop := c.agent(t, "--profile", "upstream")
	c.settled(t)
	holds(t, "the version", knows("v1.36.1"))
	write(t, kubeletYAML, "kind: KubeletConfiguration\nmaxPods: 250\n")
	c.sees(t, "KubernetesPathDrift", corev1.ConditionTrue, kubeletYAML)
	c.sees(t, "ComponentConfigDrift", corev1.ConditionTrue, "maxPods")
	c.runs(t, "v1.36.2")
	c.sees(t, "KubernetesPathDrift", corev1.ConditionFalse)
	c.sees(t, "ComponentConfigDrift", corev1.ConditionFalse)
	holds(t, "the upgrade", func(b *baseline.Baseline) bool {
		return knows("v1.36.2")(b) && b.Scope("components")["kubelet config maxPods"] == "250" && b.Upgrade == nil
	})
	write(t, kubeletYAML, "kind: KubeletConfiguration\nmaxPods: 110\n")
	c.sees(t, "ComponentConfigDrift", corev1.ConditionTrue, "kubelet config maxPods is 110, supported 250")
	stop()
	absorbed := journalled(t, journal.Absorbed)
	const want = "kubelet release v1.36.1 -> v1.36.2, with 2 subjects: kubelet config maxPods, " + kubeletYAML
	if len(absorbed) != 1 || absorbed[0] != want {
		t.Errorf("journalled %q, want %q", absorbed, want)
	}
}
