package apiserver_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

func TestRaiseAndClear(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	e.seesNode(t)
	// The version is what the kubelet's is judged by; no object is read for it.
	if got := proxy.Requests(); !slices.Equal(got, []string{"WATCH", apiserver.Version}) {
		t.Errorf("before the first report: %v, want one watch, one question for the version and nothing written", got)
	}

	e.Publish(report(clear(kernel), clear(drift.NodeOutOfSupport)))
	n := await(t, name, "the first conditions", is(kernel, "False", "in support"))
	if c := condition(n, kernel); !c.LastTransitionTime.Time.Equal(transition) || time.Since(c.LastHeartbeatTime.Time) > time.Minute || c.Reason != "InSupport" {
		t.Errorf("the condition is %+v, want reason InSupport, transition %v and a heartbeat now", c, transition)
	}

	turned := transition.Add(time.Hour)
	bad := raised(kernel, "net.ipv4.ip_forward is 0, supported 1")
	bad.LastTransitionTime = turned
	e.Publish(report(bad, clear(drift.NodeOutOfSupport)))
	n = await(t, name, "True", is(kernel, "True", "net.ipv4.ip_forward is 0"))
	if c := condition(n, kernel); !c.LastTransitionTime.Time.Equal(turned) {
		t.Errorf("transition at %v, want %v", c.LastTransitionTime, turned)
	}

	good := clear(kernel)
	good.LastTransitionTime = turned.Add(time.Minute)
	e.Publish(report(good, clear(drift.NodeOutOfSupport)))
	await(t, name, "False again", is(kernel, "False", "in support"))
	e.stop()
	if n := proxy.Count("PATCH"); n != 3 {
		t.Errorf("%d patches for three reports: %v", n, proxy.Requests())
	}
}

func TestNothingToWrite(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	e.seesNode(t)
	e.Publish(report(clear(kernel)))
	await(t, name, "the first conditions", is(kernel, "False", ""))
	for range 100 {
		e.Publish(report(clear(kernel)))
	}
	e.Publish(report(clear(kernel), clear(paths))) // comes after all of them
	await(t, name, "the second condition", is(paths, "False", ""))
	e.stop()
	if n := proxy.Count("PATCH"); n != 2 {
		t.Errorf("%d patches, want 2: equal reports are not written", n)
	}
}

func TestRestartKeepsTransitionTimes(t *testing.T) {
	name := node(t)
	first, _ := audited(t, name)
	first.Publish(report(raised(kernel, "drifted"), clear(paths)))
	await(t, name, "the conditions of the first run", is(kernel, "True", "drifted"))
	first.stop()

	second, _ := audited(t, name)
	second.seesNode(t)
	before, ok := second.Before()
	if !ok || len(before) != 2 || before[0].Status != drift.True || !before[0].LastTransitionTime.Equal(transition) {
		t.Fatalf("before = %+v, %v, want what the first run left", before, ok)
	}
	later := raised(kernel, "drifted, seen anew") // an agent that was not told
	later.LastTransitionTime = transition.Add(24 * time.Hour)
	turned := raised(paths, "drifted meanwhile")
	turned.LastTransitionTime = transition.Add(24 * time.Hour)
	second.Publish(report(later, turned))
	n := await(t, name, "the conditions of the second run", is(paths, "True", "meanwhile"))
	if c := condition(n, kernel); !c.LastTransitionTime.Time.Equal(transition) {
		t.Errorf("the transition time moved to %v over a restart", c.LastTransitionTime)
	}
	if c := condition(n, paths); !c.LastTransitionTime.Time.Equal(turned.LastTransitionTime) {
		t.Errorf("the transition time of what turned is %v, want %v", c.LastTransitionTime, turned.LastTransitionTime)
	}
}

