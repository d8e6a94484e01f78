package consumers

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/eks/types"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// The page shows the very code that the tests run.
func TestTheKarpenterPolicyIsTheOneThatIsTested(t *testing.T) {
	code, err := os.ReadFile("policy.go")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(code), snippet(t, "karpenter")) {
		t.Error("docs/consumers.md does not show what is in policy.go")
	}
}

// The chart in Karpenter's module knows the gate by its name, and has it closed.
func TestTheKarpenterGate(t *testing.T) {
	dir, err := moduleDir("sigs.k8s.io/karpenter")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "kwok/charts/values.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	type values struct {
		Settings struct {
			FeatureGates map[string]bool `json:"featureGates"`
		} `json:"settings"`
	}
	var chart, documented values
	if err := yaml.Unmarshal(text, &chart); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(snippet(t, "karpenter-gate")), &documented); err != nil {
		t.Fatal(err)
	}
	if len(documented.Settings.FeatureGates) == 0 {
		t.Error("the snippet opens no gate")
	}
	for name, open := range documented.Settings.FeatureGates {
		if byDefault, known := chart.Settings.FeatureGates[name]; !known || byDefault || !open {
			t.Errorf("gate %s: known %v, open by default %v, opened %v", name, known, byDefault, open)
		}
	}
}

// The SDK's types are those of the API that takes the configuration.
func TestTheNodeRepairConfigOfEKS(t *testing.T) {
	config := types.NodeRepairConfig{}
	decoder := json.NewDecoder(bytes.NewReader([]byte(snippet(t, "eks"))))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&config); err != nil {
		t.Fatal(err)
	}
	if config.MaxUnhealthyNodeThresholdCount != nil && config.MaxUnhealthyNodeThresholdPercentage != nil ||
		config.MaxParallelNodesRepairedCount != nil && config.MaxParallelNodesRepairedPercentage != nil {
		t.Error("a count and a percentage exclude each other")
	}
	if len(config.NodeRepairConfigOverrides) == 0 {
		t.Fatal("the snippet overrides nothing")
	}
	for _, o := range config.NodeRepairConfigOverrides {
		if o.MinRepairWaitTimeMins == nil || *o.MinRepairWaitTimeMins < 1 || o.NodeMonitoringCondition == nil || o.NodeUnhealthyReason == nil {
			t.Errorf("all four have to be given: %+v", o)
		}
		if !slices.Contains(o.RepairAction.Values(), o.RepairAction) {
			t.Errorf("the API has no action %q", o.RepairAction)
		}
	}
}

// All that the page says of conditions holds for those that a real agent writes.
func TestThePageNamesWhatTheAgentWrites(t *testing.T) {
	p := newPool(t)
	h := p.host(t)
	h.forwards(t, "0")
	h.agent(t)
	raised := h.sees(t, outOfSupport, corev1.ConditionTrue, "OutOfSupport")
	written := map[string]bool{}
	for _, c := range p.node(t, first).Status.Conditions {
		written[string(c.Type)] = c.Type != corev1.NodeReady
	}
	for _, kind := range slices.Concat(families, aggregates) {
		if !written[kind] {
			t.Errorf("the agent wrote no %s", kind)
		}
		delete(written, kind)
	}
	delete(written, string(corev1.NodeReady))
	if len(written) > 0 {
		t.Errorf("the tests do not know of %v", written)
	}

	ours := regexp.MustCompile(`\b(Node[A-Z]\w*(?:Support|Advised)|\w+Drift|\w+Interference)\b`)
	for name, text := range snippets(t) {
		for _, kind := range ours.FindAllString(text, -1) {
			if !slices.Contains(slices.Concat(families, aggregates), kind) && kind != raised.Reason {
				t.Errorf("snippet %s names %s, which the agent does not write", name, kind)
			}
		}
	}
	if !strings.Contains(snippet(t, "eks"), `"`+raised.Reason+`"`) {
		t.Errorf("the reason in the snippet for EKS is not the agent's, %s", raised.Reason)
	}
}

// What cannot run here is at least well formed, and the two that belong together agree.
func TestSnippetsAreWellFormed(t *testing.T) {
	for name, kind := range map[string]string{
		"nodehealthcheck": rebuild, "gardener": rebuild, "draino": rebuild, "node-readiness": outOfSupport,
	} {
		text := snippet(t, name)
		if err := yaml.Unmarshal([]byte(text), &map[string]any{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !regexp.MustCompile(`\b` + kind + `\b`).MatchString(text) {
			t.Errorf("%s does not name %s", name, kind)
		}
	}
	rule := struct {
		Spec struct {
			Taint corev1.Taint `json:"taint"`
		} `json:"spec"`
	}{}
	if err := yaml.Unmarshal([]byte(snippet(t, "node-readiness")), &rule); err != nil {
		t.Fatal(err)
	}
	if flag := "--status-taint=" + rule.Spec.Taint.Key; !strings.Contains(snippet(t, "cluster-autoscaler"), flag) {
		t.Errorf("the snippet for cluster-autoscaler has no %s", flag)
	}
}
