// Package agent runs the real agent against a real API server: what happens on
// the host is seen by a watcher of the Node.
package agent

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

const node = "n1"

// clockless does not judge the clock, which nobody may keep where the tests run.
const clockless = "disabled: [ack.new.node-time]\n"

// cluster is an API server with one Node, whose host is the test's own.
type cluster struct {
	*apiserver.Client
	server     *apiserver.Server
	kubeconfig string
	binary     string
	log        string // of the last agent
}

func newCluster(t testing.TB) *cluster {
	t.Helper()
	for _, args := range []string{ // the API server wants a default route
		"link set lo up", "link add eth0 type veth peer name peer0", "address add 192.0.2.2/24 dev eth0", "link set eth0 up", "link set peer0 up",
		"route add default via 192.0.2.1",
	} {
		run(t, "ip", strings.Fields(args)...)
	}
	for _, dir := range []string{"/var/lib", "/etc/sysctl.d", "/run", "/usr/lib/sysctl.d"} {
		run(t, "mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", dir)
	}
	write(t, "/proc/sys/net/ipv4/ip_forward", "1")
	write(t, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nmaxPods: 110\n")
	dir := t.TempDir()
	server, err := apiserver.Start(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	client, err := apiserver.NewClient(server.Config(apiserver.AdminToken))
	if err != nil {
		t.Fatal(err)
	}
	c := &cluster{Client: client, server: server, kubeconfig: filepath.Join(dir, "kubeconfig"), binary: filepath.Join(dir, "nodeguard")}
	ctx := context.Background()
	if err := client.Grant(ctx); err != nil {
		t.Fatal(err)
	}
	if err := client.CreateNode(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}); err != nil {
		t.Fatal(err)
	}
	c.patchStatus(t, `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady"}]}}`)
	// A start-up taint keeps a baseline from being recorded.
	if err := client.Patch(ctx, node, `{"spec":{"taints":null}}`); err != nil {
		t.Fatal(err)
	}
	write(t, c.kubeconfig, kubeconfig(server))
	run(t, "go", "build", "-C", "../..", "-o", c.binary, "./cmd/nodeguard")
	return c
}

func kubeconfig(s *apiserver.Server) string {
	config := s.Config(apiserver.AgentToken)
	return fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: %s}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`, config.Host, base64.StdEncoding.EncodeToString(config.CAData), config.BearerToken)
}

func (c *cluster) patchStatus(t testing.TB, body string) {
	t.Helper()
	if err := c.Patch(context.Background(), node, body, "status"); err != nil {
		t.Fatal(err)
	}
}

// agent starts the agent and returns how to end it.
func (c *cluster) agent(t testing.TB, more ...string) (stop func()) {
	t.Helper()
	if !slices.Contains(more, "--config") {
		config := filepath.Join(t.TempDir(), "nodeguard.yaml")
		write(t, config, clockless)
		more = append(more, "--config", config)
	}
	cmd := exec.Command(c.binary, append([]string{"agent", "--kubeconfig", c.kubeconfig, "--node-name", node, "--profile", "ack",
		"--baseline-settle", "0", "--web.listen-address", "127.0.0.1:19639"}, more...)...)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	c.log = log.Name()
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
			data, _ := os.ReadFile(log.Name())
			t.Logf("agent: %s", data)
		}
	}
	t.Cleanup(stop)
	return stop
}

// sees waits until the condition has the status and its message these words.
func (c *cluster) sees(t testing.TB, kind string, status corev1.ConditionStatus, words ...string) corev1.NodeCondition {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var found corev1.NodeCondition
	last, err := c.Await(ctx, node, func(n *corev1.Node) bool {
		for _, condition := range n.Status.Conditions {
			if string(condition.Type) == kind && condition.Status == status && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(condition.Message, w) }) {
				found = condition
				return true
			}
		}
		return false
	})
	if err != nil {
		t.Fatalf("%s did not become %s with %q: %v; last %+v", kind, status, words, err, last.Status.Conditions)
	}
	return found
}

// settled waits until everything is in support and the baseline is recorded.
func (c *cluster) settled(t testing.TB) {
	t.Helper()
	for _, kind := range []string{"KernelParameterDrift", "KubernetesPathDrift", "FirewallInterference", "ComponentConfigDrift", "NodeOutOfSupport", "NodeRebuildAdvised"} {
		c.sees(t, kind, corev1.ConditionFalse)
	}
	c.sees(t, "KubernetesPathDrift", corev1.ConditionFalse, "all that was looked at is in support")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := c.Await(ctx, node, func(n *corev1.Node) bool {
		for _, condition := range n.Status.Conditions {
			if condition.Type == "KubernetesPathDrift" && condition.Reason == "BaselineSettling" {
				return false
			}
		}
		return true
	}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatHappensOnTheHostIsSeenAtTheAPI(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	stopKubelet := kubelet(t, "--max-pods=110")
	stop := c.agent(t)
	c.settled(t)

	for _, step := range []struct {
		name      string
		do, undo  func()
		condition string
		words     []string
	}{
		{"a sysctl", func() { write(t, "/proc/sys/net/ipv4/ip_forward", "0") }, func() { write(t, "/proc/sys/net/ipv4/ip_forward", "1") },
			"KernelParameterDrift", []string{"net.ipv4.ip_forward is 0, supported 1 (ack.net.ip-forward)"}},
		{"a protected file", func() { write(t, "/var/lib/kubelet/pki/evil.crt", "x") }, func() { run(t, "rm", "-r", "/var/lib/kubelet/pki") },
			"KubernetesPathDrift", []string{"/var/lib/kubelet/pki is new dir", "to accept this state: sha256:"}},
		{"firewalld's table", func() {
			run(t, "nft", "add table inet firewalld { chain filter_INPUT { type filter hook input priority 10; policy accept; ct state invalid drop; } ; }")
		}, func() { run(t, "nft", "delete", "table", "inet", "firewalld") },
			"FirewallInterference", []string{"firewalld is enforcing"}},
		{"another flag of the kubelet", func() { stopKubelet(); stopKubelet = kubelet(t, "--max-pods=250") },
			func() { stopKubelet(); stopKubelet = kubelet(t, "--max-pods=110") },
			"ComponentConfigDrift", []string{"kubelet --max-pods is 250, supported 110"}},
	} {
		step.do()
		c.sees(t, step.condition, corev1.ConditionTrue, step.words...)
		c.sees(t, "NodeOutOfSupport", corev1.ConditionTrue, step.condition)
		step.undo()
		c.sees(t, step.condition, corev1.ConditionFalse)
		c.sees(t, "NodeOutOfSupport", corev1.ConditionFalse)
	}

	// A restart moves no transition time and finds what happened meanwhile.
	before := c.sees(t, "KernelParameterDrift", corev1.ConditionFalse)
	stop()
	write(t, "/proc/sys/net/ipv4/tcp_tw_reuse", "1")
	stop = c.agent(t)
	c.sees(t, "KernelParameterDrift", corev1.ConditionTrue, "net.ipv4.tcp_tw_reuse is 1")
	stop()
	if after := c.sees(t, "KubernetesPathDrift", corev1.ConditionFalse); after.LastTransitionTime.After(time.Now()) || before.LastTransitionTime.IsZero() {
		t.Errorf("%+v", after)
	}
	stopKubelet()
}

func TestAcceptAndMaintainByAnnotation(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	defer c.agent(t)()
	c.settled(t)
	ctx := context.Background()
	annotate := func(key, value string) {
		t.Helper()
		if err := c.Patch(ctx, node, fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, key, value)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nmaxPods: 111\n")
	shown := c.sees(t, "KubernetesPathDrift", corev1.ConditionTrue, "to accept this state: sha256:")
	_, digest, _ := strings.Cut(shown.Message, "to accept this state: ")
	annotate("nodeguard.io/accept-baseline", digest)
	c.sees(t, "KubernetesPathDrift", corev1.ConditionFalse)
	write(t, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\nmaxPods: 112\n")
	c.sees(t, "KubernetesPathDrift", corev1.ConditionTrue) // what changed since is not accepted
	annotate("nodeguard.io/accept-baseline", "sha256:1")
	waiting, stop := context.WithTimeout(ctx, 30*time.Second)
	defer stop()
	if event, err := c.AwaitEvent(waiting, node, "AcceptIgnored"); err != nil || !strings.Contains(event.Note, "sha256:1") {
		t.Errorf("%+v, %v", event, err)
	}

	annotate("nodeguard.io/maintenance-until", time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	if m := c.sees(t, "NodeOutOfSupport", corev1.ConditionFalse); m.Reason != "Maintenance" {
		t.Errorf("reason %s", m.Reason)
	}
	if err := c.Patch(ctx, node, `{"metadata":{"annotations":{"nodeguard.io/maintenance-until":null}}}`); err != nil {
		t.Fatal(err)
	}
	c.sees(t, "NodeOutOfSupport", corev1.ConditionTrue, "KubernetesPathDrift")
}

// In observe mode what is found is in the metrics, and nothing on the Node.
func TestObserveMode(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	config := filepath.Join(t.TempDir(), "nodeguard.yaml")
	write(t, config, clockless+"mode: enforce\n")
	defer c.agent(t, "--config", config)()
	c.settled(t)
	write(t, config, clockless+"mode: observe\n")
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if _, err := c.Await(ctx, node, func(n *corev1.Node) bool { return len(n.Status.Conditions) == 1 }); err != nil {
		t.Fatalf("conditions stay on the Node: %v", err)
	}
	write(t, "/proc/sys/net/ipv4/ip_forward", "0")
	awaitMetric(t, `nodeguard_condition{condition="KernelParameterDrift",status="True"} 1`)
	if n, err := c.Node(ctx, node); err != nil || len(n.Status.Conditions) != 1 {
		t.Errorf("%+v, %v", n.Status.Conditions, err)
	}
	write(t, config, clockless+"mode: enforce\n\n")
	c.sees(t, "KernelParameterDrift", corev1.ConditionTrue, "net.ipv4.ip_forward is 0")
}

// Nothing is raised on a Node that the cluster autoscaler is about to delete.
func TestScaleDown(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	defer c.agent(t)()
	c.settled(t)
	ctx := context.Background()
	if err := c.Patch(ctx, node, `{"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","effect":"NoSchedule"}]}}`); err != nil {
		t.Fatal(err)
	}
	c.says(t, "nothing is raised any more")
	passes := metric(t, `nodeguard_check_passes_total{check="sysctl"}`)
	write(t, "/proc/sys/net/ipv4/tcp_tw_reuse", "1")
	for passes == metric(t, `nodeguard_check_passes_total{check="sysctl"}`) {
		write(t, "/proc/sys/net/ipv4/tcp_tw_reuse", "1")
	}
	if n, err := c.Node(ctx, node); err != nil || isTrue(n, "KernelParameterDrift") {
		t.Errorf("raised on a Node that goes: %+v, %v", n.Status.Conditions, err)
	}
	if err := c.Patch(ctx, node, `{"spec":{"taints":null}}`); err != nil {
		t.Fatal(err)
	}
	c.sees(t, "KernelParameterDrift", corev1.ConditionTrue, "net.ipv4.tcp_tw_reuse is 1")
}

// says waits until the agent has logged the words.
func (c *cluster) says(t *testing.T, words string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if data, err := os.ReadFile(c.log); err != nil || strings.Contains(string(data), words) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent never said %q", words)
		}
	}
}

func isTrue(n *corev1.Node, kind string) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return string(c.Type) == kind && c.Status == corev1.ConditionTrue
	})
}

// metric returns the line of a metric that the agent shows, "" where it does not.
func metric(t *testing.T, prefix string) string {
	t.Helper()
	resp, err := http.Get("http://127.0.0.1:19639/metrics")
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(body)) {
		if strings.HasPrefix(line, prefix) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

func awaitMetric(t *testing.T, prefix string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); metric(t, prefix) == ""; {
		if time.Now().After(deadline) {
			t.Fatalf("the agent does not show %s", prefix)
		}
	}
}

// kubelet is a process of that name with flags.
func kubelet(t testing.TB, flags ...string) (stop func()) {
	t.Helper()
	binary := "/var/lib/kubelet-binary/kubelet"
	if _, err := os.Stat(binary); err != nil {
		run(t, "install", "-D", "/bin/bash", binary)
	}
	cmd := exec.Command(binary, append([]string{"-c", "echo up; read", "kubelet"}, flags...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	return func() {
		_ = stdin.Close()
		_ = cmd.Wait()
	}
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func write(t testing.TB, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
