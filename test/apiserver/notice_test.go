package apiserver_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

// A notice needs no report; one that is told while the Node does not exist waits for it.
func TestNotices(t *testing.T) {
	const name = "notices"
	e := export(t, name, server.Config(apiserver.AgentToken))
	e.Tell(kube.Notice{Reason: "MaintenanceIgnored", Action: "Ignore", Warning: true, Note: "it ends too late"})
	register(t, name)
	event := awaitEvent(t, name, "MaintenanceIgnored")
	if event.Type != corev1.EventTypeWarning || event.Note != "it ends too late" || event.Regarding.Name != name || event.Regarding.UID == "" {
		t.Errorf("%+v", event)
	}
	e.Tell(kube.Notice{Reason: "NodeReinstalled", Action: "Record", Note: "another machine-id"})
	if event := awaitEvent(t, name, "NodeReinstalled"); event.Type != corev1.EventTypeNormal {
		t.Errorf("%+v", event)
	}
}

// The identity is written with the conditions, not before them, and again where
// somebody takes it off.
func TestIdentityAnnotation(t *testing.T) {
	name := node(t)
	e, _ := audited(t, name)
	e.Identify("sha256:1")
	e.Publish(report(clear(kernel)))
	identified := func(digest string) func(*corev1.Node) bool {
		return func(n *corev1.Node) bool {
			return n.Annotations[kube.IdentityDigest] == digest && condition(n, kernel) != nil && condition(n, kernel).Status == corev1.ConditionStatus(drift.False)
		}
	}
	await(t, name, "the identity", identified("sha256:1"))
	e.Identify("sha256:2")
	await(t, name, "another identity", identified("sha256:2"))
	if err := admin.Patch(t.Context(), name, `{"metadata":{"annotations":{"nodeguard.io/identity":null}}}`); err != nil {
		t.Fatal(err)
	}
	await(t, name, "the identity again", identified("sha256:2"))
}

// The profile is written in the patch that brings the first conditions, and again
// when it is another one.
func TestProfileAnnotation(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	judged := func(profile string) func(*corev1.Node) bool {
		return func(n *corev1.Node) bool {
			return n.Annotations[kube.ProfileName] == profile && n.Annotations[kube.IdentityDigest] == "" && condition(n, kernel) != nil
		}
	}
	for _, profile := range []string{"ack", "gke"} {
		r := report(clear(kernel))
		r.Profile = profile
		e.Publish(r)
		await(t, name, "the profile "+profile, judged(profile))
	}
	e.stop()
	if n := proxy.Count("PATCH"); n != 2 {
		t.Errorf("%d patches for two profiles: %v", n, proxy.Requests())
	}
}
