package deploy_test

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/yaml"

	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/export/web"
	"github.com/nodeguard/nodeguard/internal/host"
)

var update = flag.Bool("update", false, "write deploy/daemonset/nodeguard.yaml anew")

const (
	theDaemonSet = "DaemonSet nodeguard/nodeguard"
	theConfigMap = "ConfigMap nodeguard/nodeguard"
	theNamespace = "Namespace /nodeguard"
	thePolicy    = "ValidatingAdmissionPolicy /nodeguard"
)

const header = `# What kubectl apply -k deploy/daemonset applies, in one file. Made by:
# go -C test test ./deploy -run TestRendered -update
`

// TestRenderedFileIsFresh compares the file for kubectl apply -f with its source.
func TestRenderedFileIsFresh(t *testing.T) {
	file := filepath.Join(daemonset, "nodeguard.yaml")
	want := header + build(t, daemonset)
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil { //nolint:gosec // a manifest is not secret
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("deploy/daemonset/nodeguard.yaml is stale, run with -update (-want +got):\n%s", diff)
	}
}

// TestHelmRendersTheSame compares object by object. The configuration may differ in
// comments.
func TestHelmRendersTheSame(t *testing.T) {
	for _, c := range []struct {
		name, values string
		want         objects
	}{
		{"default", "", kustomized(t, daemonset).without(theNamespace)},
		{"namespace", "namespace: {create: true}", kustomized(t, daemonset)},
		{"restricted", "{namespace: {create: true}, restricted: true}", kustomized(t, daemonset+"/overlays/restricted")},
		{"admission policy", "{namespace: {create: true}, admissionPolicy: {enabled: true}}", withComponents(t, "admission-policy")},
		{"pods", "{namespace: {create: true}, rbac: {pods: true}}", withComponents(t, "pods")},
		{"pod monitor", "{namespace: {create: true}, podMonitor: {enabled: true}}", withComponents(t, "podmonitor")},
		{"observe", "{namespace: {create: true}, config: {profile: null, language: null, waivers: null, mode: observe}}", kustomized(t, daemonset+"/overlays/observe")},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := templated(t, c.values)
			if diff := cmp.Diff(c.want.names(), got.names()); diff != "" {
				t.Fatalf("objects (-kustomize +helm):\n%s", diff)
			}
			for name := range c.want {
				if diff := cmp.Diff(semantic(t, c.want[name]), semantic(t, got[name])); diff != "" {
					t.Errorf("%s (-kustomize +helm):\n%s", name, diff)
				}
			}
		})
	}
}

// semantic has the configuration as a value instead of a text.
func semantic(t *testing.T, u unstructured.Unstructured) map[string]any {
	t.Helper()
	out := u.DeepCopy().Object
	if u.GetKind() == "ConfigMap" {
		var config map[string]any
		if err := yaml.Unmarshal([]byte(configOf(t, u)), &config); err != nil {
			t.Fatal(err)
		}
		out["data"] = map[string]any{"config.yaml": config}
	}
	return out
}

func configOf(t *testing.T, u unstructured.Unstructured) string {
	t.Helper()
	text, found, err := unstructured.NestedString(u.Object, "data", "config.yaml")
	if err != nil || !found {
		t.Fatalf("config.yaml: found %v, %v", found, err)
	}
	return text
}

func TestHelmValuesReachTheirPlace(t *testing.T) {
	got := daemonSet(t, templated(t, `
image: {repository: registry.example/ng, digest: "sha256:`+strings.Repeat("0", 64)+`"}
imagePullSecrets: [{name: pull}]
port: 19640
nodeSelector: {pool: a}
tolerations: []
maxUnavailable: 1
priorityClassName: ""
goMemLimit: 200MiB
podLabels: {team: a}
podAnnotations: {note: b}
extraArgs: [--lang=zh]
extraEnv: [{name: KUBERNETES_SERVICE_HOST, value: 10.0.0.1}]
extraVolumes: [{name: web, secret: {secretName: web}}]
extraVolumeMounts: [{name: web, mountPath: /etc/web, readOnly: true}]
probeScheme: HTTPS
`))
	pod := got.Spec.Template.Spec
	c := pod.Containers[0]
	for what, is := range map[string]bool{
		"image":       c.Image == "registry.example/ng@sha256:"+strings.Repeat("0", 64),
		"pull secret": slices.Equal(pod.ImagePullSecrets, []corev1.LocalObjectReference{{Name: "pull"}}),
		"port":        c.Ports[0].ContainerPort == 19640 && slices.Contains(c.Args, "--web.listen-address=:19640"),
		"pool":        pod.NodeSelector["pool"] == "a",
		"tolerations": len(pod.Tolerations) == 0,
		"pace":        got.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable.IntValue() == 1,
		"priority":    pod.PriorityClassName == "",
		"memory":      slices.Contains(c.Env, corev1.EnvVar{Name: "GOMEMLIMIT", Value: "200MiB"}),
		"label":       got.Spec.Template.Labels["team"] == "a" && got.Spec.Selector.MatchLabels["team"] == "",
		"annotation":  got.Spec.Template.Annotations["note"] == "b",
		"flag":        slices.Contains(c.Args, "--lang=zh"),
		"environment": slices.Contains(c.Env, corev1.EnvVar{Name: "KUBERNETES_SERVICE_HOST", Value: "10.0.0.1"}),
		"volume":      slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == "web" && v.Secret != nil }),
		"mount":       slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "web" && m.MountPath == "/etc/web" && m.ReadOnly }),
		"probes":      c.LivenessProbe.HTTPGet.Scheme == "HTTPS" && c.ReadinessProbe.HTTPGet.Scheme == "HTTPS",
	} {
		if !is {
			t.Errorf("%s is not as in the values", what)
		}
	}
}

