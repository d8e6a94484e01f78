//go:build e2e

package cluster

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/test/pagerduty"
)

// TestDemo is the whole way: somebody breaks a node, whoever is on call gets the
// recovery, does what it says, and the alert resolves. `make demo` shows it.
func TestDemo(t *testing.T) {
	d := newDemo(t)
	d.say("== Deploy: kubectl apply -k deploy/daemonset; instead of 10 minutes, the baseline settles for 2 s")
	install(t)
	d.say("%s", kubectl(t, "-n", "nodeguard", "get", "pods", "-o", "wide"))
	d.say("== Monitor: Prometheus and Alertmanager with deploy/monitoring; instead of minutes, an alert waits 3 s and its group 1 s")
	d.monitoring = newMonitoring(t)
	d.openPage()

	mark := cluster.seen.Mark()
	d.breakNode(mark)
	pages := d.paged("trigger")
	d.look()
	d.pause()
	d.repair()
	for i, resolved := range d.paged("resolve") {
		if resolved.DedupKey != pages[i].DedupKey {
			t.Errorf("%s was resolved, %s triggered", resolved.DedupKey, pages[i].DedupKey)
		}
	}
	d.cleared()
	d.say("%s", d.nodeguard(0, "nodes"))
	only(t, mark, d.node, "KernelParameterDrift", "KubernetesPathDrift", "NodeOutOfSupport")
}

// broken is what is done to the node, and what is said of it.
var broken = []struct{ command, condition, words, operation string }{
	{"sysctl -w net.ipv4.ip_forward=0", "KernelParameterDrift", "net.ipv4.ip_forward is 0", "ack.net.ip-forward"},
	{"sed -i.kept '$a # edited by hand' /var/lib/kubelet/config.yaml", "KubernetesPathDrift", "/var/lib/kubelet/config.yaml is content", "ack.path.var-lib-kubelet"},
}

// demo is a node that is to be broken, and who looks on.
type demo struct {
	*monitoring
	t    *testing.T
	node *Node
	page *door
	// terminal is where somebody looks on, "auto" for somebody who does not answer,
	// "" for nobody.
	terminal string
}

func newDemo(t *testing.T) *demo {
	return &demo{t: t, node: cluster.nodes[1], terminal: os.Getenv("NODEGUARD_DEMO")}
}

func (d *demo) say(format string, args ...any) {
	d.t.Helper()
	if d.terminal == "" {
		d.t.Logf(format, args...)
		return
	}
	fmt.Printf(format+"\n", args...)
}

// openPage leads to the status page as docs/deploying.md does.
func (d *demo) openPage() {
	const address = "127.0.0.1:19639"
	forward, err := start("port-forward", component("kubectl"), "--kubeconfig="+cluster.pki.path("admin.conf"), "--cache-dir="+tmpDir,
		"-n", "nodeguard", "port-forward", d.node.agent(d.t), "19639")
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(forward.kill)
	d.page = newDoor(d.t)
	d.page.open(address)
	d.shows(d.page, "/", "In support")
}

