package deploy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

const (
	raised  = `{"type":"KernelParameterDrift","status":"True","reason":"OutOfSupport","message":"net.ipv4.ip_forward is 0"}`
	cleared = `{"type":"KernelParameterDrift","status":"False","reason":"InSupport","message":"all is well"}`
)

func conditionsPatch(conditions string) string {
	return `{"status":{"conditions":[` + conditions + `]}}`
}

// TestAgentWritesWhatIsItsOwn does what the agent does, one after the other.
func TestAgentWritesWhatIsItsOwn(t *testing.T) {
	c := deployed(t)
	c.node(t, "own")
	agent := c.agent(t, "own")
	for _, step := range []struct{ name, patch string }{
		{"add a condition", conditionsPatch(cleared)},
		{"change it", conditionsPatch(raised)},
		{"add the others", conditionsPatch(ours())},
		{"remove one", conditionsPatch(`{"$patch":"delete","type":"KernelParameterDrift"}`)},
		{"add an annotation", `{"metadata":{"annotations":{"nodeguard.io/identity":"sha256:1"}}}`},
		{"change it", `{"metadata":{"annotations":{"nodeguard.io/identity":"sha256:2"}}}`},
		{"remove it", `{"metadata":{"annotations":{"nodeguard.io/identity":null}}}`},
		{"both at once", `{"metadata":{"annotations":{"nodeguard.io/identity":"sha256:3"}},"status":{"conditions":[` + raised + `]}}`},
	} {
		before := c.see(t, "own")
		if err := patchStatus(t.Context(), agent, "own", step.patch); err != nil {
			t.Errorf("%s: %v", step.name, err)
		}
		after := c.see(t, "own")
		if after.ResourceVersion == before.ResourceVersion {
			t.Errorf("%s: nothing changed", step.name)
		}
		if diff := cmp.Diff(foreign(before), foreign(after)); diff != "" {
			t.Errorf("%s changes what is not nodeguard's (-before +after):\n%s", step.name, diff)
		}
	}
}

// TestNodeWithoutAnything has no annotation and no condition before the agent's.
func TestNodeWithoutAnything(t *testing.T) {
	c := deployed(t)
	c.register(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "bare"}})
	agent := c.agent(t, "bare")
	for _, patch := range []string{
		`{"metadata":{"annotations":{"nodeguard.io/identity":"sha256:1"}},"status":{"conditions":[` + raised + `]}}`,
		`{"metadata":{"annotations":{"nodeguard.io/identity":null}},"status":{"conditions":[{"$patch":"delete","type":"KernelParameterDrift"}]}}`,
	} {
		if err := patchStatus(t.Context(), agent, "bare", patch); err != nil {
			t.Errorf("%s: %v", patch, err)
		}
	}
	if n := c.see(t, "bare"); len(n.Annotations)+len(n.Status.Conditions) > 0 {
		t.Errorf("left: %v, %v", n.Annotations, n.Status.Conditions)
	}
}

// ours are all conditions that the agent may write.
func ours() string {
	var out []string
	for _, kind := range kube.ConditionTypes() {
		out = append(out, fmt.Sprintf(`{"type":%q,"status":"False","reason":"InSupport","message":"all is well"}`, kind))
	}
	return strings.Join(out, ",")
}

// foreign is the Node without what is nodeguard's.
func foreign(n *corev1.Node) *corev1.Node {
	n = n.DeepCopy()
	n.ResourceVersion, n.ManagedFields = "", nil
	for key := range n.Annotations {
		if strings.HasPrefix(key, "nodeguard.io/") {
			delete(n.Annotations, key)
		}
	}
	own := map[string]bool{}
	for _, kind := range kube.ConditionTypes() {
		own[kind] = true
	}
	var conditions []corev1.NodeCondition
	for _, c := range n.Status.Conditions {
		if !own[string(c.Type)] {
			conditions = append(conditions, c)
		}
	}
	n.Status.Conditions = conditions
	return n
}

