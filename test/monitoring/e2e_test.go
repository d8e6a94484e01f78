//go:build e2e

package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/test/pagerduty"
)

const (
	ipForward     = "proc/sys/net/ipv4/ip_forward"
	twReuse       = "proc/sys/net/ipv4/tcp_tw_reuse"
	kubeletConfig = "var/lib/kubelet/config.yaml"
	bootFile      = "etc/sysctl.d/10-k8s.conf"
)

// From a change on a host to the page of who is on call, and back.
func TestFleet(t *testing.T) {
	f := newFleet(t, 4)
	f.asks("healthy")
	if told := f.receiver.Seen(func(pagerduty.Event) bool { return true }); len(told) > 0 {
		t.Errorf("told of a healthy fleet: %+v", told)
	}

	f.set(4, ipForward, "0\n")
	f.set(4, twReuse, "1\n") // waived
	f.set(4, kubeletConfig, strings.Replace(healthy[kubeletConfig], "110", "250", 1))
	f.set(4, bootFile, "net.ipv4.ip_forward = 0\n")
	triggered := f.receiver.Wait("ip_forward", pagerduty.Of("trigger", "NodeGuardKernelParameterDrift", "ack.net.ip-forward"))
	f.carriesRecovery(triggered)
	f.receiver.Wait("maxPods", pagerduty.Of("trigger", "NodeGuardComponentConfigDrift", "ack.worker.core-params"))
	f.receiver.Wait("an outlier", pagerduty.Of("trigger", "NodeGuardBaselineOutlier", ""))
	f.prometheus.answers(t, `count(nodeguard_finding_info{node="n4", waived="true"})`, "1")
	f.asks("drifted")
	if told := f.receiver.Seen(func(e pagerduty.Event) bool { return e.Payload.Component == "ack.net.tcp-tw-reuse" }); len(told) > 0 {
		t.Errorf("told of what is waived: %+v", told)
	}

	for _, file := range []string{ipForward, twReuse, kubeletConfig, bootFile} {
		f.repair(4, file)
	}
	resolved := f.receiver.Wait("ip_forward is put back", pagerduty.Of("resolve", "NodeGuardKernelParameterDrift", "ack.net.ip-forward"))
	if resolved.DedupKey != triggered.DedupKey || resolved.RoutingKey != triggered.RoutingKey {
		t.Errorf("triggered %s, resolved %s", triggered.DedupKey, resolved.DedupKey)
	}
	f.prometheus.answers(t, `sum(nodeguard_condition{condition="NodeOutOfSupport", status="True"})`, "0")

	f.tellsRolloutOnce()
	f.tellsOfAgentThatIsDown()
	f.inhibits()
}

// carriesRecovery holds that who is on call needs no other page.
func (f *fleet) carriesRecovery(e pagerduty.Event) {
	f.t.Helper()
	var known documented
	decode(f.t, deployed+"mixin/catalogue.json", &known)
	for _, o := range known.Operations {
		if o.Operation != e.Payload.Component {
			continue
		}
		details := e.Payload.CustomDetails
		if details["recovery"] != o.Recovery || details["impact"] != o.Impact || details["operation"] != o.Operation || details["nodes"] != "n4" {
			f.t.Errorf("the details are %v", details)
		}
		if !strings.Contains(details["firing"], "Operation ack.net.ip-forward on net.ipv4.ip_forward of node n4 in cluster c1") || !strings.Contains(details["firing"], o.Recovery) {
			f.t.Errorf("firing: %s", details["firing"])
		}
	}
	want := "net.ipv4.ip_forward of node n4 is out of support: net.ipv4.ip_forward was set to 0"
	if e.Payload.Summary != want || e.Payload.Severity != "critical" || e.Payload.Source != "n4" || e.Payload.Group != "c1" || e.RoutingKey != strings.Repeat("1", 32) {
		f.t.Errorf("the event is %+v", e)
	}
	if !strings.HasSuffix(e.Links[0].Href, "/docs/runbooks/NodeGuardKernelParameterDrift.md") {
		f.t.Errorf("the link is %v", e.Links)
	}
}

// tellsRolloutOnce changes three of four nodes at once.
func (f *fleet) tellsRolloutOnce() {
	f.t.Helper()
	const name, operation, file = "NodeGuardKubernetesPathDrift", "ack.path.etc-kubernetes", "etc/kubernetes/added"
	for node := 1; node <= 3; node++ {
		f.set(node, file, "by a rollout\n")
	}
	e := f.receiver.Wait("a rollout", pagerduty.Of("trigger", "NodeGuardMassDrift", operation))
	if !strings.Contains(e.Payload.Summary, "on 3 nodes at once") || !strings.HasPrefix(e.Payload.CustomDetails["recovery"], "Stop what changes the nodes") {
		f.t.Errorf("the event is %+v", e)
	}
	eventually(f.t, "the nodes' own alerts are held back", func() error {
		held := 0
		for _, a := range f.known(name) {
			if len(a.Status.InhibitedBy) > 0 {
				held++
			}
		}
		if held != 3 {
			return fmt.Errorf("%d of 3", held)
		}
		return nil
	})
	for node := 1; node <= 3; node++ {
		if err := os.Remove(filepath.Join(f.trees[node-1], file)); err != nil {
			f.t.Fatal(err)
		}
	}
	f.receiver.Wait("the rollout is undone", pagerduty.Of("resolve", "NodeGuardMassDrift", operation))
	if told := f.receiver.Seen(pagerduty.Of("trigger", name, operation)); len(told) > 0 {
		f.t.Errorf("told per node: %+v", told)
	}
}

