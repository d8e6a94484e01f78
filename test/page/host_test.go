//go:build e2e

package page

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// patience is for a machine that has other things to do.
const patience = 60 * time.Second

// config looks at a tree, where nothing tells of a kernel parameter, as often as it may.
const config = `
intervals: {resync: 10s}
waivers: [{operation: ack.net.tcp-tw-reuse, subject: "*", reason: CHG-1234, owner: platform, expires: 2099-01-01T00:00:00Z}]
`

// healthy is a tree of a node in support.
var healthy = map[string]string{
	"etc/hostname":                         "worker-07\n",
	"etc/os-release":                       "ID=debian\n",
	"etc/sysctl.d/10-k8s.conf":             "net.ipv4.ip_forward = 1\n",
	"proc/sys/net/ipv4/ip_forward":         "1\n",
	"proc/sys/net/ipv4/conf/all/rp_filter": "0\n",
	"proc/sys/net/ipv4/tcp_tw_reuse":       "2\n",
	"var/lib/kubelet/config.yaml":          "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 110\n",
	"etc/kubernetes/manifests/README":      "none\n",
}

// drifted is what was done to it: in force, for the next boot, and waived.
var drifted = map[string]string{
	"proc/sys/net/ipv4/ip_forward":   "0\n",
	"proc/sys/net/ipv4/tcp_tw_reuse": "1\n",
	"etc/sysctl.d/10-k8s.conf":       "net.ipv4.ip_forward = 0\n",
	"var/lib/kubelet/config.yaml":    "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmaxPods: 250\n",
}

// host is a directory tree with its real agent, and what was asked of it.
type host struct {
	agent string // its address
	page  string // the page's, by way of what notes who asks

	mu    sync.Mutex
	asked []string
}

// newHost has recorded what is healthy before changes are made to it.
func newHost(t *testing.T, changes map[string]string) *host {
	t.Helper()
	dir, tree := t.TempDir(), t.TempDir()
	write(t, tree, healthy)
	write(t, dir, map[string]string{"config.yaml": config})
	h := &host{agent: freeAddress(t)}
	start(t, os.Getenv("NODEGUARD_E2E_BINARY"), "agent", "--standalone", "--root", tree, "--profile", "ack",
		"--config", filepath.Join(dir, "config.yaml"), "--baseline-settle", "0", "--web.listen-address", h.agent)
	front := httptest.NewServer(h)
	t.Cleanup(func() {
		front.Close()
		if elsewhere := slices.DeleteFunc(h.asked, func(path string) bool { return path == "/" }); len(elsewhere) > 0 {
			t.Errorf("the browser asked for %q", elsewhere)
		}
	})
	h.page = front.URL + "/"
	h.await(t, "healthy", drift.False, 0)
	if len(changes) > 0 {
		write(t, tree, changes)
		h.await(t, "drifted", drift.True, len(changes))
	}
	return h
}

// ServeHTTP passes on what a browser asks, and notes it: browsers also ask for what
// they do not tell.
func (h *host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked = append(h.asked, r.URL.Path)
	h.mu.Unlock()
	proxy := httputil.ReverseProxy{Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(&url.URL{Scheme: "http", Host: h.agent}) }}
	proxy.ServeHTTP(w, r)
}

func (h *host) report() (r drift.Report, err error) {
	response, err := http.Get("http://" + h.agent + "/api/v1/report")
	if err != nil {
		return r, err
	}
	defer response.Body.Close()
	return r, json.NewDecoder(response.Body).Decode(&r)
}

// await waits until the aggregate is so, with so many findings at least.
func (h *host) await(t *testing.T, what string, status drift.Status, findings int) {
	t.Helper()
	eventually(t, what, func() error {
		r, err := h.report()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(r.Conditions, func(c drift.Condition) bool { return c.Type == drift.NodeOutOfSupport })
		if i < 0 || r.Conditions[i].Status != status || len(r.Findings) < findings {
			return fmt.Errorf("%d findings, %v", len(r.Findings), r.Conditions)
		}
		return nil
	})
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// start starts a program that runs until the test ends; its output is printed if that fails.
func start(t *testing.T, args ...string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = log.Close()
		if t.Failed() {
			text, _ := os.ReadFile(log.Name())
			t.Logf("%s:\n%s", args[0], text[max(0, len(text)-3000):])
		}
	})
}

// freeAddress is a port on loopback that nobody has.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// eventually tries until it works: there is nothing to wait for but the answer.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	late := time.After(patience)
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-late:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		case <-again.C:
		}
	}
}
