package consumers

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	karpenterv1 "sigs.k8s.io/karpenter/pkg/apis/v1"
)

// first is the node that things happen to; the others of the pool are in support.
const (
	first       = "n1"
	poolSize    = 5 // one in five is what both consumers may repair
	clusterName = "production"
	poolName    = "workers"
)

// pool is a handful of nodes that both consumers take for theirs.
type pool struct{ *cluster }

func newPool(t *testing.T) *pool {
	t.Helper()
	p := &pool{cluster: shared}
	p.create(t, &clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: clusterName, Namespace: metav1.NamespaceDefault},
		Spec: clusterv1.ClusterSpec{
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "FakeCluster", Name: clusterName},
		},
		Status: clusterv1.ClusterStatus{Conditions: []metav1.Condition{
			met(clusterv1.ClusterInfrastructureReadyCondition), met(clusterv1.ClusterControlPlaneInitializedCondition),
		}},
	})
	for i := range poolSize {
		p.add(t, fmt.Sprintf("n%d", i+1))
	}
	return p
}

func met(condition string) metav1.Condition {
	return metav1.Condition{Type: condition, Status: metav1.ConditionTrue, Reason: "Test", LastTransitionTime: metav1.Now()}
}

// add registers a ready Node, with the Machine and the NodeClaim that it was made for.
func (p *pool) add(t *testing.T, name string) {
	t.Helper()
	n := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{karpenterv1.NodePoolLabelKey: poolName}},
		Spec:       corev1.NodeSpec{ProviderID: "fake:///" + name},
	}
	n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"}}
	p.create(t, n)
	p.patch(t, name, `{"spec":{"taints":null}}`, false) // a start-up taint keeps a baseline from being recorded
	p.create(t, &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: metav1.NamespaceDefault, Labels: map[string]string{
			clusterv1.ClusterNameLabel: clusterName, clusterv1.MachineDeploymentNameLabel: poolName,
		}},
		Spec: clusterv1.MachineSpec{
			ClusterName:       clusterName,
			Bootstrap:         clusterv1.Bootstrap{DataSecretName: new("bootstrap")},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "infrastructure.cluster.x-k8s.io", Kind: "FakeMachine", Name: name},
		},
		Status: clusterv1.MachineStatus{NodeRef: clusterv1.MachineNodeReference{Name: name}},
	})
	p.create(t, &karpenterv1.NodeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{karpenterv1.NodePoolLabelKey: poolName}},
		Spec: karpenterv1.NodeClaimSpec{
			NodeClassRef: &karpenterv1.NodeClassReference{Group: "karpenter.test.sh", Kind: "TestNodeClass", Name: "default"},
			Requirements: []karpenterv1.NodeSelectorRequirementWithMinValues{},
		},
		Status: karpenterv1.NodeClaimStatus{ProviderID: "fake:///" + name, NodeName: name},
	})
}

// says writes a condition as the agent does, as old as given.
func (p *pool) says(t *testing.T, name string, kind corev1.NodeConditionType, status corev1.ConditionStatus, age time.Duration) {
	t.Helper()
	p.write(t, name, corev1.NodeCondition{
		Type: kind, Status: status, Reason: "OutOfSupport", Message: "written by a test",
		LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.NewTime(time.Now().Add(-age)),
	})
}

// passes makes what the agent wrote look older: so much time has passed since.
func (p *pool) passes(t *testing.T, name string, d time.Duration) {
	t.Helper()
	var older []corev1.NodeCondition
	for _, c := range p.node(t, name).Status.Conditions {
		if c.Type != corev1.NodeReady {
			c.LastHeartbeatTime = metav1.NewTime(c.LastHeartbeatTime.Add(-d))
			c.LastTransitionTime = metav1.NewTime(c.LastTransitionTime.Add(-d))
			older = append(older, c)
		}
	}
	p.write(t, name, older...)
}

func (p *pool) write(t *testing.T, name string, conditions ...corev1.NodeCondition) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": conditions}})
	if err != nil {
		t.Fatal(err)
	}
	p.patch(t, name, string(body), true)
}