func TestCheckSwitchedOff(t *testing.T) {
	name := node(t, corev1.NodeCondition{Type: "HostConfigDrift", Status: "True", Reason: "OutOfSupport", Message: "of an earlier configuration"})
	e, _ := audited(t, name)
	e.Publish(report(clear(kernel), clear(paths)))
	await(t, name, "a condition of an earlier run to go", absent("HostConfigDrift"))
	await(t, name, "the conditions", is(paths, "False", ""))
	e.Publish(report(clear(kernel)))
	n := await(t, name, "the condition of the check switched off to go", absent(paths))
	if condition(n, kernel) == nil || condition(n, "Ready") == nil {
		t.Errorf("others went with it: %+v", conditions(n))
	}
}

func TestRemovedBySomebodyElse(t *testing.T) {
	name := node(t)
	e, _ := audited(t, name)
	e.Publish(report(raised(kernel, "drifted")))
	await(t, name, "the condition", is(kernel, "True", "drifted"))
	patch(t, name, `{"status":{"conditions":[{"$patch":"delete","type":"`+kernel+`"}]}}`)
	n := awaitWithin(t, 5*time.Second, name, "the condition to come back", is(kernel, "True", "drifted"))
	if c := condition(n, kernel); !c.LastTransitionTime.Time.Equal(transition) {
		t.Errorf("it came back with the transition time %v", c.LastTransitionTime)
	}
}

func patch(t *testing.T, name, body string) {
	t.Helper()
	if err := admin.Patch(t.Context(), name, body, "status"); err != nil {
		t.Fatal(err)
	}
}

// A kubelet writes at the same time, and somebody has a condition of his own.
func TestForeignConditionsUntouched(t *testing.T) {
	foreign := corev1.NodeCondition{Type: "KernelDeadlock", Status: "False", Reason: "KernelHasNoDeadlock", Message: "fine", LastTransitionTime: metav1.NewTime(transition), LastHeartbeatTime: metav1.NewTime(transition)}
	name := node(t, foreign)
	e, _ := audited(t, name)
	const rounds = 50
	var kubelet sync.WaitGroup
	kubelet.Go(func() {
		for i := range rounds {
			body := fmt.Sprintf(`{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady","message":"beat %d"}]}}`, i)
			if err := admin.Patch(t.Context(), name, body, "status"); err != nil {
				t.Errorf("kubelet: %v", err)
			}
		}
	})
	for i := range rounds {
		e.Publish(report(raised(kernel, fmt.Sprintf("round %d", i))))
	}
	kubelet.Wait()
	e.Publish(report(raised(kernel, "last")))
	n := await(t, name, "the last report", is(kernel, "True", "last"))
	if c := condition(n, "Ready"); c.Message != fmt.Sprintf("beat %d", rounds-1) {
		t.Errorf("the kubelet's condition is %+v", c)
	}
	if c := condition(n, "KernelDeadlock"); c == nil || c.Message != "fine" || !c.LastHeartbeatTime.Equal(&foreign.LastHeartbeatTime) {
		t.Errorf("the foreign condition is %+v", c)
	}
}

func TestNodeComesAndGoes(t *testing.T) {
	name := "nodecomesandgoes"
	e, proxy := audited(t, name)
	e.Publish(report(raised(kernel, "before it was registered")))
	register(t, name)
	old := await(t, name, "the condition on the new Node", is(kernel, "True", ""))
	first := e.seesNode(t)

	if err := admin.DeleteNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	e.sees(t, "the Node go", func(n kube.Node) bool { return !n.Exists })
	writes := proxy.Count("PATCH")
	e.Publish(report(raised(kernel, "while it was gone"), clear(paths)))
	register(t, name)
	t.Cleanup(func() { _ = admin.DeleteNode(context.Background(), name) })
	n := await(t, name, "everything on the Node that came back", func(n *corev1.Node) bool {
		return is(kernel, "True", "while it was gone")(n) && is(paths, "False", "")(n)
	})
	if n.UID == old.UID {
		t.Fatal("it is not another Node")
	}
	if again := e.seesNode(t); again.UID == first.UID || again.UID != string(n.UID) {
		t.Errorf("the exporter tells UID %s, want %s", again.UID, n.UID)
	}
	if got := proxy.Count("PATCH") - writes; got != 1 {
		t.Errorf("%d patches for the Node that came back, want 1", got)
	}
}

