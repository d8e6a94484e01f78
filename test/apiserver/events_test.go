package apiserver_test

import (
	"context"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func TestEvents(t *testing.T) {
	name := node(t)
	e, proxy := audited(t, name)
	e.seesNode(t)
	e.Publish(report(clear(kernel), clear(paths), clear(drift.NodeRebuildAdvised)))
	n := await(t, name, "the first conditions", is(paths, "False", ""))

	bad := report(raised(kernel, "two of them"), clear(paths), raised(drift.NodeRebuildAdvised, "needs another node"))
	bad.Findings = []drift.FindingReport{finding(kernel, "ip_forward"), finding(kernel, "rp_filter")}
	info := finding(kernel, "only-info")
	info.Severity = drift.Info
	bad.Findings = append(bad.Findings, info)
	e.Publish(bad)
	e.Publish(bad)
	event := awaitEvent(t, name, "KernelParameterDriftDetected")
	if event.Type != "Warning" || event.Action != "Detect" || event.ReportingController != "nodeguard.io/agent" || event.ReportingInstance != name ||
		event.Regarding.UID != n.UID || event.Regarding.Kind != "Node" || event.Namespace != "default" {
		t.Errorf("the event is %+v", event)
	}
	want := "ip_forward is 0, supported 1 (ack.net.ip_forward). Recovery: Set it back. [sysctl -w ip_forward=1]; " +
		"rp_filter is 0, supported 1 (ack.net.rp_filter). Recovery: Set it back. [sysctl -w rp_filter=1]"
	if event.Note != want {
		t.Errorf("note\n got %s\nwant %s", event.Note, want)
	}
	if event := awaitEvent(t, name, "NodeRebuildAdvisedDetected"); event.Note != "needs another node" {
		t.Errorf("the aggregate's note is %q", event.Note)
	}
	e.stop()

	// The next run finds it put back, and tells so; what stays True was told.
	next, _ := audited(t, name)
	next.Publish(report(clear(kernel), clear(paths), raised(drift.NodeRebuildAdvised, "needs another node")))
	resolved := awaitEvent(t, name, "KernelParameterDriftResolved")
	if resolved.Type != "Normal" || resolved.Action != "Resolve" || !strings.Contains(resolved.Note, "in support") {
		t.Errorf("the event is %+v", resolved)
	}
	next.stop()
	all, err := admin.Events(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 3 {
		t.Errorf("%d events, want 3: %+v", len(all), all)
	}
	if n := proxy.Count("POST"); n != 2 {
		t.Errorf("%d posts by the first run, want 2", n)
	}
}

func awaitEvent(t *testing.T, name, reason string) *eventsv1.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	event, err := admin.AwaitEvent(ctx, name, reason)
	if err != nil {
		t.Fatal(err)
	}
	return event
}