// tellsOfAgentThatIsDown kills one and starts it again.
func (f *fleet) tellsOfAgentThatIsDown() {
	f.t.Helper()
	f.agents[0].stop()
	e := f.receiver.Wait("an agent is down", pagerduty.Of("trigger", "NodeGuardDown", ""))
	if e.Payload.Source != "n1" || e.Payload.Severity != "warning" || e.RoutingKey != strings.Repeat("2", 32) {
		f.t.Errorf("the event is %+v", e)
	}
	f.startAgent(0, f.agents[0].address)
	f.receiver.Wait("the agent is back", pagerduty.Of("resolve", "NodeGuardDown", ""))
}

// alert is one that Alertmanager knows.
type alert struct {
	Labels map[string]string
	Status struct {
		State       string
		InhibitedBy []string
	}
}

func (f *fleet) known(name string) (out []alert) {
	var all []alert
	if err := get("http://"+f.alertmanager.address+"/api/v2/alerts", &all); err != nil {
		f.t.Error(err)
	}
	for _, a := range all {
		if a.Labels["alertname"] == name {
			out = append(out, a)
		}
	}
	return out
}

// inhibits gives Alertmanager pairs of alerts, each on a node of its own: which
// of them hold others back, and which do not.
func (f *fleet) inhibits() {
	f.t.Helper()
	on := func(node, name, severity string, more ...string) map[string]string {
		out := map[string]string{"alertname": name, "severity": severity, "cluster": "c2", "node": node, "instance": node}
		for i := 0; i < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	const kernel = "KernelParameterDrift"
	pairs := []struct {
		source, target map[string]string
		held           bool
	}{
		{on("a", "NodeGuardDown", "warning"), on("a", "NodeGuardStale", "warning", "check", "paths"), true},
		{on("b", "NodeGuardDown", "warning"), on("b", "NodeGuardBlind", "warning", "condition", kernel), true},
		{on("c", "NodeGuardDown", "warning"), on("other", "NodeGuardStale", "warning"), false},
		{on("d", "NodeGuardDown", "warning"), on("d", "NodeGuardRebuildAdvised", "critical"), false},
		{on("e", "NodeGuardStale", "warning"), on("e", "NodeGuardBlind", "warning", "condition", kernel), true},
		{on("f", "NodeGuard"+kernel, "critical", "condition", kernel, "operation", "x"), on("f", "NodeGuard"+kernel, "warning", "condition", kernel, "operation", "y"), true},
		{on("g", "NodeGuard"+kernel, "warning", "condition", kernel, "operation", "x"), on("g", "NodeGuard"+kernel, "critical", "condition", kernel, "operation", "y"), false},
		{on("h", "NodeGuard"+kernel, "critical", "condition", kernel, "operation", "x"), on("h", "NodeGuardHostConfigDrift", "warning", "condition", "HostConfigDrift", "operation", "y"), false},
		{on("i", "KubeNodeNotReady", "warning"), on("i", "NodeGuardDown", "warning"), true},
		{on("", "NodeGuardMassDrift", "warning", "operation", "roll"), on("j", "NodeGuard"+kernel, "warning", "condition", kernel, "operation", "roll"), true},
		{on("", "NodeGuardMassDrift", "warning", "operation", "roll"), on("k", "NodeGuard"+kernel, "warning", "condition", kernel, "operation", "alone"), false},
	}
	var post []map[string]any
	for _, p := range pairs {
		for _, labels := range []map[string]string{p.source, p.target} {
			post = append(post, map[string]any{"labels": labels, "annotations": map[string]string{
				"summary": "s", "description": "d", "impact": "i", "recovery": "r", "runbook_url": "https://example.com/",
			}})
		}
	}
	body, err := json.Marshal(post)
	if err != nil {
		f.t.Fatal(err)
	}
	r, err := http.Post("http://"+f.alertmanager.address+"/api/v2/alerts", "application/json", bytes.NewReader(body))
	if err != nil || r.StatusCode != http.StatusOK {
		f.t.Fatalf("post alerts: %v %v", r, err)
	}
	_ = r.Body.Close()
	for _, p := range pairs {
		eventually(f.t, fmt.Sprintf("%v holds %v back: %t", p.source, p.target, p.held), func() error {
			for _, a := range f.known(p.target["alertname"]) {
				if a.Labels["node"] == p.target["node"] && a.Labels["operation"] == p.target["operation"] && a.Labels["severity"] == p.target["severity"] && a.Status.State != "unprocessed" {
					if held := len(a.Status.InhibitedBy) > 0; held != p.held {
						return fmt.Errorf("inhibited by %v", a.Status.InhibitedBy)
					}
					return nil
				}
			}
			return fmt.Errorf("not known")
		})
	}
}
