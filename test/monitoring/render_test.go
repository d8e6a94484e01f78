package monitoring

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/formatter"
)

// render returns the files that render.jsonnet makes with overrides of _config.
func render(t *testing.T, config string) map[string]string {
	t.Helper()
	vm := jsonnet.MakeVM()
	vm.StringOutput = true
	vm.TLACode("config", config)
	files, err := vm.EvaluateFileMulti(deployed + "render.jsonnet")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// What is committed is what the mixin renders, all of it and nothing else.
func TestRendered(t *testing.T) {
	files := render(t, "{}")
	var want, got []string
	for name, text := range files {
		made(t, deployed+name, text)
		want = append(want, name)
	}
	for _, dir := range []string{"prometheus", "grafana"} {
		names, err := fs.Glob(os.DirFS(deployed), dir+"/*")
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, names...)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-rendered +there):\n%s", diff)
	}
}

// Jsonnet has one form, as Go has.
func TestJsonnetForm(t *testing.T) {
	err := filepath.WalkDir(deployed, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, "sonnet") && !strings.HasSuffix(name, ".jsonnet") {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		formed, err := formatter.Format(name, string(text), formatter.DefaultOptions())
		if err != nil {
			return err
		}
		made(t, name, formed)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Every label, threshold and address of _config arrives in what is rendered.
func TestConfig(t *testing.T) {
	files := render(t, `{
		selector: 'service="guard"', clusterLabel: "k8s_cluster", poolLabel: "node_pool", nodeLabels: ["host"],
		runbookURL: "https://runbooks.example.com", findingFor: {critical: "7s", warning: "8s"}, keepFiringFor: "9s",
		massDriftNodes: 17, massDriftWindow: "3h", massDriftKeepFiringFor: "33m", staleSeconds: 99, outlierNodes: 9, waiverDays: 14, sourceSamples: 7777,
		sourceFallbacks: ["none"], dashboardTags: ["ours"], dashboardRefresh: "5m",
	}`)
	for file, wants := range map[string][]string{
		"prometheus/rules.yaml": {
			`up{service=\"guard\"}`, "max by (k8s_cluster, node_pool, host, operation, subject, condition, severity)", "sum by (k8s_cluster, node_pool, scope)",
			"{{ or $labels.host }}", `runbook_url: "https://runbooks.example.com/NodeGuardMassDrift.md"`, `for: "7s"`, `for: "8s"`, `keep_firing_for: "9s"`,
			"nodeguard:operation_nodes:count >= 17", `keep_firing_for: "33m"`, "younger than 3h", "> 99", ">= 9)", "< 14 * 86400", "> 7777", `source!~"none"`,
		},
		"grafana/nodeguard-fleet.json": {`service=\"guard\", k8s_cluster=~\"$cluster\", node_pool=~\"$pool\"`, "https://runbooks.example.com/NodeGuard${__value.text}.md", `"ours"`, `"5m"`},
		"grafana/nodeguard-node.json":  {`host=~\"$node\"`},
	} {
		for _, want := range wants {
			if !strings.Contains(files[file], want) {
				t.Errorf("%s has no %s", file, want)
			}
		}
	}
}
