//go:build e2e

package cluster

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	machineIP   = "10.99.0.1"
	componentUp = 60 * time.Second
)

// Cluster is a control plane and its nodes.
type Cluster struct {
	pki   *pki
	admin *rest.Config
	nodes []*Node
	seen  *Observer

	server     *Process
	serverArgs []string
}

// control returns the path of a component of the control plane or of a node.
func component(name string) string {
	if name == "etcd" || name == "kube-apiserver" {
		return filepath.Join(os.Getenv("NODEGUARD_APISERVER"), name)
	}
	return filepath.Join(os.Getenv("NODEGUARD_E2E_CLUSTER"), name)
}

// Up brings everything up and returns when both nodes are Ready.
func Up() (*Cluster, error) {
	for _, name := range []string{"NODEGUARD_APISERVER", "NODEGUARD_E2E_CLUSTER", "NODEGUARD_E2E_BINARY", "NODEGUARD_E2E_IMAGE"} {
		if os.Getenv(name) == "" {
			return nil, fmt.Errorf("$%s is not set: run these tests with make e2e", name)
		}
	}
	c := &Cluster{}
	if err := c.startControlPlane(); err != nil {
		return nil, err
	}
	if err := writePauseImage(pauseImage); err != nil {
		return nil, err
	}
	var boot errgroup.Group
	for i := range 2 {
		n := c.newNode(i + 1)
		c.nodes = append(c.nodes, n)
		boot.Go(func() error {
			if err := n.Boot(); err != nil {
				return fmt.Errorf("%s: %w", n.Name, err)
			}
			return nil
		})
	}
	if err := boot.Wait(); err != nil {
		return nil, err
	}
	c.seen = Observe(c.admin)
	for _, n := range c.nodes {
		if err := c.seen.Await(componentUp, n.Name+" Ready", func() bool { return c.seen.ready(n.Name) }); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *Cluster) startControlPlane() (err error) {
	dir := filepath.Join(machineDir, "control")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if c.pki, err = newPKI(dir); err != nil {
		return err
	}
	if err := c.pki.issueFiles("apiserver", "kube-apiserver", nil, machineIP, "10.96.0.1", "kubernetes.default.svc"); err != nil {
		return err
	}
	if err := c.pki.issueFiles("kubelet-client", "apiserver-kubelet", []string{"system:masters"}); err != nil {
		return err
	}
	for name, user := range map[string]string{"kcm": "system:kube-controller-manager", "scheduler": "system:kube-scheduler", "admin": "admin"} {
		var groups []string
		if name == "admin" {
			groups = []string{"system:masters"}
		}
		content, err := c.pki.kubeconfig(user, groups...)
		if err != nil {
			return err
		}
		if err := os.WriteFile(c.pki.path(name+".conf"), []byte(content), 0o600); err != nil {
			return err
		}
	}
	if c.admin, err = clientcmd.BuildConfigFromFlags("", c.pki.path("admin.conf")); err != nil {
		return err
	}
	c.admin.QPS = -1
	if _, err := start("etcd", component("etcd"), "--data-dir="+filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379", "--listen-peer-urls=http://127.0.0.1:2380"); err != nil {
		return err
	}
	c.serverArgs = []string{
		component("kube-apiserver"), "--etcd-servers=http://127.0.0.1:2379", "--bind-address=" + machineIP, "--advertise-address=" + machineIP,
		"--tls-cert-file=" + c.pki.path("apiserver.crt"), "--tls-private-key-file=" + c.pki.path("apiserver.key"), "--client-ca-file=" + c.pki.path("ca.crt"),
		"--service-account-key-file=" + c.pki.path("sa.pub"), "--service-account-signing-key-file=" + c.pki.path("sa.key"),
		"--service-account-issuer=https://kubernetes.default.svc", "--service-cluster-ip-range=10.96.0.0/16",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged", "--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate=" + c.pki.path("kubelet-client.crt"), "--kubelet-client-key=" + c.pki.path("kubelet-client.key"),
	}
	if err := c.StartAPIServer(); err != nil {
		return err
	}
	if _, err := start("kube-controller-manager", component("kube-controller-manager"), "--kubeconfig="+c.pki.path("kcm.conf"),
		"--service-account-private-key-file="+c.pki.path("sa.key"), "--root-ca-file="+c.pki.path("ca.crt"), "--use-service-account-credentials",
		"--allocate-node-cidrs", "--flex-volume-plugin-dir="+filepath.Join(dir, "flex"), "--cluster-cidr=10.244.0.0/16", "--bind-address=127.0.0.1", "--leader-elect=false"); err != nil {
		return err
	}
	_, err = start("kube-scheduler", component("kube-scheduler"), "--kubeconfig="+c.pki.path("scheduler.conf"), "--bind-address=127.0.0.1", "--leader-elect=false")
	return err
}

// StartAPIServer starts it and returns when it is ready.
func (c *Cluster) StartAPIServer() (err error) {
	if c.server, err = start("kube-apiserver", c.serverArgs...); err != nil {
		return err
	}
	web, err := rest.HTTPClientFor(c.admin)
	if err != nil {
		return err
	}
	defer web.CloseIdleConnections()
	return eventually(componentUp, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.admin.Host+"/readyz", nil)
		if err != nil {
			return err
		}
		response, err := web.Do(request)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", response.Status)
		}
		return nil
	})
}

// StopAPIServer kills it; etcd runs on.
func (c *Cluster) StopAPIServer() { c.server.kill() }

// explain prints what a failed run was like: all that flipped, and the agents' logs.
func (c *Cluster) explain() {
	fmt.Fprintln(os.Stderr, "== what flipped")
	for _, t := range c.seen.Flips(0) {
		fmt.Fprintln(os.Stderr, t.At.UTC().Format("15:04:05.000"), t)
	}
	for _, n := range c.nodes {
		if dir := os.Getenv("NODEGUARD_E2E_LOGS"); dir != "" {
			logs, _ := output(n.enter("sh", "-c", "cat /var/log/pods/nodeguard_*/*/*.log")...)
			_ = os.WriteFile(filepath.Join(logDir, n.Name+"-agents.log"), []byte(logs), 0o644)
		}
		logs, _ := output(n.enter("sh", "-c", "tail -n 15 /var/log/pods/nodeguard_*/*/*.log")...)
		fmt.Fprintf(os.Stderr, "== agents of %s\n%s\n", n.Name, logs)
	}
}