// TestHelmReleaseOfAnotherName finds no leftover of the usual name and namespace.
func TestHelmReleaseOfAnotherName(t *testing.T) {
	text, err := templateAs("red", "blue", "{namespace: {create: true}, admissionPolicy: {enabled: true}, podMonitor: {enabled: true}, rbac: {pods: true}}")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range parse(t, text).names() {
		kind, name, _ := strings.Cut(object, " ")
		want := []string{"/red-nodeguard", "/red-nodeguard-pods", "blue/red-nodeguard", "default/red-nodeguard"}
		if kind == "Namespace" {
			want = []string{"/blue"}
		}
		if !slices.Contains(want, name) {
			t.Errorf("%s is named %s", kind, name)
		}
	}
	for _, want := range []string{"system:serviceaccount:blue:red-nodeguard'", "serviceAccountName: red-nodeguard\n", "policyName: red-nodeguard\n", "app.kubernetes.io/instance: red\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not there", want)
		}
	}
	for _, leftover := range []string{"namespace: nodeguard", "instance: nodeguard"} {
		if strings.Contains(text, leftover) {
			t.Errorf("%q is there", leftover)
		}
	}
}

// TestHelmNotes renders what helm install prints.
func TestHelmNotes(t *testing.T) {
	for values, want := range map[string]string{"": "NodeOutOfSupport", "{config: {mode: observe}}": "writes nothing to it"} {
		files, err := render("nodeguard", "nodeguard", values)
		if err != nil {
			t.Fatal(err)
		}
		if notes := files["nodeguard/templates/NOTES.txt"]; !strings.Contains(notes, want) {
			t.Errorf("%q is not in the notes:\n%s", want, notes)
		}
	}
}

func TestHelmSchemaRejects(t *testing.T) {
	for name, values := range map[string]string{
		"a key that is not there":   "{restrict: true}",
		"a nested key":              "{image: {repo: x}}",
		"a mode":                    "{config: {mode: watch}}",
		"a language":                "{config: {language: de}}",
		"a port":                    "{port: 0}",
		"a text for a truth":        `{restricted: "yes"}`,
		"a pull policy":             "{image: {pullPolicy: Sometimes}}",
		"a digest":                  "{image: {digest: abc}}",
		"a pace":                    "{maxUnavailable: 0%}",
		"a memory limit":            "{goMemLimit: 96M}",
		"a waiver without a reason": "{config: {waivers: [{operation: a.b}]}}",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := template(values); err == nil || !strings.Contains(err.Error(), "don't meet the specifications of the schema") {
				t.Errorf("%s: error %v, want one of the schema", values, err)
			}
		})
	}
}

// TestRestrictedDiffersInOneCapability says what the overlay costs.
func TestRestrictedDiffersInOneCapability(t *testing.T) {
	base, restricted := kustomized(t, daemonset), kustomized(t, daemonset+"/overlays/restricted")
	for _, name := range base.without(theDaemonSet).names() {
		if diff := cmp.Diff(base[name].Object, restricted[name].Object); diff != "" {
			t.Errorf("%s (-base +restricted):\n%s", name, diff)
		}
	}
	want, got := daemonSet(t, base), daemonSet(t, restricted)
	add := &want.Spec.Template.Spec.Containers[0].SecurityContext.Capabilities.Add
	if i := slices.Index(*add, "SYS_ADMIN"); i < 0 {
		t.Error("the base has no SYS_ADMIN")
	} else {
		*add = slices.Delete(*add, i, i+1)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("DaemonSet (-base without SYS_ADMIN +restricted):\n%s", diff)
	}
}