// TestAgentIsDenied tries what a thief of the token would: each must be refused by the
// policy, in its words, since RBAC allows it.
func TestAgentIsDenied(t *testing.T) {
	const (
		metadata    = "must not change labels, finalizers, owner references or other metadata"
		annotations = "must not change annotations other than nodeguard.io/*"
		status      = "must not change the status but for conditions"
		conditions  = "must not change conditions of others"
	)
	c := deployed(t)
	for _, attempt := range []struct{ name, patch, why string }{
		{"add a label", `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`, metadata},
		{"change a label", `{"metadata":{"labels":{"pool":"b"}}}`, metadata},
		{"remove a label", `{"metadata":{"labels":{"pool":null}}}`, metadata},
		{"remove all labels", `{"metadata":{"labels":null}}`, metadata},
		{"add a finalizer", `{"metadata":{"finalizers":["nodeguard.io/stay"]}}`, metadata},
		{"remove a finalizer", `{"metadata":{"$deleteFromPrimitiveList/finalizers":["acme.example/drain"]}}`, metadata},
		{"remove all finalizers", `{"metadata":{"finalizers":null}}`, metadata},
		{"add an owner", `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"a","uid":"2"}]}}`, metadata},
		{"remove the owner", `{"metadata":{"ownerReferences":null}}`, metadata},
		{"add an annotation", `{"metadata":{"annotations":{"cluster-autoscaler.kubernetes.io/scale-down-disabled":"true"}}}`, annotations},
		{"add one that looks like ours", `{"metadata":{"annotations":{"nodeguard.io.acme.example/note":"1"}}}`, annotations},
		{"change an annotation", `{"metadata":{"annotations":{"acme.example/note":"2"}}}`, annotations},
		{"remove an annotation", `{"metadata":{"annotations":{"acme.example/note":null}}}`, annotations},
		{"change a condition of the kubelet", conditionsPatch(`{"type":"Ready","status":"False"}`), conditions},
		{"touch its heartbeat", conditionsPatch(`{"type":"Ready","lastHeartbeatTime":"2026-01-02T03:04:05Z"}`), conditions},
		{"remove a condition of others", conditionsPatch(`{"$patch":"delete","type":"KernelDeadlock"}`), conditions},
		{"add a condition of others", conditionsPatch(`{"type":"DiskPressure","status":"True"}`), conditions},
		{"add one that looks like ours", conditionsPatch(`{"type":"kernelParameterDrift","status":"True"}`), conditions},
		{"replace all conditions", `{"status":{"conditions":[{"$patch":"replace"},` + raised + `]}}`, conditions},
		{"hide it among ours", conditionsPatch(ours() + `,{"type":"Ready","status":"Unknown"}`), conditions},
		{"change the capacity", `{"status":{"capacity":{"pods":"500"}}}`, status},
		{"add to the capacity", `{"status":{"capacity":{"acme.example/gpu":"8"}}}`, status},
		{"add an allocatable", `{"status":{"allocatable":{"pods":"1"}}}`, status},
		{"add an address", `{"status":{"addresses":[{"type":"ExternalIP","address":"198.51.100.1"}]}}`, status},
		{"change the kubelet's port", `{"status":{"daemonEndpoints":{"kubeletEndpoint":{"Port":1}}}}`, status},
		{"change the node's information", `{"status":{"nodeInfo":{"kubeletVersion":"v1.0.0"}}}`, status},
		{"remove the images", `{"status":{"images":null}}`, status},
		{"add a volume", `{"status":{"volumesInUse":["kubernetes.io/csi/a"]}}`, status},
		{"add a feature", `{"status":{"features":{"supplementalGroupsPolicy":true}}}`, status},
		{"remove the status", `{"status":null}`, status},
	} {
		t.Run(attempt.name, func(t *testing.T) {
			before := c.node(t, "victim")
			agent := c.agent(t, "victim")
			if err := patchStatus(t.Context(), agent, "victim", conditionsPatch(cleared)); err != nil {
				t.Fatalf("the agent cannot write at all: %v", err)
			}
			err := patchStatus(t.Context(), agent, "victim", attempt.patch)
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'nodeguard'") || !strings.Contains(err.Error(), attempt.why) {
				t.Errorf("error %v, want the policy's %q", err, attempt.why)
			}
			if diff := cmp.Diff(foreign(before), foreign(c.see(t, "victim"))); diff != "" {
				t.Errorf("the Node changed (-before +after):\n%s", diff)
			}
		})
	}
}

