// Package apiserver runs a real etcd and kube-apiserver for tests, and puts proxies
// in front of them that count, refuse, cut and stall.
package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
)

// Binaries is the environment variable that names the folder of etcd and kube-apiserver.
const Binaries = "NODEGUARD_APISERVER"

// Tokens that the server knows.
const (
	AdminToken = "admin-token"
	AgentToken = "agent-token" // has the rights of nodeguard's service account, see Client.Grant
)

// agentUser is nodeguard's service account: the server queues its requests with those of all others.
const agentUser = "system:serviceaccount:nodeguard:nodeguard"

const startTimeout = time.Minute

// Server is an API server with its own etcd.
type Server struct {
	Address string // host:port, the same after a restart

	pki  *pki
	dir  string
	bin  string
	etcd *process
	kube *process
	args []string
}

// Start starts both, with their state in dir, and returns when the API is ready.
func Start(dir string) (*Server, error) {
	bin := os.Getenv(Binaries)
	if bin == "" {
		return nil, fmt.Errorf("$%s is not set: run with %s=$(hack/apiserver.sh), as hack/test.sh does", Binaries, Binaries)
	}
	pki, err := newPKI(dir)
	if err != nil {
		return nil, err
	}
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	s := &Server{pki: pki, dir: dir, bin: bin, Address: ports[0]}
	if err := s.startEtcd(ports[1], ports[2]); err != nil {
		return nil, err
	}
	tokens := AdminToken + ",admin,admin,system:masters\n" + AgentToken + "," + agentUser + `,nodeguard,"system:serviceaccounts,system:serviceaccounts:nodeguard"` + "\n"
	if err := os.WriteFile(filepath.Join(dir, "tokens.csv"), []byte(tokens), 0o600); err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(s.Address)
	s.args = []string{
		"--etcd-servers=http://" + ports[1], "--bind-address=127.0.0.1", "--secure-port=" + port,
		"--tls-cert-file=" + pki.path("server.crt"), "--tls-private-key-file=" + pki.path("server.key"),
		"--token-auth-file=" + filepath.Join(dir, "tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file=" + pki.path("server.key"),
		"--service-account-signing-key-file=" + pki.path("server.key"), "--disable-admission-plugins=ServiceAccount",
		"--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none", "--profiling=false",
	}
	if err := s.Resume(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) startEtcd(client, peer string) (err error) {
	s.etcd, err = start(s.dir, "etcd", filepath.Join(s.bin, "etcd"), "--data-dir="+filepath.Join(s.dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://"+client, "--advertise-client-urls=http://"+client,
		"--listen-peer-urls=http://"+peer, "--initial-advertise-peer-urls=http://"+peer, "--initial-cluster=default=http://"+peer)
	return err
}

// Config returns a client configuration of the user with the token.
func (s *Server) Config(token string) *rest.Config { return s.ConfigAt(s.Address, token) }

// ConfigAt is Config through a proxy that listens on address.
func (s *Server) ConfigAt(address, token string) *rest.Config {
	return &rest.Config{Host: "https://" + address, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: s.pki.ca}}
}

// Pause kills the API server, and leaves etcd running.
func (s *Server) Pause() {
	s.kube.kill()
}

// Resume starts the API server again and returns when it is ready.
func (s *Server) Resume() (err error) {
	if s.kube, err = start(s.dir, "kube-apiserver", filepath.Join(s.bin, "kube-apiserver"), s.args...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		if err = s.ready(ctx, "/readyz"); err == nil {
			err = s.ready(ctx, "/api/v1/namespaces/default") // made after the start
		}
		if err == nil {
			return nil
		}
		select {
		case <-s.kube.done:
			return fmt.Errorf("kube-apiserver ended:\n%s", s.kube.tail())
		case <-ctx.Done():
			return fmt.Errorf("kube-apiserver is not ready after %v: %w\n%s", startTimeout, err, s.kube.tail())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *Server) ready(ctx context.Context, path string) error {
	web, err := rest.HTTPClientFor(s.Config(AdminToken))
	if err != nil {
		return err
	}
	defer web.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.Address+path, nil)
	if err != nil {
		return err
	}
	response, err := web.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(path + ": " + response.Status)
	}
	return nil
}

// Stop ends both.
func (s *Server) Stop() {
	for _, p := range []*process{s.kube, s.etcd} {
		if p != nil {
			p.kill()
		}
	}
}

// process is one of the two, with its output in a file.
type process struct {
	log  string
	cmd  *exec.Cmd
	done chan struct{}
}

func start(dir, name, binary string, args ...string) (*process, error) {
	p := &process{log: filepath.Join(dir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p.cmd = exec.Command(binary, args...) //nolint:gosec // etcd or kube-apiserver
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // die with the tests
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}

func freePorts(n int) ([]string, error) {
	var out []string
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		out = append(out, l.Addr().String())
	}
	return out, nil
}
