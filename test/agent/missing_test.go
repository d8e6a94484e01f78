package agent

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// registers is how long a kubelet has to register its Node, and some looks at it.
const registers = 3 * time.Minute

// A Node that was deleted while no agent ran is missed as one that is deleted under its
// eyes: a baseline says that there was one, and its kubelet runs on. There is no Node to
// write that to.
func TestDeletedBeforeTheAgentStarts(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	c := newCluster(t)
	defer kubelet(t, "--max-pods=110")()
	stop := c.agent(t)
	c.settled(t)
	stop()
	was, err := c.Node(context.Background(), node)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.DeleteNode(context.Background(), node); err != nil {
		t.Fatal(err)
	}
	stop = c.agent(t)
	for deadline := time.Now().Add(registers); !strings.Contains(c.logged(t), "Node object"); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the Node is not missed: %s", c.logged(t))
		}
	}
	awaitMetric(t, `nodeguard_condition{condition="NodeIdentityDrift",status="True"} 1`)

	// Registered anew, it is there again, and it is another one.
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}
	n.Status.Conditions = []corev1.NodeCondition{{Type: "Ready", Status: "True", Reason: "KubeletReady"}}
	if err := c.CreateNode(context.Background(), n); err != nil {
		t.Fatal(err)
	}
	c.sees(t, "NodeIdentityDrift", corev1.ConditionTrue, "supported "+string(was.UID), "ack.nodepool.kubectl-delete-node")
	stop()
}
