package hostconfig

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// listen accepts connections until the test ends.
func listen(t *testing.T, address string) string {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}

func kubeconfig(server string) string {
	return "apiVersion: v1\ncurrent-context: b\nclusters:\n- name: other\n  cluster: {server: 'https://192.0.2.1'}\n- name: ours\n  cluster: {server: '" + server +
		"'}\ncontexts:\n- {name: a, context: {cluster: other}}\n- {name: b, context: {cluster: ours}}\nusers:\n- {name: x, user: {token: hidden}}\n"
}

func TestServerOf(t *testing.T) {
	for server, want := range map[string]string{
		"https://10.0.0.1:6443": "10.0.0.1:6443", "https://[fd00::1]:6443/x": "[fd00::1]:6443", "https://api.example.com": "api.example.com:443",
		"http://localhost": "localhost:80", "not a url\x7f": "", "": "",
	} {
		if got := serverOf([]byte(kubeconfig(server))); got != want {
			t.Errorf("%q: %q, want %q", server, got, want)
		}
	}
	if got := serverOf([]byte("clusters: [")); got != "" {
		t.Errorf("of no YAML: %q", got)
	}
}

func TestAPIServerIsReached(t *testing.T) {
	address := listen(t, "127.0.0.1:0")
	root := open(t, tree(t, map[string]string{"etc/kubernetes/kubelet.conf": kubeconfig("https://" + address)}))
	if where, err := askAPIServer(t.Context(), root); err != nil || where != address {
		t.Errorf("%s, %v", where, err)
	}
	if _, err := askAPIServer(t.Context(), open(t, t.TempDir())); !errors.Is(err, errNotHere) {
		t.Errorf("a host without a kubelet: %v", err)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	root = open(t, tree(t, map[string]string{"etc/kubernetes/kubelet.conf": kubeconfig("https://" + closed.Addr().String())}))
	if _, err := askAPIServer(t.Context(), root); err == nil || errors.Is(err, errNotHere) {
		t.Errorf("nobody listens: %v", err)
	}
}

// A DNS server on port 53 of an address of this test's own network.
func TestClusterDNSIsAsked(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	hosttest.Run(t, "ip", "link", "set", "lo", "up")
	server, err := net.ListenPacket("udp", "127.0.0.10:53")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	asked := make(chan string, 1)
	go func() {
		packet := make([]byte, 512)
		n, from, err := server.ReadFrom(packet)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(packet[:n]) != nil {
			return
		}
		asked <- m.Questions[0].Name.String()
		m.Response, m.RCode = true, dnsmessage.RCodeRefused // any answer will do
		answer, _ := m.Pack()
		_, _ = server.WriteTo([]byte("noise"), from)
		_, _ = server.WriteTo(answer, from)
	}()
	config := "clusterDNS: [not-an-address, 127.0.0.11, 127.0.0.10]\nclusterDomain: example.\n"
	root := open(t, tree(t, map[string]string{"var/lib/kubelet/config.yaml": config}))
	if where, err := askClusterDNS(t.Context(), root); err != nil || where != "127.0.0.10" {
		t.Errorf("%s, %v", where, err)
	}
	if name := <-asked; name != "kubernetes.default.svc.example." {
		t.Errorf("asked for %s", name)
	}
	root = open(t, tree(t, map[string]string{"var/lib/kubelet/config.yaml": "clusterDNS: [127.0.0.11]\n"}))
	if where, err := askClusterDNS(t.Context(), root); err == nil {
		t.Errorf("%s answers", where)
	}
	if _, err := askClusterDNS(t.Context(), open(t, t.TempDir())); !errors.Is(err, errNotHere) {
		t.Errorf("a host without a kubelet: %v", err)
	}
}

type sink struct {
	mu    sync.Mutex
	hints []drift.Hint
	modes map[string]drift.Mode
	said  func() // called at each mode, if set
}

func (s *sink) Hint(h drift.Hint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hints = append(s.hints, h)
}

func (s *sink) Mode(source string, m drift.Mode, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.modes == nil {
		s.modes = map[string]drift.Mode{}
	}
	if s.modes[source] = m; s.said != nil {
		s.said()
	}
}

func (s *sink) Failed(string, error) {}

var probeRules = []Rule{
	{Look: "probe", In: []string{apiServer}, Supported: []string{"reachable"}},
	{Look: "probe", In: []string{clusterDNS}, Supported: []string{"reachable"}},
}

// A lost packet is no finding; the third in a row is, and the next answer clears it.
func TestProbesCountFailures(t *testing.T) {
	var up atomic.Bool
	c := New(open(t, t.TempDir()), bound(t, probeRules...), nil).WithProbes()
	c.prober.ask = map[string]func(context.Context, *host.Root) (string, error){
		apiServer: func(context.Context, *host.Root) (string, error) {
			if !up.Load() {
				return "10.0.0.1:6443", errors.New("refused")
			}
			return "10.0.0.1:6443", nil
		},
		clusterDNS: func(context.Context, *host.Root) (string, error) { return "", errNotHere },
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		to := &sink{}
		done := make(chan struct{})
		go func() { defer close(done); c.prober.run(ctx, c.probes(), to) }()
		var got []int
		for range 5 {
			synctest.Wait()
			got = append(got, len(c.Observe(ctx, []string{}).Findings))
			if len(got) == 4 {
				up.Store(true)
			}
			time.Sleep(probeEvery)
		}
		if diff := cmp.Diff([]int{0, 0, 1, 1, 0}, got); diff != "" {
			t.Error(diff)
		}
		cancel()
		<-done
		var subjects []string
		for _, h := range to.hints {
			subjects = append(subjects, h.Subject)
		}
		if diff := cmp.Diff([]string{apiServer, apiServer, apiServer}, subjects); diff != "" {
			t.Errorf("hints for what did not change: %s", diff)
		}
	})
}

// One look asks nobody: where nothing is probed there is nothing to say.
func TestWithoutProbesNothingIsAsked(t *testing.T) {
	if o := observe(t, t.TempDir(), nil, probeRules...); len(o.Findings)+len(o.Gaps)+len(o.Facts) > 0 {
		t.Errorf("%+v", o)
	}
}

func TestWatchSaysItsModesAndEnds(t *testing.T) {
	root := open(t, t.TempDir())
	before := hosttest.Use(t)
	rules := append(bound(t, probeRules...), bound(t, Rule{Look: "swap", Refused: []string{"*"}}, Rule{Look: "clock", Supported: []string{synchronised}},
		Rule{Look: "units", In: []string{"systemd-journald.service"}, Supported: []string{"active"}})...)
	c := New(root, rules, nil).WithProbes()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	to := &sink{modes: map[string]drift.Mode{}}
	to.said = func() {
		if len(to.modes) == 4 {
			cancel()
		}
	}
	if err := c.Watch(ctx, to); err != nil {
		t.Error(err)
	}
	want := map[string]drift.Mode{"swaps": drift.Off, "clock": drift.Off, "probe": drift.Poll, "systemd": drift.Off}
	if diff := cmp.Diff(want, to.modes); diff != "" || len(to.hints) == 0 {
		t.Errorf("%d hints\n%s", len(to.hints), diff)
	}
	if now, more := before.Exceeded(t); more {
		t.Errorf("held %+v before, %+v after", before, now)
	}
}
