// Package beside runs docs/beside.md: nodeguard as a part of what runs on nodes already.
package beside

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"k8s.io/node-problem-detector/pkg/custompluginmonitor"
	npd "k8s.io/node-problem-detector/pkg/types"
)

var binary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nodeguard-beside-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "nodeguard")
	build := exec.Command("go", "build", "-o", binary, "./cmd/nodeguard")
	build.Dir, build.Env = "../..", append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// snippets are the page's code blocks in a language.
func snippets(t *testing.T, language string) (out []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/beside.md")
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(page), "```") {
		if code, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			out = append(out, code)
		}
	}
	if len(out) == 0 {
		t.Fatalf("the page has no %s", language)
	}
	return out
}

// substituted replaces what differs here; each of it must be in the snippet.
func substituted(t *testing.T, snippet string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(snippet, pairs[i]) {
			t.Fatalf("the snippet has no %s", pairs[i])
		}
	}
	return strings.NewReplacer(pairs...).Replace(snippet)
}

// host is the tree of a host that forwards.
type host string

func newHost(t *testing.T) host {
	h := host(t.TempDir())
	h.write(t, "etc/hostname", "n1")
	h.write(t, "proc/sys/net/ipv4/tcp_tw_reuse", "2")
	h.write(t, "proc/sys/net/ipv4/ip_forward", "1")
	return h
}

// write replaces the file at once: a look may be under way.
func (h host) write(t *testing.T, name, value string) {
	t.Helper()
	file := filepath.Join(string(h), name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file+".new", []byte(value+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// node-problem-detector's own monitor runs the plug-in as the page configures it.
func TestNodeProblemDetector(t *testing.T) {
	h := newHost(t)
	config := filepath.Join(t.TempDir(), "nodeguard.json")
	text := substituted(t, snippets(t, "json")[0], "/usr/local/bin/nodeguard", binary, `"1m"`, `"100ms"`,
		`"line"]`, `"line", "--profile", "ack", "--root", "`+string(h)+`"]`)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	monitor := custompluginmonitor.NewCustomPluginMonitorOrDie(config)
	statuses, err := monitor.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer monitor.Stop()
	until := func(status npd.ConditionStatus, message string) {
		t.Helper()
		timeout := time.After(time.Minute)
		for {
			select {
			case s := <-statuses:
				c := s.Conditions[0]
				if len(c.Message) > 80 || !utf8.ValidString(c.Message) {
					t.Errorf("the message is cut: %q", c.Message)
				}
				if c.Type == "HostOutOfSupport" && c.Status == status && strings.HasPrefix(c.Message, message) {
					return
				}
			case <-timeout:
				t.Fatalf("it never was %s, %s", status, message)
			}
		}
	}
	until(npd.False, "all that was looked at is in support")
	h.write(t, "proc/sys/net/ipv4/tcp_tw_reuse", "1")
	until(npd.True, "warning ack.net.tcp-tw-reuse: net.ipv4.tcp_tw_reuse is 1, supported 0 or 2")
	h.write(t, "proc/sys/net/ipv4/ip_forward", "0")
	until(npd.True, "critical ack.net.ip-forward: net.ipv4.ip_forward is 0, supported 1; warning ack.")
	h.write(t, "proc/sys/net/ipv4/ip_forward", "1")
	h.write(t, "proc/sys/net/ipv4/tcp_tw_reuse", "banana")
	until(npd.Unknown, "unknown: cannot tell about net.ipv4.tcp_tw_reuse: ")
	h.write(t, "proc/sys/net/ipv4/tcp_tw_reuse", "2")
	until(npd.False, "all that was looked at is in support")
}

// node_exporter serves what the page's cron line writes, drifted and healthy.
func TestTextfileCollector(t *testing.T) {
	exporter, err := exec.LookPath("prometheus-node-exporter")
	if err != nil {
		t.Fatal("prometheus-node-exporter is not installed; it is in Debian's package of that name, which hack/test.sh installs")
	}
	h, dir := newHost(t), t.TempDir()
	_, line, ok := strings.Cut(snippets(t, "cron")[0], " root ")
	if !ok {
		t.Fatal("the cron line has no user")
	}
	line = substituted(t, line, "/var/lib/prometheus/node-exporter", dir, "/usr/local/bin/nodeguard check", binary+" check --profile ack --root "+string(h))
	look := func() {
		t.Helper()
		if out, err := exec.Command("/bin/sh", "-c", line).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	address := freeAddress(t)
	cmd := exec.Command(exporter, "--collector.disable-defaults", "--collector.textfile", "--collector.textfile.directory="+dir, "--web.listen-address="+address)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()

	h.write(t, "proc/sys/net/ipv4/ip_forward", "0")
	look()
	drifted := scrape(t, address)
	h.write(t, "proc/sys/net/ipv4/ip_forward", "1")
	look()
	healthy := scrape(t, address)
	for _, want := range []struct{ text, sample string }{
		{drifted, `nodeguard_condition{condition="NodeOutOfSupport",status="True"} 1`},
		{drifted, `nodeguard_findings{condition="KernelParameterDrift",severity="critical"} 1`},
		{drifted, `operation="ack.net.ip-forward",severity="critical",state="active",subject="net.ipv4.ip_forward",waived="false"} 1`},
		{drifted, `node_textfile_scrape_error 0`},
		{healthy, `nodeguard_condition{condition="NodeOutOfSupport",status="False"} 1`},
		{healthy, `nodeguard_findings{condition="KernelParameterDrift",severity="critical"} 0`},
		{healthy, `node_textfile_scrape_error 0`},
		{healthy, "# HELP nodeguard_condition 1 for the status that a node condition has"},
	} {
		if !strings.Contains(want.text, want.sample) {
			t.Errorf("no %s in\n%s", want.sample, want.text)
		}
	}
	// A look that cannot even begin leaves the last word, and no litter.
	line = strings.Replace(line, "--root "+string(h), "--root /nowhere", 1)
	look()
	if after := scrape(t, address); !strings.Contains(after, `status="False"} 1`) {
		t.Errorf("what was there is gone:\n%s", after)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*")); len(files) != 1 {
		t.Errorf("the folder has %q", files)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// scrape asks as soon as the exporter answers.
func scrape(t *testing.T, address string) string {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		answer, err := http.Get("http://" + address + "/metrics")
		if err == nil {
			defer answer.Body.Close()
			text, err := io.ReadAll(answer.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(text)
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(20 * time.Millisecond) // there is nothing to wait for but its port
	}
}

// systemd reads the units.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is not installed; it is in Debian's package systemd, which hack/test.sh installs")
	}
	dir := t.TempDir()
	units := snippets(t, "ini")
	for i, name := range []string{"nodeguard-textfile.service", "nodeguard-textfile.timer"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(units[i]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(analyze, "verify", filepath.Join(dir, "nodeguard-textfile.timer")).CombinedOutput()
	if err != nil || strings.Contains(string(out), "nodeguard-textfile") {
		t.Errorf("%v\n%s", err, out)
	}
}