func TestNodeTold(t *testing.T) {
	name := node(t)
	e, _ := audited(t, name)
	if n := e.seesNode(t); !n.Ready || n.Labels["pool"] != "a" || n.Ending() {
		t.Errorf("the Node is told as %+v", n)
	}
	change := func(body string) {
		t.Helper()
		if err := admin.Patch(t.Context(), name, body); err != nil {
			t.Fatal(err)
		}
	}
	change(`{"metadata":{"annotations":{"nodeguard.io/accept-baseline":"sha256:1234","example.com/other":"x"}}}`)
	n := e.sees(t, "the accepted digest", func(n kube.Node) bool { return n.AcceptBaseline() == "sha256:1234" })
	if len(n.Annotations) != 1 {
		t.Errorf("annotations are %v, want nodeguard's alone", n.Annotations)
	}
	change(`{"metadata":{"annotations":{"nodeguard.io/maintenance-until":"2026-01-02T03:04:05Z"}}}`)
	e.sees(t, "the maintenance", func(n kube.Node) bool { return n.MaintenanceUntil() == "2026-01-02T03:04:05Z" })
	change(`{"metadata":{"annotations":{"nodeguard.io/accept-baseline":null}}}`)
	e.sees(t, "the digest go", func(n kube.Node) bool { return n.AcceptBaseline() == "" })
	change(`{"spec":{"taints":[{"key":"ToBeDeletedByClusterAutoscaler","value":"1","effect":"NoSchedule"}]}}`)
	e.sees(t, "the scale-down", func(n kube.Node) bool { return n.ScalingDown && n.Ending() })
	change(`{"spec":{"taints":null},"metadata":{"finalizers":["example.com/wait"]}}`)
	e.sees(t, "the scale-down called off", func(n kube.Node) bool { return !n.Ending() })
	if err := admin.DeleteNode(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	e.sees(t, "the deletion begin", func(n kube.Node) bool { return n.Exists && n.Deleting && n.Ending() })
	change(`{"metadata":{"finalizers":null}}`)
	e.sees(t, "the Node go", func(n kube.Node) bool { return !n.Exists })
}

func TestPrune(t *testing.T) {
	mine := corev1.NodeCondition{Type: kernel, Status: "True", Reason: "OutOfSupport", Message: "drifted"}
	name, other := node(t, mine), "prune-other"
	register(t, other, mine)
	register(t, "prune-never-seen")
	t.Cleanup(func() {
		_ = admin.DeleteNode(context.Background(), other)
		_ = admin.DeleteNode(context.Background(), "prune-never-seen")
	})
	mark := `{"metadata":{"annotations":{"nodeguard.io/maintenance-until":"x","example.com/kept":"y"}}}`
	if err := admin.Patch(t.Context(), name, mark); err != nil {
		t.Fatal(err)
	}
	client, err := kube.NewClient(server.Config(apiserver.AdminToken))
	if err != nil {
		t.Fatal(err)
	}

	if err := kube.Prune(t.Context(), client, name); err != nil {
		t.Fatal(err)
	}
	n := await(t, name, "no condition", absent(kernel))
	if _, left := n.Annotations["nodeguard.io/maintenance-until"]; left || n.Annotations["example.com/kept"] != "y" || condition(n, "Ready") == nil {
		t.Errorf("after prune: annotations %v, conditions %+v", n.Annotations, conditions(n))
	}

	pruned, err := kube.PruneAll(t.Context(), client)
	if err != nil || !slices.Equal(pruned, []string{other}) {
		t.Errorf("pruned %v, %v, want the one Node that has a trace left", pruned, err)
	}
	await(t, other, "no condition", absent(kernel))
	if err := kube.Prune(t.Context(), client, "no-such-node"); err == nil {
		t.Error("no error about a Node that does not exist")
	}
}
