package monitoring

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// rule is an alert or a recording rule.
type rule struct {
	Alert, Record       string
	Expr                string
	For                 string
	KeepFiringFor       string `json:"keep_firing_for"`
	Labels, Annotations map[string]string
}

// rules are the committed ones.
func rules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	decode(t, deployed+"prometheus/rules.yaml", &file)
	var out []rule
	for _, g := range file.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// alerts are the names of the alerts, each once.
func alerts(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, r := range rules(t) {
		if r.Alert != "" && !slices.Contains(out, r.Alert) {
			out = append(out, r.Alert)
		}
	}
	return out
}

func decode(t *testing.T, file string, into any) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

// judge runs one of the tools of Prometheus or Alertmanager, which has to agree.
func judge(t *testing.T, tool string, args ...string) {
	t.Helper()
	path, err := exec.LookPath(tool)
	if err != nil {
		t.Fatalf("%v: hack/test.sh installs it with Debian's packages prometheus and prometheus-alertmanager", err)
	}
	if out, err := exec.Command(path, args...).CombinedOutput(); err != nil {
		t.Errorf("%s %s: %v\n%.4000s", tool, strings.Join(args, " "), err, out)
	}
}

func TestRulesAreValid(t *testing.T) {
	judge(t, "promtool", "check", "rules", "--lint=all", "--lint-fatal", deployed+"prometheus/rules.yaml")
}

// The operator's object has the same groups as the file.
func TestPrometheusRule(t *testing.T) {
	var object struct {
		APIVersion, Kind string
		Spec             struct{ Groups any }
	}
	var file struct{ Groups any }
	decode(t, deployed+"prometheus/prometheusrule.yaml", &object)
	decode(t, deployed+"prometheus/rules.yaml", &file)
	if object.APIVersion != "monitoring.coreos.com/v1" || object.Kind != "PrometheusRule" || fmt.Sprint(object.Spec.Groups) != fmt.Sprint(file.Groups) {
		t.Error("prometheusrule.yaml is not rules.yaml as an object")
	}
}

// One alert for each condition that the code has, and for each a severity.
func TestAlertOfEachCondition(t *testing.T) {
	severities := map[string][]string{}
	for _, r := range rules(t) {
		severities[r.Alert] = append(severities[r.Alert], r.Labels["severity"])
	}
	for _, condition := range catalogued(t).Conditions {
		if got := severities["NodeGuard"+condition]; !slices.Equal(got, []string{"critical", "warning"}) {
			t.Errorf("NodeGuard%s has the severities %v", condition, got)
		}
	}
}

// Every alert says what the receiver shows and where its page is.
func TestAlertsAreComplete(t *testing.T) {
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		for _, name := range []string{"summary", "description", "impact", "recovery", "runbook_url"} {
			if r.Annotations[name] == "" {
				t.Errorf("%s has no %s", r.Alert, name)
			}
		}
		if !strings.HasSuffix(r.Annotations["runbook_url"], "/docs/runbooks/"+r.Alert+".md") {
			t.Errorf("%s: %s", r.Alert, r.Annotations["runbook_url"])
		}
		if s := r.Labels["severity"]; !slices.Contains([]string{"critical", "warning", "info"}, s) && r.Alert != "NodeGuardMassDrift" { // the findings' own
			t.Errorf("%s has severity %q", r.Alert, s)
		}
	}
}

// promtool's own tests see each alert fire, with every word of its annotations, and clear.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	files = append(files, familyTests(t))
	judge(t, "promtool", append([]string{"test", "rules"}, files...)...)

	fires, clears := map[string]bool{}, map[string]bool{}
	for _, file := range files {
		var f struct {
			Tests []struct {
				AlertRuleTest []struct {
					Alertname string
					ExpAlerts []any `json:"exp_alerts"`
				} `json:"alert_rule_test"`
			}
		}
		decode(t, file, &f)
		for _, test := range f.Tests {
			for _, at := range test.AlertRuleTest {
				if len(at.ExpAlerts) > 0 {
					fires[at.Alertname] = true
				} else if fires[at.Alertname] {
					clears[at.Alertname] = true
				}
			}
		}
	}
	for _, name := range alerts(t) {
		if !fires[name] || !clears[name] {
			t.Errorf("no test sees %s fire (%t) and then clear (%t)", name, fires[name], clears[name])
		}
	}
}