// TestSpecStaysAsItIs: a status write leaves the spec alone, and RBAC allows no other.
func TestSpecStaysAsItIs(t *testing.T) {
	c := deployed(t)
	before := c.node(t, "tainted")
	agent := c.agent(t, "tainted")
	const taints = `{"spec":{"unschedulable":true,"taints":[{"key":"pool","effect":"NoExecute","value":"a"}]}}`
	if err := patchStatus(t.Context(), agent, "tainted", taints); err != nil && !apierrors.IsForbidden(err) {
		t.Error(err)
	}
	_, err := agent.CoreV1().Nodes().Patch(t.Context(), "tainted", types.StrategicMergePatchType, []byte(taints), metav1.PatchOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("patch of the Node: error %v, want forbidden", err)
	}
	if diff := cmp.Diff(before.Spec, c.see(t, "tainted").Spec); diff != "" {
		t.Errorf("the spec changed (-before +after):\n%s", diff)
	}
}

// TestTokenIsOfOneNode uses good tokens of nodeguard's in the wrong place.
func TestTokenIsOfOneNode(t *testing.T) {
	c := deployed(t)
	c.node(t, "a")
	c.node(t, "b")
	for name, attempt := range map[string]struct{ token, why string }{
		"stolen from another node": {c.token(t, "a"), `the token is of node "a", not of b`},
		"of no node":               {c.boundToken(t, nil), `the token is of node "", not of b`},
	} {
		t.Run(name, func(t *testing.T) {
			err := patchStatus(t.Context(), clientOf(t, c.Config(attempt.token)), "b", conditionsPatch(cleared))
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), attempt.why) {
				t.Errorf("error %v, want %q", err, attempt.why)
			}
		})
	}
	if n := len(c.see(t, "b").Status.Conditions); n != 2 {
		t.Errorf("%d conditions, want the 2 of others", n)
	}
}

// TestOthersAreNotConcerned writes as the kubelet and as an administrator.
func TestOthersAreNotConcerned(t *testing.T) {
	c := deployed(t)
	c.node(t, "kept")
	if err := patchStatus(t.Context(), c.agent(t, "kept"), "kept", conditionsPatch(raised)); err != nil {
		t.Fatal(err)
	}
	kubelet := `{"status":{"conditions":[{"type":"Ready","status":"False","reason":"KubeletNotReady"}],"capacity":{"pods":"200"},"images":null}}`
	if err := patchStatus(t.Context(), c.kubelet(t, "kept"), "kept", kubelet); err != nil {
		t.Errorf("the kubelet: %v", err)
	}
	if err := patchStatus(t.Context(), c.admin, "kept", `{"metadata":{"labels":{"pool":"b"},"annotations":{"acme.example/note":"2"}}}`); err != nil {
		t.Errorf("an administrator: %v", err)
	}
}

func TestPruneByAnAdministrator(t *testing.T) {
	c := deployed(t)
	before := c.node(t, "pruned")
	if err := patchStatus(t.Context(), c.agent(t, "pruned"), "pruned", `{"metadata":{"annotations":{"nodeguard.io/identity":"sha256:1"}},"status":{"conditions":[`+ours()+`]}}`); err != nil {
		t.Fatal(err)
	}
	client, err := kube.NewClient(c.Config(apiserver.AdminToken))
	if err != nil {
		t.Fatal(err)
	}
	if err := kube.Prune(t.Context(), client, "pruned"); err != nil {
		t.Fatal(err)
	}
	after := c.see(t, "pruned")
	before.ResourceVersion, after.ResourceVersion, before.ManagedFields, after.ManagedFields = "", "", nil, nil
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("a trace is left (-before +after):\n%s", diff)
	}
}

