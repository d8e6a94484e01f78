package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// running is an agent in this process, followed by its log.
type running struct {
	t      *testing.T
	cancel context.CancelFunc
	lines  chan string // of the log; closed when the agent has ended
	code   chan int
}

func startAgent(t *testing.T, args ...string) *running {
	t.Helper()
	return startUnsettled(t, append([]string{"--baseline-settle", "0"}, args...)...)
}

// startUnsettled leaves it to the configuration when the baseline is recorded.
func startUnsettled(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	a := &running{t: t, cancel: cancel, lines: make(chan string, 10_000), code: make(chan int, 1)}
	go func() {
		defer close(a.lines)
		for log := bufio.NewScanner(r); log.Scan(); {
			a.lines <- log.Text()
		}
	}()
	go func() {
		a.code <- run(ctx, append([]string{"agent", "--standalone", "--profile", "ack"}, args...), io.Discard, w)
		_ = w.Close()
	}()
	return a
}

// wait reads the log up to a line with all of these in it.
func (a *running) wait(parts ...string) map[string]any {
	a.t.Helper()
	for line := range a.lines {
		if containsAll(line, parts) {
			var fields map[string]any
			if err := json.Unmarshal([]byte(line), &fields); err != nil {
				a.t.Fatal(err)
			}
			return fields
		}
	}
	a.t.Fatalf("the agent ended without saying %q", parts)
	return nil
}

func containsAll(s string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// stop ends the agent and returns its exit code.
func (a *running) stop() int {
	a.cancel()
	return <-a.code
}

// agentHost is a host of the test's own, in support, with loopback.
func agentHost(t *testing.T) {
	t.Helper()
	for _, dir := range []string{"/var/lib", "/etc/sysctl.d", "/run", "/usr/lib/sysctl.d"} {
		hosttest.Mount(t, dir, "-t", "tmpfs", "-o", "mode=755", "tmpfs")
	}
	hosttest.Run(t, "ip", "link", "set", "lo", "up")
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
}

func TestAgentFindsWhatHappenedWhileItWasDown(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a := startAgent(t)
	a.wait(`"msg":"baseline recorded"`)
	if code := a.stop(); code != 0 {
		t.Fatalf("exit %d", code)
	}
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 250\n")

	a = startAgent(t)
	want := map[string]bool{"net.ipv4.ip_forward": true, "/var/lib/kubelet/config.yaml": true, "kubelet config maxPods": true}
	for len(want) > 0 {
		delete(want, a.wait(`"msg":"raised"`)["subject"].(string))
	}
	a.stop()

	hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
	a = startAgent(t)
	if got := a.wait(`"msg":"cleared"`)["subject"]; got != "net.ipv4.ip_forward" {
		t.Errorf("cleared %v", got)
	}
	a.stop()
}

// What an earlier run saw makes a start quick, and nothing depends on it.
func TestStartWithoutWhatWasSeen(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a := startAgent(t)
	a.wait(`"msg":"baseline recorded"`)
	a.stop()
	const seen = "/var/lib/nodeguard/baseline/seen"
	whole, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		seen    []byte
		content string
		says    string
	}{
		{whole[:len(whole)/2], "maxPods: 250\n", `"msg":"raised"`},
		{[]byte{}, "maxPods: 110\n", `"msg":"cleared"`},
	} {
		if err := os.WriteFile(seen, c.seen, 0o600); err != nil {
			t.Fatal(err)
		}
		hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", c.content)
		a = startAgent(t)
		a.wait(`"msg":"every content is read before the first report"`)
		a.wait(c.says, `"subject":"/var/lib/kubelet/config.yaml"`)
		a.stop()
		if again, err := os.ReadFile(seen); err != nil || len(again) < len(whole)/2+1 {
			t.Errorf("it is not written anew: %d bytes, %v", len(again), err)
		}
	}
}