// familySeries is a finding that is there for half an hour, with a gap in which the
// agent restarts as another pod. What is waived, pending or only info never fires.
const familySeries = `
  - {series: 'nodeguard_finding_info{%[1]s, severity="%[2]s", state="active", waived="false", pod="a"}', values: '_x4 1x15 stale _x29'}
  - {series: 'nodeguard_finding_info{%[1]s, severity="%[2]s", state="active", waived="false", pod="b"}', values: '_x21 1x13 stale _x15'}
  - {series: 'nodeguard_finding_info{%[1]s, severity="%[2]s", state="active", waived="true", pod="c"}', values: '_x36 1x20'}
  - {series: 'nodeguard_finding_info{%[1]s, severity="%[2]s", state="pending", waived="false", pod="d"}', values: '_x36 1x20'}
  - {series: 'nodeguard_finding_info{%[1]s, severity="info", state="active", waived="false", pod="%[2]s"}', values: '_x36 1x20'}`

// familyFires is what the finding fires.
const familyFires = `
    - exp_labels: {cluster: c1, pool: p1, node: n1, instance: "10.0.0.1:19639", condition: %[2]s, operation: %[3]s, subject: it, severity: %[1]s}
      exp_annotations:
        summary: %[4]q
        description: %[5]q
        impact: %[6]q
        recovery: %[7]q
        runbook_url: https://github.com/nodeguard/nodeguard/blob/main/docs/runbooks/NodeGuard%[2]s.md`

// familyAlert is when: after the time that the severity asks for, and over the gap.
const familyAlert = `
  - {eval_time: 5m, alertname: NodeGuard%[1]s, exp_alerts: []}
  - eval_time: 17m
    alertname: NodeGuard%[1]s
    exp_alerts: &%[1]s%[2]s
  - {eval_time: 20m, alertname: NodeGuard%[1]s, exp_alerts: *%[1]s}
  - {eval_time: 22m, alertname: NodeGuard%[1]s, exp_alerts: *%[1]s}
  - {eval_time: 45m, alertname: NodeGuard%[1]s, exp_alerts: []}`

// familyTests is a test of the conditions' alerts, for one operation each and one
// that the catalogue does not have.
func familyTests(t *testing.T) string {
	t.Helper()
	where, err := filepath.Abs(deployed + "prometheus/rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := catalogued(t)
	notThere := "This operation is not in the catalogue; nodeguard check on the node prints what its configuration says."
	own := operation{Operation: "own.thing", Title: "an operation of the configuration", Impact: notThere, Recovery: notThere}
	var series, alerts strings.Builder
	for i, condition := range c.Conditions {
		var fires strings.Builder
		for _, severity := range []string{"critical", "warning"} {
			o := own
			if i > 0 || severity == "critical" {
				o = c.Operations[slices.IndexFunc(c.Operations, func(o operation) bool { return o.Condition == condition })]
			}
			labels := fmt.Sprintf(`job="nodeguard", cluster="c1", pool="p1", node="n1", instance="10.0.0.1:19639", id="01", operation=%q, subject="it", condition=%q`, o.Operation, condition)
			fmt.Fprintf(&series, familySeries, labels, severity)
			description := fmt.Sprintf("Operation %s on it of node n1 in cluster c1: %s.\nImpact: %s\nRecovery: %s\nThe observed and the supported value are in condition %s of the Node and in the agent's report.\n",
				o.Operation, o.Title, o.Impact, o.Recovery, condition)
			fmt.Fprintf(&fires, familyFires, severity, condition, o.Operation, "it of node n1 is out of support: "+o.Title, description, o.Impact, o.Recovery)
		}
		fmt.Fprintf(&alerts, familyAlert, condition, fires.String())
	}
	file := filepath.Join(t.TempDir(), "families.yaml")
	text := fmt.Sprintf("rule_files: [%s]\nevaluation_interval: 1m\ntests:\n- interval: 1m\n  input_series:%s\n  alert_rule_test:%s\n", where, series.String(), alerts.String())
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