// TestPolicyAffordsALargeNode stays within the server's budget for expressions.
func TestPolicyAffordsALargeNode(t *testing.T) {
	c := deployed(t)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "large", Labels: map[string]string{}, Annotations: map[string]string{}}}
	for i := range 200 {
		n.Labels[fmt.Sprintf("acme.example/label-%d", i)] = strings.Repeat("v", 60)
		n.Annotations[fmt.Sprintf("acme.example/annotation-%d", i)] = strings.Repeat("v", 1000)
		n.Status.Conditions = append(n.Status.Conditions, condition(fmt.Sprintf("Foreign%d", i), corev1.ConditionFalse))
		image := corev1.ContainerImage{SizeBytes: 1}
		for tag := range 5 {
			image.Names = append(image.Names, fmt.Sprintf("acme.example/%s/%d:%d", strings.Repeat("n", 80), i, tag))
		}
		n.Status.Images = append(n.Status.Images, image)
		n.Status.VolumesInUse = append(n.Status.VolumesInUse, corev1.UniqueVolumeName(fmt.Sprintf("kubernetes.io/csi/acme.example^%d", i)))
	}
	c.register(t, n)
	agent := c.agent(t, "large")
	if err := patchStatus(t.Context(), agent, "large", conditionsPatch(ours())); err != nil {
		t.Error(err)
	}
	if err := patchStatus(t.Context(), agent, "large", conditionsPatch(`{"type":"Foreign199","status":"True"}`)); !apierrors.IsForbidden(err) {
		t.Errorf("error %v, want forbidden", err)
	}
}

// TestExporterHasTheRightsItNeeds runs the agent's exporter with the manifests' rights
// under the policy: conditions and events come and go.
func TestExporterHasTheRightsItNeeds(t *testing.T) {
	c := deployed(t)
	before := c.node(t, "exported")
	client, err := kube.NewClient(c.Config(c.token(t, "exported")))
	if err != nil {
		t.Fatal(err)
	}
	exporter, err := kube.New(client, kube.Config{Node: "exported", Language: drift.English})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		exporter.Run(ctx)
	}()
	defer func() {
		cancel()
		<-done
	}()
	watcher, err := apiserver.NewClient(c.Config(apiserver.AdminToken))
	if err != nil {
		t.Fatal(err)
	}
	drifted := drift.Condition{Type: "KernelParameterDrift", Status: drift.True, Reason: drift.ReasonOutOfSupport, Message: "net.ipv4.ip_forward is 0", LastTransitionTime: time.Now()}
	exporter.Publish(drift.Report{Conditions: []drift.Condition{drifted}})
	is := func(status corev1.ConditionStatus) func(*corev1.Node) bool {
		return func(n *corev1.Node) bool {
			for _, c := range n.Status.Conditions {
				if c.Type == "KernelParameterDrift" {
					return c.Status == status
				}
			}
			return status == ""
		}
	}
	if n, err := watcher.Await(ctx, "exported", is(corev1.ConditionTrue)); err != nil {
		t.Fatalf("raise: %v, %s", err, text(n))
	}
	if _, err := watcher.AwaitEvent(ctx, "exported", "KernelParameterDriftDetected"); err != nil {
		t.Fatal(err)
	}
	exporter.Publish(drift.Report{})
	n, err := watcher.Await(ctx, "exported", is(""))
	if err != nil {
		t.Fatalf("remove: %v, %s", err, text(n))
	}
	if diff := cmp.Diff(foreign(before), foreign(n)); diff != "" {
		t.Errorf("something else changed (-before +after):\n%s", diff)
	}
}

// TestAgentHasNoOtherRights asks the server about the agent's neighbourhood.
func TestAgentHasNoOtherRights(t *testing.T) {
	c := deployed(t)
	c.node(t, "curious")
	agent := c.agent(t, "curious")
	core := agent.CoreV1()
	ctx := t.Context()
	_, secrets := core.Secrets("nodeguard").List(ctx, metav1.ListOptions{})
	_, configs := core.ConfigMaps("nodeguard").Get(ctx, "nodeguard", metav1.GetOptions{})
	_, nodes := core.Nodes().List(ctx, metav1.ListOptions{})
	_, node := core.Nodes().Get(ctx, "curious", metav1.GetOptions{})
	_, update := core.Nodes().UpdateStatus(ctx, c.see(t, "curious"), metav1.UpdateOptions{})
	_, event := agent.EventsV1().Events("default").List(ctx, metav1.ListOptions{})
	for what, err := range map[string]error{
		"list secrets": secrets, "get the configuration": configs, "list nodes": nodes, "get the node": node, "update its status": update,
		"list events": event, "delete the node": core.Nodes().Delete(ctx, "curious", metav1.DeleteOptions{}),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("%s: error %v, want forbidden", what, err)
		}
	}
}

func text(v any) string {
	out, _ := json.Marshal(v)
	return string(out)
}

func resourceOf(q string) *resource.Quantity {
	out := resource.MustParse(q)
	return &out
}
