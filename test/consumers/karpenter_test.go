package consumers

import (
	"context"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	karpenterv1 "sigs.k8s.io/karpenter/pkg/apis/v1"
	"sigs.k8s.io/karpenter/pkg/cloudprovider/fake"
	"sigs.k8s.io/karpenter/pkg/controllers/node/health"
	karpentertest "sigs.k8s.io/karpenter/pkg/test"
)

// karpenter is its node health controller with a fake cloud.
type karpenter struct {
	*pool
	controller *health.Controller
}

// newKarpenter runs with the documented policy, on the named conditions instead of
// the one in the documentation if there are any.
func newKarpenter(_ *testing.T, p *pool, kinds ...string) repairer {
	cloud := fake.NewCloudProvider()
	cloud.RepairPolicy = CloudProvider{}.RepairPolicies()
	template := cloud.RepairPolicy[0]
	for i, kind := range kinds {
		if i == 0 {
			cloud.RepairPolicy = nil
		}
		policy := template
		policy.ConditionType = corev1.NodeConditionType(kind)
		cloud.RepairPolicy = append(cloud.RepairPolicy, policy)
	}
	return &karpenter{pool: p, controller: health.NewController(indexed(p), cloud, clock.RealClock{}, karpentertest.NewEventRecorder())}
}

// indexed finds NodeClaims by what Karpenter's own client has an index for, and the
// API server does not: without its cache, what it sees is never late.
func indexed(c client.WithWatch) client.Client {
	return interceptor.NewClient(c, interceptor.Funcs{List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, options ...client.ListOption) error {
		claims, ok := list.(*karpenterv1.NodeClaimList)
		if !ok {
			return c.List(ctx, list, options...)
		}
		asked := (&client.ListOptions{}).ApplyOptions(options)
		by := asked.FieldSelector
		asked.FieldSelector = nil
		err := c.List(ctx, claims, asked)
		claims.Items = slices.DeleteFunc(claims.Items, func(n karpenterv1.NodeClaim) bool {
			return by != nil && !by.Matches(fields.Set{"status.providerID": n.Status.ProviderID})
		})
		return err
	}})
}

func (k *karpenter) look(t *testing.T) verdict {
	t.Helper()
	nodes := &corev1.NodeList{}
	if err := k.List(t.Context(), nodes); err != nil {
		t.Fatal(err)
	}
	var v verdict
	for _, n := range nodes.Items {
		result, err := k.controller.Reconcile(t.Context(), &n)
		if err != nil {
			t.Fatal(err)
		}
		if result.RequeueAfter > 0 && (v.wait == 0 || result.RequeueAfter < v.wait) {
			v.wait = result.RequeueAfter
		}
	}
	claims := &karpenterv1.NodeClaimList{}
	if err := k.List(t.Context(), claims); err != nil {
		t.Fatal(err)
	}
	left := map[string]bool{}
	for _, c := range claims.Items {
		left[c.Name] = c.DeletionTimestamp.IsZero()
	}
	for _, n := range nodes.Items {
		if !left[n.Name] {
			v.repairs = append(v.repairs, n.Name)
		}
	}
	return v
}

func (k *karpenter) tolerance() time.Duration { return 0 }
