package consumers

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/controllers/clustercache"
	"sigs.k8s.io/cluster-api/core/reconcilers/machinehealthcheck"
	"sigs.k8s.io/cluster-api/util/conditions"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/yaml"
)

// clusterAPI is its MachineHealthCheck reconciler with one health check.
type clusterAPI struct {
	*pool
	check      client.ObjectKey
	reconciler *machinehealthcheck.Reconciler
}

// newClusterAPI runs the documented health check, on the named conditions instead of
// the one in the documentation if there are any.
func newClusterAPI(t *testing.T, p *pool, kinds ...string) repairer {
	t.Helper()
	check := &clusterv1.MachineHealthCheck{}
	if err := yaml.UnmarshalStrict([]byte(snippet(t, "machinehealthcheck")), check); err != nil {
		t.Fatal(err)
	}
	template := check.Spec.Checks.UnhealthyNodeConditions[0]
	for i, kind := range kinds {
		if i == 0 {
			check.Spec.Checks.UnhealthyNodeConditions = nil
		}
		c := template
		c.Type = corev1.NodeConditionType(kind)
		check.Spec.Checks.UnhealthyNodeConditions = append(check.Spec.Checks.UnhealthyNodeConditions, c)
	}
	p.create(t, check)

	manager, err := ctrl.NewManager(p.config, ctrl.Options{
		Metrics: server.Options{BindAddress: "0"}, Controller: config.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	// Its watch of Nodes only says when to look; here the tests do.
	nodes := clustercache.NewFakeClusterCache(p, client.ObjectKey{Namespace: metav1.NamespaceDefault, Name: clusterName}, "machinehealthcheck-watchClusterNodes")
	c := &clusterAPI{pool: p, check: client.ObjectKeyFromObject(check), reconciler: &machinehealthcheck.Reconciler{Client: p, ClusterCache: nodes}}
	if err := c.reconciler.SetupWithManager(t.Context(), manager, controller.Options{}); err != nil {
		t.Fatal(err)
	}
	c.look(t) // the first time it only says that it is not paused
	return c
}

func (c *clusterAPI) look(t *testing.T) verdict {
	t.Helper()
	result, err := c.reconciler.Reconcile(t.Context(), ctrl.Request{NamespacedName: c.check})
	if err != nil {
		t.Fatal(err)
	}
	v := verdict{wait: result.RequeueAfter}
	machines := &clusterv1.MachineList{}
	if err := c.List(t.Context(), machines, client.InNamespace(metav1.NamespaceDefault)); err != nil {
		t.Fatal(err)
	}
	for _, m := range machines.Items {
		if conditions.IsFalse(&m, clusterv1.MachineOwnerRemediatedCondition) { // the order to its owner
			v.repairs = append(v.repairs, m.Name)
		}
	}
	return v
}

// tolerance is how much later than its timeout the health check looks again.
func (c *clusterAPI) tolerance() time.Duration { return time.Second }
