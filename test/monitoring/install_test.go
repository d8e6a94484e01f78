package monitoring

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/api/resmap"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

func kustomized(t *testing.T, dir string) resmap.ResMap {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.LoadRestrictions = 0
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// kubectl apply -k: the rules, and the dashboards for the sidecar.
func TestKustomization(t *testing.T) {
	var kinds []string
	for _, object := range kustomized(t, deployed).Resources() {
		kinds = append(kinds, object.GetKind())
		if object.GetNamespace() != "nodeguard" {
			t.Errorf("%s is in namespace %q", object.GetKind(), object.GetNamespace())
		}
		if object.GetKind() == "ConfigMap" && (len(object.GetDataMap()) != 2 || object.GetLabels()["grafana_dashboard"] != "1") {
			t.Errorf("the ConfigMap has %d dashboards and labels %v", len(object.GetDataMap()), object.GetLabels())
		}
		if text := object.MustString(); len(text) > 256<<10 {
			t.Errorf("%s has %d bytes, more than kubectl apply keeps", object.GetKind(), len(text))
		}
	}
	slices.Sort(kinds)
	if !slices.Equal(kinds, []string{"ConfigMap", "PrometheusRule"}) {
		t.Errorf("objects: %v", kinds)
	}
}

// What README.md shows is taken as a user would.
func TestReadme(t *testing.T) {
	page := read(t, deployed+"README.md")
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("%d blocks", len(blocks))
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(root, filepath.Join(dir, "nodeguard")); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	create(t, filepath.Join(overlay, "kustomization.yaml"), blocks[0][1])
	text := ""
	for _, object := range kustomized(t, overlay).Resources() {
		if kind := object.GetKind(); kind == "PodMonitor" || kind == "PrometheusRule" {
			text += object.MustString()
		}
	}
	for _, want := range []string{"targetLabel: pool", "targetLabel: node", "attachMetadata:\n    node: true"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in the PodMonitor", want)
		}
	}
	if n := strings.Count(text, "release: kube-prometheus-stack"); n != 2 {
		t.Errorf("%d objects have the operator's label", n)
	}
	create(t, filepath.Join(dir, "prometheus.yaml"), blocks[1][1])
	create(t, filepath.Join(dir, "rules.yaml"), read(t, deployed+"prometheus/rules.yaml"))
	judge(t, "promtool", "check", "config", filepath.Join(dir, "prometheus.yaml"))
	for _, name := range alerts(t) {
		if !strings.Contains(page, "`"+name+"`") {
			t.Errorf("README.md does not name %s", name)
		}
	}
}

func create(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
