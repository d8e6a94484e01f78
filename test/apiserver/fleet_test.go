package apiserver_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/export/web"
	"github.com/nodeguard/nodeguard/internal/fleet"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

func reader(t *testing.T, config *rest.Config) *kube.Reader {
	t.Helper()
	r, err := kube.NewReader(config)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// More Nodes than a page holds, of a server that has meanwhile forgotten the first page.
func TestFleetInPages(t *testing.T) {
	const nodes = 503
	var create errgroup.Group
	create.SetLimit(16)
	for i := range nodes {
		create.Go(func() error {
			n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("fleet-%03d", i), Labels: map[string]string{"pool": "fleet"}}}
			n.Status.Conditions = []corev1.NodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
				{Type: drift.NodeOutOfSupport, Status: corev1.ConditionFalse, Reason: "InSupport", LastTransitionTime: metav1.NewTime(transition), LastHeartbeatTime: metav1.NewTime(transition)},
				{Type: kernel, Status: corev1.ConditionFalse, Reason: "InSupport", Message: "all that was looked at is in support"},
			}
			return admin.CreateNode(t.Context(), n)
		})
	}
	if err := create.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for i := range nodes {
			_ = admin.DeleteNode(context.Background(), fmt.Sprintf("fleet-%03d", i))
		}
	})
	if err := server.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	var pages, expired atomic.Int32
	aging := server.Config(apiserver.AdminToken)
	aging.Wrap(func(next http.RoundTripper) http.RoundTripper { return &ager{next, &pages, &expired} })
	for name, config := range map[string]*rest.Config{"fresh": server.Config(apiserver.AdminToken), "expired": aging} {
		got, err := reader(t, config).Nodes(t.Context(), kube.Selection{Labels: "pool=fleet"})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(got) != nodes || got[0].Name != "fleet-000" || got[nodes-1].Name != "fleet-502" {
			t.Fatalf("%s: %d nodes, the first %+v", name, len(got), got[0])
		}
		if c := got[0].Conditions; len(c) != 2 || c[0].Type != kernel || !c[1].Heartbeat.Equal(transition) || c[1].Status != drift.False {
			t.Errorf("%s: conditions are %+v", name, c)
		}
	}
	if pages.Load() != 3 || expired.Load() != 1 {
		t.Errorf("%d requests, %d of them answered 410", pages.Load(), expired.Load())
	}
	one, err := reader(t, server.Config(apiserver.AdminToken)).Nodes(t.Context(), kube.Selection{Fields: "metadata.name=fleet-007"})
	if err != nil || len(one) != 1 {
		t.Errorf("by field: %+v, %v", one, err)
	}
}

// ager makes the first continued list one of long ago.
type ager struct {
	next           http.RoundTripper
	pages, expired *atomic.Int32
}

func (a *ager) RoundTrip(r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	if token := query.Get("continue"); token != "" && a.pages.Load() == 1 {
		var at map[string]any
		if data, err := base64.RawURLEncoding.DecodeString(token); err != nil || json.Unmarshal(data, &at) != nil {
			return nil, fmt.Errorf("a continue token of another kind: %q", token)
		}
		at["rv"] = 1
		data, _ := json.Marshal(at)
		query.Set("continue", base64.RawURLEncoding.EncodeToString(data))
		r = r.Clone(r.Context())
		r.URL.RawQuery = query.Encode()
	}
	a.pages.Add(1)
	answer, err := a.next.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusGone {
		a.expired.Add(1)
	}
	return answer, err
}

// core is a client of everything that a test needs besides Nodes.
func core(t *testing.T) rest.Interface {
	t.Helper()
	scheme := runtime.NewScheme()
	_ = corev1.AddToScheme(scheme)
	config := server.Config(apiserver.AdminToken)
	config.APIPath, config.GroupVersion, config.QPS = "/api", &corev1.SchemeGroupVersion, -1
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	c, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// agentPod is a running one on a Node whose port is served at address.
func agentPod(t *testing.T, c rest.Interface, name, node, address string) {
	t.Helper()
	host, port, _ := net.SplitHostPort(address)
	number := intstr.Parse(port)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app.kubernetes.io/name": "nodeguard"}}}
	pod.Spec.NodeName = node
	pod.Spec.Containers = []corev1.Container{{Name: "nodeguard", Image: "nodeguard", Ports: []corev1.ContainerPort{{Name: "metrics", ContainerPort: number.IntVal}}}}
	if err := c.Post().Namespace("nodeguard").Resource("pods").Body(pod).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	status := fmt.Sprintf(`{"status":{"phase":"Running","podIP":%q,"podIPs":[{"ip":%q}]}}`, host, host)
	err := c.Patch(types.StrategicMergePatchType).Namespace("nodeguard").Resource("pods").Name(name).SubResource("status").Body([]byte(status)).Do(t.Context()).Error()
	if err != nil {
		t.Fatal(err)
	}
}

// ownAddress is an address of this machine that is not loopback, to which the API server
// passes nothing on.
func ownAddress(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.To4() != nil && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	t.Skip("this machine has loopback addresses alone, and an API server connects to no pod there")
	return ""
}

func listen(t *testing.T, address string, h http.Handler, secure bool) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", net.JoinHostPort(address, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}} //nolint:gosec // a test's
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return l.Addr().String()
}