// shows waits until it can be seen from outside.
func (d *demo) shows(at *door, path, words string) {
	d.t.Helper()
	err := eventually(patience, func() error {
		body, err := at.get(path)
		if err == nil && !strings.Contains(body, words) {
			err = fmt.Errorf("%s does not say %q", at.URL+path, words)
		}
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *demo) breakNode(mark int) {
	d.t.Helper()
	d.say("\n== Break %s", d.node.Name)
	for _, b := range broken {
		began := time.Now()
		d.node.Run(d.t, b.command)
		turn := d.node.sees(d.t, mark, b.command, b.condition, corev1.ConditionTrue, b.words)
		d.say("# %s\n  %s after %v", b.command, b.condition, rounded(turn.At.Sub(began)))
	}
	for _, b := range broken { // there is one a minute about a condition
		err := cluster.seen.Await(2*patience, b.condition+"Detected", func() bool {
			return cluster.seen.hasEvent(d.node.Name, b.condition+"Detected", b.words, time.Time{})
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

// paged returns what whoever is on call got, with the recovery.
func (d *demo) paged(action string) (out []pagerduty.Event) {
	d.t.Helper()
	d.say("\n== What PagerDuty gets: %s", action)
	for _, b := range broken {
		e := d.pages.Wait(b.words, pagerduty.Of(action, "NodeGuard"+b.condition, b.operation))
		out = append(out, e)
		d.say("%s %s: %s", e.EventAction, e.Payload.Severity, e.Payload.Summary)
		if action == "resolve" {
			continue
		}
		d.say("  recovery: %s\n  runbook: %s", e.Payload.CustomDetails["recovery"], e.Payload.CustomDetails["runbook"])
		if f := d.finding(b.operation); !strings.Contains(e.Payload.CustomDetails["recovery"], f.Recovery.Text) {
			d.t.Errorf("the page says %q, not %q", e.Payload.CustomDetails["recovery"], f.Recovery.Text)
		}
	}
	return out
}

// look says where else it can be seen, and that it can.
func (d *demo) look() {
	d.t.Helper()
	d.shows(d.prometheus, "/api/v1/alerts", "NodeGuardKernelParameterDrift")
	d.shows(d.alertmanager, "/api/v2/alerts", "NodeGuardKernelParameterDrift")
	d.shows(d.page, "/", "Out of support")
	d.say("\n== Look\n$ kubectl describe node %s\n%s", d.node.Name, excerpt(kubectl(d.t, "describe", "node", d.node.Name)))
	d.say("\n$ nodeguard nodes\n%s", d.nodeguard(1, "nodes"))
	worst, _, _ := strings.Cut(d.nodeguard(1, "nodes", d.node.Name), "\ninfo ")
	d.say("\n$ nodeguard nodes %s\n%s\n…", d.node.Name, worst)
	d.say("\nPrometheus    %s/alerts\nAlertmanager  %s\nStatus page   %s", d.prometheus.URL, d.alertmanager.URL, d.page.URL)
}

var (
	drifting = regexp.MustCompile(`(?m)^  \w+(?:Drift|OutOfSupport) +True .*$`)
	told     = regexp.MustCompile(`(?m)^  Warning +\w+DriftDetected .*$`)
)

// excerpt is what kubectl describe says of drift, as far as lines are wide.
func excerpt(description string) string {
	lines := append(drifting.FindAllString(description, -1), told.FindAllString(description, -1)...)
	for i, line := range lines {
		if len(line) > 200 {
			lines[i] = strings.ToValidUTF8(line[:200], "") + "…"
		}
	}
	return strings.Join(lines, "\n")
}

// nodeguard runs it as somebody at a terminal would.
func (d *demo) nodeguard(code int, args ...string) string {
	d.t.Helper()
	cmd := exec.Command(os.Getenv("NODEGUARD_E2E_BINARY"), append(args, "--kubeconfig="+cluster.pki.path("admin.conf"))...)
	cmd.Env = environment()
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit); cmd.ProcessState.ExitCode() != code {
		d.t.Errorf("nodeguard %s: %v, want %d: %s", args, err, code, exit.Stderr)
	}
	return strings.TrimSpace(string(out))
}

// pause waits for Enter, where somebody looks on.
func (d *demo) pause() {
	if !strings.HasPrefix(d.terminal, "/") {
		return
	}
	terminal, err := os.OpenFile(d.terminal, os.O_RDWR, 0)
	if err != nil {
		d.t.Fatal(err)
	}
	defer terminal.Close()
	fmt.Fprint(terminal, "\nEnter repairs the node. ")
	if _, err := bufio.NewReader(terminal).ReadString('\n'); err != nil {
		d.t.Fatal(err)
	}
}

// repair does what the findings say, and puts back what only its owner has.
func (d *demo) repair() {
	d.t.Helper()
	d.say("\n== Repair %s", d.node.Name)
	commands := append(d.finding("ack.net.ip-forward").Recovery.Commands, "mv /var/lib/kubelet/config.yaml.kept /var/lib/kubelet/config.yaml")
	for _, command := range commands {
		d.node.Run(d.t, command)
		d.say("# %s", command)
	}
}

// cleared waits until the conditions say so; one that flapped before is held for a minute.
func (d *demo) cleared() {
	d.t.Helper()
	for _, b := range broken {
		err := cluster.seen.Await(3*patience, b.condition+" False", func() bool {
			c := find(cluster.seen.nodes[d.node.Name], b.condition)
			return c != nil && c.Status == corev1.ConditionFalse
		})
		if err != nil {
			d.t.Fatal(err)
		}
	}
}

// finding is what the agent reports of an operation.
func (d *demo) finding(operation string) drift.FindingReport {
	d.t.Helper()
	body, err := d.page.get("/api/v1/report")
	if err != nil {
		d.t.Fatal(err)
	}
	var r drift.Report
	if err := json.Unmarshal([]byte(body), &r); err != nil {
		d.t.Fatal(err)
	}
	i := slices.IndexFunc(r.Findings, func(f drift.FindingReport) bool { return f.Operation == operation && f.State == drift.Active })
	if i < 0 {
		d.t.Fatalf("there is no finding of %s: %s", operation, body)
	}
	return r.Findings[i]
}
