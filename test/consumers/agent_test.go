package consumers

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

const (
	kernel       = "KernelParameterDrift"
	outOfSupport = "NodeOutOfSupport"
	rebuild      = "NodeRebuildAdvised"
)

// families and aggregates are all that the agent writes.
var (
	families = []string{
		kernel, "KubernetesPathDrift", "FirewallInterference", "ComponentConfigDrift", "VolumeMountDrift", "NodeIdentityDrift", "HostConfigDrift",
	}
	aggregates = []string{outOfSupport, rebuild}
)

// host is a directory tree that stands in for the host of the first node.
type host struct {
	*pool
	tree, config string
}

func (p *pool) host(t *testing.T) *host {
	t.Helper()
	h := &host{pool: p, tree: t.TempDir(), config: filepath.Join(t.TempDir(), "nodeguard.yaml")}
	write(t, h.config, "disabled: [ack.new.node-time]\n") // nobody may keep the clock where the tests run
	write(t, filepath.Join(h.tree, "etc/hostname"), first+"\n")
	write(t, filepath.Join(h.tree, "proc/sys/net/ipv4/tcp_tw_reuse"), "2\n")
	h.forwards(t, "1")
	return h
}

// forwards sets the kernel parameter that a test turns on.
func (h *host) forwards(t *testing.T, value string) {
	t.Helper()
	write(t, h.parameter(), value+"\n")
}

// hides makes the parameter something that cannot be read.
func (h *host) hides(t *testing.T) {
	t.Helper()
	if err := os.Remove(h.parameter()); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(h.parameter(), 0o755); err != nil {
		t.Fatal(err)
	}
}

func (h *host) parameter() string { return filepath.Join(h.tree, "proc/sys/net/ipv4/ip_forward") }

// agent starts the agent on the host and returns how to end it.
func (h *host) agent(t *testing.T) (stop func()) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(h.binary, "agent", "--root", h.tree, "--node-name", first, "--kubeconfig", h.kubeconfig, "--profile", "ack",
		"--config", h.config, "--baseline-settle", "0", "--web.listen-address=")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("agent: %s", text)
		}
	}
	t.Cleanup(stop)
	return stop
}

// sees waits until a condition of the first node has a status and a reason.
func (h *host) sees(t *testing.T, kind corev1.NodeConditionType, status corev1.ConditionStatus, reason string) corev1.NodeCondition {
	t.Helper()
	n := h.await(t, first, string(kind)+" "+string(status)+" for "+reason, func(n *corev1.Node) bool {
		c := condition(n, kind)
		return c != nil && c.Status == status && c.Reason == reason
	})
	return *condition(n, kind)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
