package deploy_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"

	"github.com/nodeguard/nodeguard/test/apiserver"
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nodeguard-deploy-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	startServer = sync.OnceValues(func() (*apiserver.Server, error) { return apiserver.Start(dir) })
	defer func() {
		if started != nil {
			started.Stop()
		}
	}()
	return m.Run()
}

// startServer is for the tests that need one; those of files alone do without.
var (
	startServer func() (*apiserver.Server, error)
	started     *apiserver.Server
	deployment  sync.Once
)

// cluster is a real API server with nodeguard and its admission policy deployed.
type cluster struct {
	*apiserver.Server
	admin kubernetes.Interface
}

func deployed(t *testing.T) *cluster {
	t.Helper()
	s, err := startServer()
	if err != nil {
		t.Fatal(err)
	}
	started = s
	c := &cluster{Server: s, admin: clientOf(t, s.Config(apiserver.AdminToken))}
	deployment.Do(func() {
		c.apply(t, withComponents(t, "admission-policy", "pods"))
		c.kubeletRights(t)
		c.awaitPolicy(t)
	})
	return c
}

func clientOf(t *testing.T, config *rest.Config) kubernetes.Interface {
	t.Helper()
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// apply is kubectl apply: strict, namespaces first.
func (c *cluster) apply(t *testing.T, o objects) {
	t.Helper()
	client, err := dynamic.NewForConfig(c.Config(apiserver.AdminToken))
	if err != nil {
		t.Fatal(err)
	}
	groups, err := restmapper.GetAPIGroupResources(c.admin.Discovery())
	if err != nil {
		t.Fatal(err)
	}
	mapper := restmapper.NewDiscoveryRESTMapper(groups)
	names := o.names()
	slices.SortStableFunc(names, func(a, b string) int { return rank(a) - rank(b) })
	for _, name := range names {
		u := o[name]
		mapping, err := mapper.RESTMapping(u.GroupVersionKind().GroupKind(), u.GroupVersionKind().Version)
		if err != nil {
			t.Fatal(err)
		}
		body, err := u.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		options := metav1.PatchOptions{FieldManager: "kubectl", FieldValidation: metav1.FieldValidationStrict}
		_, err = client.Resource(mapping.Resource).Namespace(u.GetNamespace()).Patch(t.Context(), u.GetName(), types.ApplyPatchType, body, options)
		if err != nil {
			t.Fatalf("apply %s: %v", name, err)
		}
	}
}

func rank(name string) int {
	if strings.HasPrefix(name, "Namespace ") {
		return 0
	}
	return 1
}

// kubeletRights is what the Node authorizer gives to kubelets elsewhere.
func (c *cluster) kubeletRights(t *testing.T) {
	t.Helper()
	_, err := c.admin.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "kubelets"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:node"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "system:nodes"}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// awaitPolicy waits until a write is denied that only the policy denies.
func (c *cluster) awaitPolicy(t *testing.T) {
	t.Helper()
	c.node(t, "probe")
	agent := c.agent(t, "probe")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for try := 0; ; try++ {
		err := patchStatus(ctx, agent, "probe", fmt.Sprintf(`{"metadata":{"labels":{"try":"%d"}}}`, try))
		if apierrors.IsForbidden(err) && strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'nodeguard'") {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("the policy does not come into force: %v", err)
		}
	}
}

// kubelet is the one of a node.
func (c *cluster) kubelet(t *testing.T, node string) kubernetes.Interface {
	t.Helper()
	config := c.Config(apiserver.AdminToken)
	config.Impersonate = rest.ImpersonationConfig{UserName: "system:node:" + node, Groups: []string{"system:nodes", "system:authenticated"}}
	return clientOf(t, config)
}

// agent has the token that the kubelet would give to the agent's pod on a node.
func (c *cluster) agent(t *testing.T, node string) kubernetes.Interface {
	t.Helper()
	return clientOf(t, c.Config(c.token(t, node)))
}

func (c *cluster) token(t *testing.T, node string) string {
	t.Helper()
	pod, err := c.admin.CoreV1().Pods("nodeguard").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "nodeguard-"},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "nodeguard",
			Containers: []corev1.Container{{Name: "nodeguard", Image: "localhost/nodeguard:dev"}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c.boundToken(t, &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID})
}

// boundToken is one of nodeguard's service account, bound to nothing by nil.
func (c *cluster) boundToken(t *testing.T, to *authenticationv1.BoundObjectReference) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: to}}
	answer, err := c.admin.CoreV1().ServiceAccounts("nodeguard").CreateToken(t.Context(), "nodeguard", request, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.Token
}

// node registers one with all that an agent must not change.
func (c *cluster) node(t *testing.T, name string) *corev1.Node {
	t.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, Labels: map[string]string{"pool": "a"}, Annotations: map[string]string{"acme.example/note": "1"},
			Finalizers:      []string{"acme.example/drain"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "acme.example/v1", Kind: "Machine", Name: name, UID: "1"}},
		},
		Spec: corev1.NodeSpec{ProviderID: "acme:///" + name, Taints: []corev1.Taint{{Key: "pool", Value: "a", Effect: corev1.TaintEffectNoSchedule}}},
		Status: corev1.NodeStatus{
			Capacity:   corev1.ResourceList{corev1.ResourcePods: *resourceOf("110")},
			Addresses:  []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "192.0.2.1"}},
			Conditions: []corev1.NodeCondition{condition("Ready", corev1.ConditionTrue), condition("KernelDeadlock", corev1.ConditionFalse)},
			Images:     []corev1.ContainerImage{{Names: []string{"acme.example/a:1"}, SizeBytes: 1}},
		},
	}
	return c.register(t, n)
}

func (c *cluster) register(t *testing.T, n *corev1.Node) *corev1.Node {
	t.Helper()
	out, err := c.admin.CoreV1().Nodes().Create(t.Context(), n, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		_, _ = c.admin.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`), metav1.PatchOptions{})
		_ = c.admin.CoreV1().Nodes().Delete(ctx, n.Name, metav1.DeleteOptions{})
	})
	return out
}

func (c *cluster) see(t *testing.T, name string) *corev1.Node {
	t.Helper()
	n, err := c.admin.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func condition(kind string, status corev1.ConditionStatus) corev1.NodeCondition {
	return corev1.NodeCondition{Type: corev1.NodeConditionType(kind), Status: status, Reason: "Told", Message: "as it is"}
}

func patchStatus(ctx context.Context, as kubernetes.Interface, node, patch string) error {
	_, err := as.CoreV1().Nodes().Patch(ctx, node, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err
}
