package prom_test

import (
	"bytes"
	"flag"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/prom"
)

var update = flag.Bool("update", false, "write the golden files and docs/metrics.md")

const family = "KernelParameterDrift"

// sample has something of everything.
func sample() prom.Snapshot {
	finding := func(id, subject string, severity drift.Severity, state drift.State) drift.FindingReport {
		return drift.FindingReport{ID: id, Operation: "ack.net.ip-forward", Condition: family, Subject: subject, Severity: severity, State: state}
	}
	waived := finding("03", "net.ipv4.tcp_tw_reuse", drift.Warning, drift.Active)
	waived.Waiver = &drift.WaiverReport{Reason: "known"}
	return prom.Snapshot{
		Report: drift.Report{
			Conditions: []drift.Condition{
				{Type: family, Status: drift.True}, {Type: "FirewallInterference", Status: drift.Unknown},
				{Type: drift.NodeOutOfSupport, Status: drift.True}, {Type: drift.NodeRebuildAdvised, Status: drift.False},
			},
			Findings: []drift.FindingReport{
				finding("01", "net.ipv4.ip_forward", drift.Critical, drift.Active),
				finding("02", `a "quoted" \x0a 名称 \xff`, drift.Warning, drift.Pending), waived,
			},
		},
		Checks: []prom.CheckStats{
			{Name: "sysctl", Duration: 400 * time.Microsecond, LastSuccess: time.Unix(1767323045, 5e8), Passes: 12, Failures: 1},
			{Name: "firewall"},
		},
		Sources: []prom.Source{
			{Name: "bpf-sysctl", Check: "sysctl", Mode: drift.Event, Events: 7, Overflows: 1, Errors: 2},
			{Name: "files", Check: "sysctl", Mode: drift.Event, Events: 3},
			{Name: "files", Check: "firewall", Mode: drift.Poll, Events: 4},
			{Name: "units", Check: "firewall", Mode: drift.Off},
		},
		OutOfSupport: map[string]float64{family: 61.5, drift.NodeOutOfSupport: 61.5},
		Latency:      prom.Latency{Bounds: []float64{.001, .005, .1, 1}, Counts: []uint64{1, 4, 0, 2, 1}, Sum: 12.5},
		Reporters:    []prom.ReporterStats{{Name: "kube", Attempts: 9, Failures: 2}},
		Baselines:    []prom.BaselineInfo{{Scope: "paths", Digest: "sha256:0123"}},
		Waivers: []prom.Waiver{
			{Operation: "ack.net.*", Subject: "net.ipv4.conf.eth1.*", Owner: "team-storage", Expires: time.Unix(1798761600, 0)},
			{Operation: "ack.path.*", Expires: time.Unix(1767323045, 0)},
			{Operation: "ack.net.firewall", Subject: "ufw", Owner: "sre"}, // never
		},
		Build: prom.Build{Version: "v1.2.3", GoVersion: "go1.26.0", Revision: "abc"},
	}
}

// registry refuses what is collected but not described.
func registry(t *testing.T, s prom.Snapshot) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	if err := r.Register(prom.NewCollector(func() prom.Snapshot { return s })); err != nil {
		t.Fatal(err)
	}
	return r
}

// exposition is what a scrape of s answers.
func exposition(t *testing.T, s prom.Snapshot) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry(t, s), promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("scrape: %d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

func TestGolden(t *testing.T) {
	for name, s := range map[string]prom.Snapshot{"sample": sample(), "start": {}} {
		t.Run(name, func(t *testing.T) { golden(t, "testdata/"+name+".prom", exposition(t, s)) })
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got), written anew by -update:\n%s", file, diff)
	}
}

func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(registry(t, sample()))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// What Prometheus' own tool says of everything that the agent answers, runtime
// and process included.
func TestPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Fatal("promtool is not installed; it is in Debian's package prometheus, which hack/test.sh installs")
	}
	var log bytes.Buffer
	w := httptest.NewRecorder()
	h := prom.Handler(sample, slog.New(slog.NewTextHandler(&log, nil)))
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	for _, name := range []string{"nodeguard_build_info", "go_goroutines", "process_resident_memory_bytes"} {
		if !strings.Contains(w.Body.String(), "\n"+name) {
			t.Errorf("no %s in the answer", name)
		}
	}
	check := exec.Command(promtool, "check", "metrics")
	check.Stdin = w.Body
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	if log.Len() > 0 {
		t.Errorf("logged: %s", &log)
	}
}

func TestTruncation(t *testing.T) {
	var s prom.Snapshot
	for i := range 203 {
		s.Report.Findings = append(s.Report.Findings, drift.FindingReport{ID: fmt.Sprintf("%03d", i), Condition: family, Severity: drift.Warning})
	}
	out := exposition(t, s)
	if n := strings.Count(out, "\nnodeguard_finding_info{"); n != 200 {
		t.Errorf("%d findings, want 200", n)
	}
	for _, want := range []string{
		"\nnodeguard_findings_truncated 3\n", `id="199"`,
		"\nnodeguard_findings{condition=\"KernelParameterDrift\",severity=\"warning\"} 203\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in:\n%s", want, out)
		}
	}
	if strings.Contains(out, `id="200"`) {
		t.Error("the least severe must be cut")
	}
}

// A name that is not UTF-8 must not cost the scrape.
func TestInvalidNames(t *testing.T) {
	var s prom.Snapshot
	s.Report.Findings = []drift.FindingReport{{ID: "01", Subject: "/etc/\xff", Condition: family, Severity: drift.Warning}}
	if out := exposition(t, s); !strings.Contains(out, `subject="/etc/�"`) {
		t.Errorf("the finding is missing:\n%s", out)
	}
}

// One metric that cannot be gathered must not cost the others, and is said.
func TestPartialScrape(t *testing.T) {
	var log bytes.Buffer
	s := sample()
	s.Reporters = append(s.Reporters, s.Reporters...)
	w := httptest.NewRecorder()
	h := prom.Handler(func() prom.Snapshot { return s }, slog.New(slog.NewTextHandler(&log, nil)))
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || !strings.Contains(w.Body.String(), "nodeguard_condition{") {
		t.Errorf("scrape: %d", w.Code)
	}
	if !strings.Contains(log.String(), "nodeguard_report_attempts_total") {
		t.Errorf("log: %s", &log)
	}
}

// What is gone is gone from the next scrape.
func TestNothingIsRemembered(t *testing.T) {
	s := sample()
	h := prom.Handler(func() prom.Snapshot { return s }, slog.New(slog.DiscardHandler))
	scrape := func() string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	if !strings.Contains(scrape(), "nodeguard_finding_info{") {
		t.Fatal("the finding is missing")
	}
	s.Report.Findings = nil
	if strings.Contains(scrape(), "nodeguard_finding_info{") {
		t.Error("the finding is still there")
	}
}

func TestThisBuild(t *testing.T) {
	b := prom.ThisBuild("v1")
	if b.Version != "v1" || !strings.HasPrefix(b.GoVersion, "go") || b.Revision == "" {
		t.Errorf("%+v", b)
	}
}

// client_golang is this package's alone.
func TestOnlyImporter(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}}: {{join .Imports " "}}`, "github.com/nodeguard/nodeguard/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var importers []string
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(line, ": ")
		if strings.Contains(imports, "github.com/prometheus/client_golang/") {
			importers = append(importers, pkg)
		}
	}
	if diff := cmp.Diff([]string{"github.com/nodeguard/nodeguard/internal/export/prom"}, importers); diff != "" {
		t.Errorf("importers of client_golang (-want +got):\n%s", diff)
	}
}