// The report comes through pods/proxy of a real API server where the agent lets it; why
// it does not is said.
func TestReportThroughTheServer(t *testing.T) {
	address, c := ownAddress(t), core(t)
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "nodeguard"}}
	if err := c.Post().Resource("namespaces").Body(namespace).Do(t.Context()).Error(); err != nil {
		t.Fatal(err)
	}
	agent := web.Handler(web.Options{Metrics: http.NotFoundHandler(), Report: func() drift.Report {
		r := drift.Judge(drift.Policy{Node: "n", Profile: "ack"}, drift.Report{}, nil, time.Now())
		r.Findings = append(r.Findings, finding(kernel, "net.ipv4.ip_forward"))
		return r
	}})
	local := listen(t, "127.0.0.1", agent, false)
	sidecar := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: local}) }}
	agentPod(t, c, "nodeguard-plain", "n-plain", listen(t, address, agent, false))
	agentPod(t, c, "nodeguard-sidecar", "n-sidecar", listen(t, address, sidecar, false))
	agentPod(t, c, "nodeguard-tls", "n-tls", listen(t, address, sidecar, true))
	agentPod(t, c, "nodeguard-gone", "n-gone", net.JoinHostPort(address, "1"))

	ask := reader(t, server.Config(apiserver.AdminToken))
	for _, node := range []string{"n-sidecar", "n-tls"} {
		got, err := ask.Report(t.Context(), "nodeguard", node)
		if err != nil || len(got.Findings) != 1 || got.Findings[0].Recovery.Commands[0] == "" || got.Profile != "ack" {
			t.Errorf("%s: %+v, %v", node, got, err)
		}
	}
	stranger := reader(t, server.Config(apiserver.AgentToken))
	for _, refused := range []struct {
		reader     *kube.Reader
		node, want string
	}{
		{ask, "n-plain", "the agent in pod nodeguard-plain shows its report on its own node only, or to who authenticates (403)"},
		{ask, "n-gone", "ask the agent in pod nodeguard-gone: error trying to reach service: dial tcp " + net.JoinHostPort(address, "1") + ": connect: connection refused"},
		{ask, "n-none", "no agent runs on it in namespace nodeguard"},
		{stranger, "n-plain", `find the agent's pod: pods is forbidden: User "system:serviceaccount:nodeguard:nodeguard" cannot list resource "pods" in API group "" in the namespace "nodeguard"`},
	} {
		if _, err := refused.reader.Report(t.Context(), "nodeguard", refused.node); err == nil || err.Error() != refused.want {
			t.Errorf("%s:\n got %v\nwant %s", refused.node, err, refused.want)
		}
	}
}

// What the exporter writes is what the list reads.
func TestFleetReadsWhatAgentsWrite(t *testing.T) {
	name := node(t)
	e, _ := audited(t, name)
	support := raised(drift.NodeOutOfSupport, kernel)
	e.Publish(report(raised(kernel, "net.ipv4.ip_forward is 0, supported 1 (ack.net.ip-forward)"), support))
	await(t, name, "the conditions", is(drift.NodeOutOfSupport, "True", kernel))
	n, err := reader(t, server.Config(apiserver.AdminToken)).Node(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	row := fleet.Rows([]fleet.Node{n}, func(string) (drift.Severity, bool) { return drift.Critical, true }, time.Now())[0]
	if row.Support != fleet.OutOfSupport || row.Critical.String() != "1" || !row.Since.Equal(transition) || !strings.HasPrefix(row.First, "net.ipv4.ip_forward is 0") {
		t.Errorf("%+v", row)
	}
}