func TestAgentAnswersMetricsAndReport(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	a := startAgent(t, "--web.listen-address", "127.0.0.1:19639")
	defer a.stop()
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	var r drift.Report
	if err := json.Unmarshal(get(t, "/api/v1/report"), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Conditions) != len(areas())+2 || r.Conditions[0].Status != drift.True {
		t.Errorf("report %+v", r.Conditions)
	}
	metrics := string(get(t, "/metrics"))
	for _, want := range []string{
		`nodeguard_condition{condition="KernelParameterDrift",status="True"} 1`,
		`nodeguard_finding_info{condition="KernelParameterDrift",id="`,
		`nodeguard_check_passes_total{check="paths"}`,
		`nodeguard_baseline_info{digest="sha256:`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
	get(t, "/healthz")
	get(t, "/readyz")
}

// get asks until the server is up, which is not before the first pass.
func get(t *testing.T, path string) []byte {
	t.Helper()
	for {
		resp, err := http.Get("http://127.0.0.1:19639" + path)
		if err != nil {
			if t.Context().Err() != nil {
				t.Fatal(err)
			}
			continue
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode == http.StatusOK {
			return body
		}
		if resp.StatusCode != http.StatusServiceUnavailable {
			t.Fatalf("%s: %s %s", path, resp.Status, body)
		}
	}
}

func TestAgentReload(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	file := filepath.Join("/run", "nodeguard.yaml")
	hosttest.Write(t, "/", file, "language: en\n")
	a := startAgent(t, "--config", file)
	defer a.stop()
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	a.wait(`"msg":"baseline recorded"`)

	hosttest.Write(t, "/", file, "languag: en\n")
	hangUp(t)
	if got := a.wait(`"level":"ERROR"`, "last good one stays")["error"].(string); !strings.Contains(got, file+":1:1: unknown field") {
		t.Errorf("said %q", got)
	}
	hosttest.Write(t, "/", file, "disabled: [ack.net.tcp-tw-reuse]\n")
	hangUp(t)
	if got := a.wait(`"msg":"cleared"`)["operation"]; got != "ack.net.tcp-tw-reuse" {
		t.Errorf("cleared %v", got)
	}
}

func hangUp(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
}

func TestAgentWithoutAStateDirectory(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Mount(t, "/var/lib", "-o", "remount,ro")
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"agent", "--standalone", "--once", "--profile", "ack"}, io.Discard, &stderr)
	if code != 1 || !strings.Contains(stderr.String(), "state cannot be kept") || !strings.Contains(stderr.String(), "net.ipv4.ip_forward") {
		t.Errorf("exit %d: %s", code, &stderr)
	}
}

func TestOneAgentAHost(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	a := startAgent(t)
	a.wait(`"msg":"baseline recorded"`)
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"agent", "--standalone"}, io.Discard, &stderr); code != 2 || !strings.Contains(stderr.String(), "hint: is another agent running") {
		t.Errorf("exit %d: %s", code, &stderr)
	}
	// check uses the agent's profile and baseline, and records nothing.
	before, err := os.ReadFile(host.StateDir + "/baseline/baseline.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"check", "--config", clockless(t)}, io.Discard, &stderr); code != 0 {
		t.Errorf("check exits %d: %s", code, &stderr)
	}
	if after, err := os.ReadFile(host.StateDir + "/baseline/baseline.jsonl"); err != nil || !bytes.Equal(before, after) {
		t.Errorf("check wrote the agent's baseline (%v)", err)
	}
	a.stop()
}

// The agent holds the state, so the command on its host has the agent accept.
func TestBaselineAcceptAsksTheAgent(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a := startAgent(t)
	defer a.stop()
	a.wait(`"msg":"baseline recorded"`)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 250\n")
	a.wait(`"msg":"raised"`, `"subject":"kubelet config maxPods"`)
	accept := func(args ...string) (code int, out, errors string) {
		var stdout, stderr bytes.Buffer
		code = run(t.Context(), append([]string{"baseline", "accept", "--profile", "ack", "--reason", "CHG-1"}, args...), &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, _, errors := accept("/var/lib/nothing"); code != 2 || !strings.Contains(errors, `nothing here is called "/var/lib/nothing"`) || !strings.Contains(errors, "hint: nodeguard baseline diff") {
		t.Errorf("exit %d: %s", code, errors)
	}
	if code, out, errors := accept("kubelet config maxPods"); code != 0 || out != "the agent accepted 1 subjects\n" {
		t.Errorf("exit %d: %s%s", code, out, errors)
	}
	if got := a.wait(`"msg":"cleared"`)["subject"]; got != "kubelet config maxPods" {
		t.Errorf("cleared %v", got)
	}
	if code, _, errors := accept(); code != 0 {
		t.Errorf("exit %d: %s", code, errors)
	}
	if got := a.wait(`"msg":"cleared"`)["subject"]; got != "/var/lib/kubelet/config.yaml" {
		t.Errorf("cleared %v", got)
	}
}