func TestObserveDiffersInTheConfiguration(t *testing.T) {
	base, observe := kustomized(t, daemonset), kustomized(t, daemonset+"/overlays/observe")
	for _, name := range base.without(theConfigMap).names() {
		if diff := cmp.Diff(base[name].Object, observe[name].Object); diff != "" {
			t.Errorf("%s (-base +observe):\n%s", name, diff)
		}
	}
}

// TestConfigurationIsAccepted reads what the agents will read.
func TestConfigurationIsAccepted(t *testing.T) {
	for name, c := range map[string]struct {
		objects objects
		observe bool
	}{
		"base":    {kustomized(t, daemonset), false},
		"observe": {kustomized(t, daemonset+"/overlays/observe"), true},
		"helm":    {templated(t, ""), false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := config.Parse("config.yaml", []byte(configOf(t, c.objects[theConfigMap])))
			if err != nil {
				t.Fatal(err)
			}
			if got.Observe != c.observe {
				t.Errorf("observe is %v", got.Observe)
			}
		})
	}
}

// all are the objects of every way to deploy.
func all(t *testing.T) map[string]objects {
	t.Helper()
	return map[string]objects{
		"base":       withComponents(t, "admission-policy", "pods", "podmonitor"),
		"restricted": kustomized(t, daemonset+"/overlays/restricted"),
		"observe":    kustomized(t, daemonset+"/overlays/observe"),
	}
}

// TestObjectsAreWhatTheAPIKnows decodes each into its type; a field that is not there
// is an error. The PodMonitor is the Prometheus operator's.
func TestObjectsAreWhatTheAPIKnows(t *testing.T) {
	strict := serializer.NewCodecFactory(scheme.Scheme, serializer.EnableStrict).UniversalDeserializer()
	for name, objects := range all(t) {
		for _, o := range objects.names() {
			u := objects[o]
			if u.GetKind() == "PodMonitor" {
				continue
			}
			text, err := u.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := strict.Decode(text, nil, nil); err != nil {
				t.Errorf("%s: %s: %v", name, o, err)
			}
		}
	}
}

func daemonSet(t *testing.T, o objects) *appsv1.DaemonSet {
	t.Helper()
	out := new(appsv1.DaemonSet)
	u := o[theDaemonSet]
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(u.Object, out, true); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestPrivilege is the promise of docs/deploying.md.
func TestPrivilege(t *testing.T) {
	for name, objects := range all(t) {
		pod := daemonSet(t, objects).Spec.Template.Spec
		c := pod.Containers[0]
		want := []corev1.Capability{"SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH"}
		if name == "restricted" {
			want = want[1:]
		}
		s := c.SecurityContext
		if *s.Privileged || *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem {
			t.Errorf("%s: the container may do more than it should: %+v", name, s)
		}
		if diff := cmp.Diff(&corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: want}, s.Capabilities); diff != "" {
			t.Errorf("%s: capabilities (-want +got):\n%s", name, diff)
		}
		if len(pod.Containers) != 1 || len(pod.InitContainers) != 0 {
			t.Errorf("%s: there are other containers", name)
		}
		for _, m := range c.VolumeMounts {
			if writable := m.MountPath == "/host"+host.StateDir; m.ReadOnly == writable || m.SubPath != "" {
				t.Errorf("%s: mount %+v", name, m)
			}
		}
		if automount := pod.AutomountServiceAccountToken; automount == nil || *automount {
			t.Errorf("%s: a token is mounted automatically", name)
		}
		if !slices.Contains(c.Args, "--web.listen-address="+web.DefaultAddress) || ":"+portOf(c) != web.DefaultAddress {
			t.Errorf("%s: the port is not the agent's: %v, %v", name, c.Args, c.Ports)
		}
	}
}

func portOf(c corev1.Container) string {
	for _, p := range c.Ports {
		if p.Name == "metrics" {
			return strconv.Itoa(int(p.ContainerPort))
		}
	}
	return ""
}

// TestPolicyNamesOurConditions keeps its list and the agent's the same.
func TestPolicyNamesOurConditions(t *testing.T) {
	policy := withComponents(t, "admission-policy")[thePolicy]
	variables, _, err := unstructured.NestedSlice(policy.Object, "spec", "variables")
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(variables, func(v any) bool { return v.(map[string]any)["name"] == "ownConditions" })
	var got []string
	if err := yaml.Unmarshal([]byte(variables[i].(map[string]any)["expression"].(string)), &got); err != nil {
		t.Fatal(err)
	}
	if want := kube.ConditionTypes(); !reflect.DeepEqual(got, want) {
		t.Errorf("the policy lets an agent write %v, which writes %v", got, want)
	}
}
