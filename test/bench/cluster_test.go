package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/test/apiserver"
)

const node = "n1"

// cluster is a real API server with the Node of this host.
type cluster struct {
	*apiserver.Client
	server *apiserver.Server
	dir    string
}

func startServer(b *testing.B) *cluster {
	b.Helper()
	for _, args := range []string{ // the API server wants a default route
		"link add eth0 type veth peer name peer0", "address add 192.0.2.2/24 dev eth0", "link set eth0 up", "link set peer0 up", "route add default via 192.0.2.1",
	} {
		run(b, "ip", strings.Fields(args)...)
	}
	c := &cluster{dir: b.TempDir()}
	var err error
	if c.server, err = apiserver.Start(c.dir); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.server.Stop)
	if c.Client, err = apiserver.NewClient(c.server.Config(apiserver.AdminToken)); err != nil {
		b.Fatal(err)
	}
	if err := c.Grant(b.Context()); err != nil {
		b.Fatal(err)
	}
	return c
}

func newCluster(b *testing.B) *cluster {
	b.Helper()
	c := startServer(b)
	if err := c.CreateNode(b.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: node}}); err != nil {
		b.Fatal(err)
	}
	c.patch(b, `{"status":{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady"}]}}`, "status")
	c.patch(b, `{"spec":{"taints":null}}`) // with one that is new no baseline is recorded
	return c
}

func (c *cluster) patch(b *testing.B, body string, subresource ...string) {
	b.Helper()
	if err := c.Patch(b.Context(), node, body, subresource...); err != nil {
		b.Fatal(err)
	}
}

// agent starts one that knows the API server.
func (c *cluster) agent(b *testing.B) *process {
	b.Helper()
	config := c.server.Config(apiserver.AgentToken)
	name := filepath.Join(c.dir, "kubeconfig")
	write(b, name, fmt.Sprintf(`apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: {token: %s}}]
contexts: [{name: c, context: {cluster: c, user: u}}]
current-context: c
`, config.Host, base64.StdEncoding.EncodeToString(config.CAData), config.BearerToken))
	p := startAgent(b, "--kubeconfig", name, "--node-name", node)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	last, err := c.Await(ctx, node, func(n *corev1.Node) bool { return settled(n) })
	if err != nil {
		b.Fatalf("%v: %+v", err, last.Status.Conditions)
	}
	return p
}

// settled tells whether the agent has written that its baseline stands.
func settled(n *corev1.Node) bool {
	for _, c := range n.Status.Conditions {
		if c.Type == "KubernetesPathDrift" {
			return c.Status == corev1.ConditionFalse && c.Reason != drift.ReasonSettling
		}
	}
	return false
}

// messages follows all messages of the Node's conditions, as a consumer would.
func (c *cluster) messages(b *testing.B) <-chan string {
	b.Helper()
	out := make(chan string, 10_000)
	ctx, cancel := context.WithCancel(context.Background())
	b.Cleanup(cancel)
	go func() {
		_, _ = c.Await(ctx, node, func(n *corev1.Node) bool {
			var all []string
			for _, condition := range n.Status.Conditions {
				all = append(all, condition.Message)
			}
			out <- strings.Join(all, "\n")
			return false
		})
	}()
	return out
}
