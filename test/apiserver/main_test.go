package apiserver_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

var (
	server *apiserver.Server
	admin  *apiserver.Client
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nodeguard-apiserver-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	if server, err = apiserver.Start(dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer server.Stop()
	if admin, err = apiserver.NewClient(server.Config(apiserver.AdminToken)); err == nil {
		err = admin.Grant(context.Background())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

const (
	kernel = "KernelParameterDrift"
	paths  = "KubernetesPathDrift"
)

// transition is when the agent, by its own account, saw things turn.
var transition = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// node registers a Node for the test, as kubelet would.
func node(t *testing.T, conditions ...corev1.NodeCondition) string {
	t.Helper()
	name := strings.ToLower(t.Name())
	register(t, name, conditions...)
	t.Cleanup(func() { _ = admin.DeleteNode(context.Background(), name) })
	return name
}

func register(t *testing.T, name string, conditions ...corev1.NodeCondition) {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pool": "a"}}}
	n.Status.Conditions = append(conditions, corev1.NodeCondition{Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady"})
	if err := admin.CreateNode(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// exporter is a running one, as the agent has it.
type exporter struct {
	*kube.Exporter
	stop func()
	seen chan kube.Node
}

func export(t *testing.T, name string, config *rest.Config) *exporter {
	t.Helper()
	client, err := kube.NewClient(config)
	if err != nil {
		t.Fatal(err)
	}
	e := &exporter{seen: make(chan kube.Node, 100)}
	e.Exporter, err = kube.New(client, kube.Config{Node: name, Language: drift.English, OnNode: func(n kube.Node) { e.seen <- n }})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		e.Run(ctx)
	}()
	e.stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(e.stop)
	return e
}

// audited is an exporter whose requests are counted; it must not get or list objects.
func audited(t *testing.T, name string) (*exporter, *apiserver.Proxy) {
	t.Helper()
	proxy, err := server.NewProxy()
	if err != nil {
		t.Fatal(err)
	}
	e := export(t, name, server.ConfigAt(proxy.Address, apiserver.AgentToken))
	t.Cleanup(func() {
		e.stop()
		proxy.Close()
		if n := proxy.Count("LIST or GET"); n > 0 {
			t.Errorf("%d GET or LIST requests among %v", n, proxy.Requests())
		}
	})
	return e, proxy
}

// sees waits until the exporter tells a Node as wanted.
func (e *exporter) sees(t *testing.T, what string, as func(kube.Node) bool) kube.Node {
	t.Helper()
	timeout := time.After(30 * time.Second)
	for {
		select {
		case n := <-e.seen:
			if as(n) {
				return n
			}
		case <-timeout:
			t.Fatalf("the exporter never saw %s", what)
		}
	}
}

func (e *exporter) seesNode(t *testing.T) kube.Node {
	t.Helper()
	return e.sees(t, "the Node", func(n kube.Node) bool { return n.Exists })
}

// report is one with the given conditions.
func report(conditions ...drift.Condition) drift.Report {
	return drift.Report{Conditions: conditions}
}

func clear(condition string) drift.Condition {
	return drift.Condition{Type: condition, Status: drift.False, Reason: drift.ReasonInSupport, Message: "all that was looked at is in support", LastTransitionTime: transition}
}

func raised(condition, message string) drift.Condition {
	return drift.Condition{Type: condition, Status: drift.True, Reason: drift.ReasonOutOfSupport, Message: message, LastTransitionTime: transition}
}

func finding(condition, subject string) drift.FindingReport {
	return drift.FindingReport{
		ID: condition + subject, Operation: "ack.net." + subject, Condition: condition, Subject: subject, Observed: "0", Supported: "1",
		State: drift.Active, Severity: drift.Critical, Title: subject,
		Recovery: drift.RecoveryReport{Text: "Set it back.", Commands: []string{"sysctl -w " + subject + "=1"}, Class: drift.Revert},
	}
}

// await waits until the Node is as wanted, through a watch of its own.
func await(t *testing.T, name, what string, as func(*corev1.Node) bool) *corev1.Node {
	t.Helper()
	return awaitWithin(t, 30*time.Second, name, what, as)
}

func awaitWithin(t *testing.T, d time.Duration, name, what string, as func(*corev1.Node) bool) *corev1.Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	n, err := admin.Await(ctx, name, as)
	if err != nil {
		t.Fatalf("waiting for %s: %v; last seen: %+v", what, err, conditions(n))
	}
	return n
}

func conditions(n *corev1.Node) []corev1.NodeCondition {
	if n == nil {
		return nil
	}
	return n.Status.Conditions
}

func condition(n *corev1.Node, kind string) *corev1.NodeCondition {
	for i, c := range conditions(n) {
		if string(c.Type) == kind {
			return &n.Status.Conditions[i]
		}
	}
	return nil
}

// is tells whether a condition has a status and a message.
func is(kind string, status corev1.ConditionStatus, message string) func(*corev1.Node) bool {
	return func(n *corev1.Node) bool {
		c := condition(n, kind)
		return c != nil && c.Status == status && strings.Contains(c.Message, message)
	}
}

func absent(kind string) func(*corev1.Node) bool {
	return func(n *corev1.Node) bool { return n != nil && condition(n, kind) == nil }
}
