package consumers

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"
)

// binaries is the environment variable that names the folder of etcd and kube-apiserver.
const binaries = "NODEGUARD_APISERVER"

// root is that of the repository.
const root = "../.."

// cluster is a real etcd and kube-apiserver that know the objects of both consumers.
type cluster struct {
	client.WithWatch
	config     *rest.Config
	kubeconfig string // of the agents' service account
	binary     string // nodeguard
}

// startCluster returns how to stop it, also with an error.
func startCluster(dir string) (*cluster, func(), error) {
	bin := os.Getenv(binaries)
	if bin == "" {
		return nil, func() {}, fmt.Errorf("$%s is not set: run with %s=$(hack/apiserver.sh), as hack/test.sh does", binaries, binaries)
	}
	definitions, err := definitions()
	if err != nil {
		return nil, func() {}, err
	}
	env := &envtest.Environment{CRDDirectoryPaths: definitions, ErrorIfCRDPathMissing: true, ControlPlaneStartTimeout: time.Minute}
	env.ControlPlane.Etcd = &envtest.Etcd{}
	if env.ControlPlane.Etcd.Path, err = mortal(dir, bin, "etcd"); err != nil {
		return nil, func() {}, err
	}
	if env.ControlPlane.GetAPIServer().Path, err = mortal(dir, bin, "kube-apiserver"); err != nil {
		return nil, func() {}, err
	}
	c := &cluster{kubeconfig: filepath.Join(dir, "kubeconfig"), binary: filepath.Join(dir, "nodeguard")}
	stop := func() { _ = env.Stop() }
	if c.config, err = env.Start(); err != nil {
		return nil, stop, err
	}
	if err := clusterv1.AddToScheme(scheme.Scheme); err != nil { // Karpenter's types are in it already
		return nil, stop, err
	}
	if c.WithWatch, err = client.NewWithWatch(c.config, client.Options{}); err != nil {
		return nil, stop, err
	}
	return c, stop, errors.Join(c.admitAgent(env), c.buildAgent())
}

// mortal is a program that does not outlive the tests, however they end.
func mortal(dir, bin, name string) (string, error) {
	path := filepath.Join(dir, name)
	script := fmt.Sprintf("#!/bin/sh\nexec setpriv --pdeathsig KILL '%s' \"$@\"\n", filepath.Join(bin, name))
	return path, os.WriteFile(path, []byte(script), 0o700)
}

// definitions are the custom resources, as the modules of the consumers have them.
func definitions() ([]string, error) {
	var out []string
	for module, files := range map[string][]string{
		"sigs.k8s.io/cluster-api": {
			"core/config/crd/bases/cluster.x-k8s.io_clusters.yaml", "core/config/crd/bases/cluster.x-k8s.io_machines.yaml",
			"core/config/crd/bases/cluster.x-k8s.io_machinehealthchecks.yaml",
		},
		"sigs.k8s.io/karpenter": {"pkg/apis/crds/karpenter.sh_nodeclaims.yaml", "pkg/apis/crds/karpenter.sh_nodepools.yaml"},
	} {
		dir, err := moduleDir(module)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			out = append(out, filepath.Join(dir, file))
		}
	}
	return out, nil
}

func moduleDir(module string) (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("find %s: %w", module, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// admitAgent gives the agent the rights of its manifests, and no more.
func (c *cluster) admitAgent(env *envtest.Environment) error {
	for _, name := range []string{"clusterrole", "clusterrolebinding", "role", "rolebinding"} {
		text, err := os.ReadFile(filepath.Join(root, "deploy/daemonset/base", name+".yaml"))
		if err != nil {
			return err
		}
		object := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(text, object); err != nil {
			return fmt.Errorf("read %s: %w", name, err)
		}
		if err := c.Create(context.Background(), object); err != nil {
			return fmt.Errorf("create the %s: %w", name, err)
		}
	}
	user, err := env.AddUser(envtest.User{Name: "system:serviceaccount:nodeguard:nodeguard"}, nil)
	if err != nil {
		return err
	}
	text, err := user.KubeConfig()
	if err != nil {
		return err
	}
	return os.WriteFile(c.kubeconfig, text, 0o600)
}

func (c *cluster) buildAgent() error {
	build := exec.Command("go", "build", "-C", root, "-o", c.binary, "./cmd/nodeguard")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("build nodeguard: %w\n%s", err, out)
	}
	return nil
}

// create makes an object until the test ends, with its status; the server takes no
// field that it does not know.
func (c *cluster) create(t *testing.T, object client.Object) {
	t.Helper()
	status := object.DeepCopyObject().(client.Object)
	if err := c.Create(t.Context(), object, client.FieldValidation(metav1.FieldValidationStrict)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(c.Delete(context.Background(), object)); err != nil {
			t.Error(err)
		}
	})
	status.SetResourceVersion(object.GetResourceVersion())
	status.SetUID(object.GetUID())
	if err := c.Status().Update(t.Context(), status); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) node(t *testing.T, name string) *corev1.Node {
	t.Helper()
	n := &corev1.Node{}
	if err := c.Get(t.Context(), types.NamespacedName{Name: name}, n); err != nil {
		t.Fatal(err)
	}
	return n
}

// await waits until the Node is as wanted.
func (c *cluster) await(t *testing.T, name, what string, as func(*corev1.Node) bool) *corev1.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	stream, err := c.Watch(ctx, &corev1.NodeList{}, client.MatchingFields{"metadata.name": name})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Stop()
	var last []corev1.NodeCondition
	for {
		select {
		case event := <-stream.ResultChan():
			n, ok := event.Object.(*corev1.Node)
			if !ok {
				t.Fatalf("waiting for %s: the watch ended; last seen: %+v", what, last)
			}
			if last = n.Status.Conditions; as(n) {
				return n
			}
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v; last seen: %+v", what, context.Cause(ctx), last)
		}
	}
}

// patch merges into a Node, or into its status, as the agent does.
func (c *cluster) patch(t *testing.T, name, body string, status bool) {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	patch := client.RawPatch(types.StrategicMergePatchType, []byte(body))
	var err error
	if status {
		err = c.Status().Patch(t.Context(), n, patch)
	} else {
		err = c.Patch(t.Context(), n, patch)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func condition(n *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i, c := range n.Status.Conditions {
		if c.Type == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}
