//go:build e2e

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"

	"github.com/nodeguard/nodeguard/test/apiserver"
)

// A token stolen from one node's disk is good for that Node's conditions alone.
func TestStolenToken(t *testing.T) {
	install(t)
	n, other := cluster.nodes[0], cluster.nodes[1]
	uid := kubectl(t, "-n", "nodeguard", "get", "pod", n.agent(t), "-o", "jsonpath={.metadata.uid}")
	token := n.Run(t, "cat /var/lib/kubelet/pods/"+uid+"/volumes/kubernetes.io~projected/token/token")
	thief, err := apiserver.NewClient(&rest.Config{Host: cluster.admin.Host, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: cluster.pki.ca()}})
	if err != nil {
		t.Fatal(err)
	}
	before := map[string]string{n.Name: foreign(t, n), other.Name: foreign(t, other)}
	condition := func(kind, status string) string {
		return fmt.Sprintf(`{"status":{"conditions":[{"type":%q,"status":%q,"reason":"Forged","message":"forged"}]}}`, kind, status)
	}
	for _, attempt := range []struct{ what, node, body string }{
		{"another Node's condition", other.Name, condition("KernelParameterDrift", "True")},
		{"another Node's annotation", other.Name, `{"metadata":{"annotations":{"nodeguard.io/maintenance-until":"2099-01-01T00:00:00Z"}}}`},
		{"a foreign condition", n.Name, condition("Ready", "False")},
		{"a condition of nobody's", n.Name, condition("Forged", "True")},
		{"a label", n.Name, `{"metadata":{"labels":{"node-role.kubernetes.io/control-plane":""}}}`},
		{"a foreign annotation", n.Name, `{"metadata":{"annotations":{"forged":"x"}}}`},
		{"a finalizer", n.Name, `{"metadata":{"finalizers":["forged.example/x"]}}`},
		{"an owner", n.Name, `{"metadata":{"ownerReferences":[{"apiVersion":"v1","kind":"Node","name":"x","uid":"x"}]}}`},
		{"capacity", n.Name, `{"status":{"capacity":{"forged.example/gpu":"8"}}}`},
		{"an address", n.Name, `{"status":{"addresses":[{"type":"ExternalIP","address":"192.0.2.1"}]}}`},
	} {
		err := thief.Patch(t.Context(), attempt.node, attempt.body, "status")
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
			t.Errorf("%s: %v", attempt.what, err)
		}
	}
	for _, attempt := range []struct{ what, body string }{
		{"a taint", `{"spec":{"taints":[{"key":"forged","effect":"NoExecute"}]}}`},
		{"unschedulable", `{"spec":{"unschedulable":true}}`},
		{"a label", `{"metadata":{"labels":{"forged":"x"}}}`},
	} {
		if err := thief.Patch(t.Context(), n.Name, attempt.body); !apierrors.IsForbidden(err) {
			t.Errorf("%s of the Node itself: %v", attempt.what, err)
		}
	}
	if err := thief.DeleteNode(t.Context(), n.Name); !apierrors.IsForbidden(err) {
		t.Errorf("delete the Node: %v", err)
	}
	for name, was := range before {
		if diff := cmp.Diff(was, foreign(t, named(name))); diff != "" {
			t.Errorf("%s (-before +after):\n%s", name, diff)
		}
	}
	// What is the agent's own is its own: it puts a forged condition right.
	mark := cluster.seen.Mark()
	if err := thief.Patch(t.Context(), n.Name, condition("KernelParameterDrift", "True"), "status"); err != nil {
		t.Errorf("the agent's own condition: %v", err)
	}
	n.sees(t, mark, "a forged condition", "KernelParameterDrift", "True", "forged")
	n.sees(t, mark, "put right", "KernelParameterDrift", "False", "")
}

// After it is uninstalled and pruned no Node has a trace of it.
func TestUninstall(t *testing.T) {
	install(t)
	before := map[string]string{}
	for _, n := range cluster.nodes {
		before[n.Name] = foreign(t, n)
	}
	kubectl(t, "delete", "-k", overlays+"enforce", "--wait")
	for _, n := range cluster.nodes {
		n.Run(t, "! pgrep -x nodeguard")
	}
	prune := exec.CommandContext(context.Background(), os.Getenv("NODEGUARD_E2E_BINARY"), "prune", "--all", "--kubeconfig", cluster.pki.path("admin.conf"))
	out, err := prune.CombinedOutput()
	if err != nil {
		t.Fatal(errors.Join(err, errors.New(string(out))))
	}
	for _, n := range cluster.nodes {
		if !strings.Contains(string(out), n.Name) {
			t.Errorf("prune does not tell of %s: %q", n.Name, out)
		}
		node := kubectl(t, "get", "node", n.Name, "-o", "jsonpath={.metadata}{.spec}{.status.conditions}")
		for _, trace := range append([]string{"nodeguard"}, ours...) {
			if strings.Contains(node, trace) {
				t.Errorf("%s still has %s: %s", n.Name, trace, node)
			}
		}
		if diff := cmp.Diff(before[n.Name], foreign(t, n)); diff != "" {
			t.Errorf("%s, what is not nodeguard's (-before +after):\n%s", n.Name, diff)
		}
	}
	for _, kind := range []string{"namespaces", "clusterroles", "clusterrolebindings", "roles", "rolebindings", "validatingadmissionpolicies", "validatingadmissionpolicybindings"} {
		if left := kubectl(t, "get", kind, "-A", "-o", "name"); strings.Contains(left, "nodeguard") {
			t.Errorf("left over: %s", left)
		}
	}
	installed, tried = false, false
}

func named(name string) *Node {
	for _, n := range cluster.nodes {
		if n.Name == name {
			return n
		}
	}
	return nil
}
