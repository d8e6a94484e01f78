package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"
)

// TestDocumentedManifestsWork takes every YAML block of the page as a user would:
// kustomizations are built, objects are what the API knows.
func TestDocumentedManifestsWork(t *testing.T) {
	page, err := os.ReadFile("../../docs/deploying.md")
	if err != nil {
		t.Fatal(err)
	}
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	base := kustomized(t, daemonset)
	built := map[string]objects{}
	for _, block := range regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1) {
		var head struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal([]byte(block[1]), &head); err != nil {
			t.Fatal(err)
		}
		switch {
		case head.Kind == "Kustomization":
			dir := overlayOf(t, strings.ReplaceAll(block[1], "../nodeguard/deploy/daemonset", daemonset))
			if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte("mode: observe\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			o := kustomized(t, dir)
			for _, name := range base.names() {
				if _, ok := o[name]; !ok {
					t.Errorf("%s is not there with\n%s", name, block[1])
				}
			}
			for _, key := range []string{"images:", "nodeSelector:", "configMapGenerator:"} {
				if strings.Contains(block[1], key) {
					built[key] = o
				}
			}
		case strings.Contains(head.APIVersion, "kyverno"): // not an API of Kubernetes
		default:
			if _, _, err := strict.Decode([]byte(block[1]), nil, nil); err != nil {
				t.Errorf("%v in\n%s", err, block[1])
			}
		}
	}
	if got := daemonSet(t, built["images:"]).Spec.Template.Spec.Containers[0].Image; got != "registry.example.com/nodeguard:v0.1.0" {
		t.Errorf("the image is %s", got)
	}
	if _, ok := built["images:"][thePolicy]; !ok {
		t.Error("the policy is not there")
	}
	if got := daemonSet(t, built["nodeSelector:"]).Spec.Template.Spec.NodeSelector["pool"]; got != "canary" {
		t.Errorf("the pool is %q", got)
	}
	if got := configOf(t, built["configMapGenerator:"][theConfigMap]); got != "mode: observe\n" {
		t.Errorf("the configuration is %q", got)
	}
}

// TestDockerfileBuildsTheSame holds the two ways to an image together.
func TestDockerfileBuildsTheSame(t *testing.T) {
	script, dockerfile, gomod := read(t, "../../hack/image.sh"), read(t, "../../Dockerfile"), read(t, "../../go.mod")
	flags := regexp.MustCompile(`go build -trimpath -ldflags "([^"]*-X main\.version=)`)
	a, b := flags.FindStringSubmatch(script), flags.FindStringSubmatch(dockerfile)
	if a == nil || b == nil || a[1] != b[1] {
		t.Errorf("hack/image.sh builds with %q, the Dockerfile with %q", a, b)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(gomod)[1]
	if !strings.Contains(dockerfile, "golang:"+version+" ") {
		t.Errorf("the Dockerfile does not use Go %s", version)
	}
	for _, label := range regexp.MustCompile(`org\.opencontainers\.image\.\w+="[^"]*"`).FindAllString(dockerfile, -1) {
		key, value, _ := strings.Cut(label, "=")
		if value == `"$VERSION"` || value == `"https://github.com/nodeguard/nodeguard"` {
			value = ""
		}
		if binary := read(t, "../../tools/image/binary.go"); !strings.Contains(binary, key) || !strings.Contains(binary, value) {
			t.Errorf("make image has no label %s", label)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
