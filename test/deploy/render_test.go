// Package deploy_test holds the manifests together: what kustomize and helm make of
// them is the same, is valid, and does on a real API server what it says.
package deploy_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	k8syaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const (
	daemonset = "../../deploy/daemonset"
	chart     = "../../deploy/helm"
)

// objects are by kind, namespace and name.
type objects map[string]unstructured.Unstructured

func (o objects) names() []string { return slices.Sorted(maps.Keys(o)) }

// without is a copy that lacks some.
func (o objects) without(names ...string) objects {
	out := maps.Clone(o)
	for _, n := range names {
		delete(out, n)
	}
	return out
}

func parse(t *testing.T, manifest string) objects {
	t.Helper()
	out := objects{}
	documents := k8syaml.NewYAMLOrJSONDecoder(strings.NewReader(manifest), 4096)
	for {
		var u unstructured.Unstructured
		err := documents.Decode(&u.Object)
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(u.Object) == 0 {
			continue
		}
		name := fmt.Sprintf("%s %s/%s", u.GetKind(), u.GetNamespace(), u.GetName())
		if _, twice := out[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		out[name] = u
	}
}

// build is kubectl kustomize.
func build(t *testing.T, dir string) string {
	t.Helper()
	options := krusty.MakeDefaultOptions()
	options.Reorder = krusty.ReorderOptionLegacy // kubectl's
	made, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := made.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func kustomized(t *testing.T, dir string) objects {
	t.Helper()
	return parse(t, build(t, dir))
}

// withComponents is an overlay of the base with components, as a user would write it.
func withComponents(t *testing.T, components ...string) objects {
	t.Helper()
	overlay := map[string]any{"resources": []string{daemonset}, "components": []string{}}
	for _, c := range components {
		overlay["components"] = append(overlay["components"].([]string), filepath.Join(daemonset, "components", c))
	}
	text, err := yaml.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	return kustomized(t, overlayOf(t, string(text)))
}

// overlayOf writes a kustomization into a folder of its own, from where paths lead to
// the same places as from here.
func overlayOf(t *testing.T, kustomization string) string {
	t.Helper()
	dir := t.TempDir()
	here, err := filepath.Abs(daemonset)
	if err != nil {
		t.Fatal(err)
	}
	there, err := filepath.Rel(dir, here)
	if err != nil {
		t.Fatal(err)
	}
	kustomization = strings.ReplaceAll(kustomization, daemonset, there)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// template is helm template nodeguard deploy/helm --namespace nodeguard, with values
// as in a file of the user.
func template(values string) (string, error) { return templateAs("nodeguard", "nodeguard", values) }

func templateAs(release, namespace, values string) (string, error) {
	files, err := render(release, namespace, values)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".yaml") {
			fmt.Fprintf(&out, "---\n%s\n", files[name])
		}
	}
	return out.String(), nil
}

// render returns the chart's files by name.
func render(release, namespace, values string) (map[string]string, error) {
	c, err := loader.Load(chart)
	if err != nil {
		return nil, err
	}
	set := map[string]any{}
	if err := yaml.Unmarshal([]byte(values), &set); err != nil {
		return nil, err
	}
	options := common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := util.ToRenderValues(c, set, options, nil)
	if err != nil {
		return nil, err
	}
	return engine.Engine{Strict: true}.RenderWithContext(context.Background(), c, all)
}

func templated(t *testing.T, values string) objects {
	t.Helper()
	text, err := template(values)
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, text)
}
