package bench

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// page is where the results are written; a run that does not name it writes nothing.
const page = "NODEGUARD_BENCHMARKS"

const committed = "../../docs/benchmarks.md"

const head = `<!-- written by make bench and make bench-scale: do not edit -->
# What nodeguard costs, measured

Every number stands beside something else that was measured in the same run, in turns: a bare
PATCH, sha256sum, AIDE, prometheus-node-exporter. Medians over the runs, with the lowest and the highest. Each section says
when and where it was measured; ` + "`make bench`" + ` writes it anew, ` + "`make bench BENCH=latency`" + ` one of them,
` + "`make bench-scale`" + ` those that take long.
`

// publish prints a result, and puts it in the page in place of the last one of the benchmark.
func publish(b *testing.B, r result, took time.Duration) {
	b.Helper()
	b.StopTimer()
	text := section(r, took)
	fmt.Fprintf(os.Stderr, "\n%s\n", text)
	b.ReportMetric(0, "ns/op")
	for _, p := range promisesOf(r.Benchmark) {
		if _, measured := r.Bounds[p.Name]; !measured {
			b.Errorf("%q was promised and not measured", p.Name)
		}
	}
	name := os.Getenv(page)
	if name == "" {
		return
	}
	old, err := os.ReadFile(name)
	if err != nil && !os.IsNotExist(err) {
		b.Fatal(err)
	}
	sections := sectionsOf(string(old))
	sections[r.Benchmark] = text
	out := head
	for _, t := range titles {
		if sections[t.Benchmark] == "" {
			sections[t.Benchmark] = pending(t.Benchmark)
		}
		out += "\n" + begin(t.Benchmark) + "\n" + sections[t.Benchmark] + end + "\n"
	}
	if err := os.WriteFile(name, []byte(out), 0o644); err != nil {
		b.Fatal(err)
	}
}

func begin(benchmark string) string { return "<!-- " + benchmark + " -->" }

const end = "<!-- end -->"

// sectionsOf cuts a page into what was measured.
func sectionsOf(text string) map[string]string {
	out := map[string]string{}
	for _, t := range titles {
		_, rest, found := strings.Cut(text, begin(t.Benchmark)+"\n")
		if body, _, ended := strings.Cut(rest, end); found && ended {
			out[t.Benchmark] = body
		}
	}
	return out
}

func titleOf(benchmark string) string {
	for _, t := range titles {
		if t.Benchmark == benchmark {
			return t.Title
		}
	}
	return benchmark
}

// pending lists what a benchmark promises that was not run yet.
func pending(benchmark string) string {
	out := "## " + titleOf(benchmark) + "\n\nNot measured yet.\n\n| promise | at most | measured | |\n|---|---|---|---|\n"
	for _, p := range promisesOf(benchmark) {
		out += fmt.Sprintf("| %s | %s | – | not measured |\n", p.What, quantity(p.AtMost, p.Unit))
	}
	return out
}

func section(r result, took time.Duration) string {
	var out strings.Builder
	fmt.Fprintf(&out, "## %s\n\n%s\n\n", titleOf(r.Benchmark), r.How)
	out.WriteString("| promise | at most | measured | |\n|---|---|---|---|\n")
	for _, p := range promisesOf(r.Benchmark) {
		value, verdict := r.Bounds[p.Name], "met"
		if _, measured := r.Bounds[p.Name]; !measured {
			fmt.Fprintf(&out, "| %s | %s | – | not measured |\n", p.What, quantity(p.AtMost, p.Unit))
			continue
		}
		if !(value <= p.AtMost) { // NaN is no promise kept
			verdict = "**not met**"
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", p.What, quantity(p.AtMost, p.Unit), quantity(value, p.Unit), verdict)
	}
	out.WriteString("\n| measured | median | lowest | highest | runs |\n|---|---|---|---|---|\n")
	for _, s := range r.Series {
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %d |\n", s.Name, quantity(s.median(), s.Unit), quantity(percentile(s.Runs, 0), s.Unit), quantity(percentile(s.Runs, 100), s.Unit), len(s.Runs))
	}
	out.WriteString("\n")
	for _, n := range r.Notes {
		out.WriteString("- " + n + "\n")
	}
	fmt.Fprintf(&out, "- %s, in %s: %s.\n- `make %s BENCH=%s`; %s.\n", time.Now().UTC().Format("2006-01-02 15:04 UTC"), took.Round(time.Second), machine(), target(r.Benchmark), strings.ToLower(r.Benchmark), versions())
	return out.String()
}

func target(benchmark string) string {
	if benchmark == "Cold" || benchmark == "Fleet" {
		return "bench-scale"
	}
	return "bench"
}

func quantity(v float64, unit string) string {
	if unit == "" {
		return figure(v)
	}
	return figure(v) + " " + unit
}

// machine is what the numbers are of.
func machine() string {
	model := "unknown processor"
	for line := range strings.Lines(slurp("/proc/cpuinfo")) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	load, _, _ := strings.Cut(slurp("/proc/loadavg"), " ")
	return fmt.Sprintf("%d × %s, %d MB of memory, Linux %s, load %s at the end", runtime.NumCPU(), model, field("/proc/meminfo", "MemTotal")/1024,
		strings.TrimSpace(slurp("/proc/sys/kernel/osrelease")), load)
}

// versions are of what was measured, and of what it was measured beside.
func versions() string {
	said := func(name string, args ...string) string {
		out, _ := exec.Command(name, args...).CombinedOutput()
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return first
	}
	out := []string{said(os.Getenv(binary), "version"), runtime.Version()}
	if dir := os.Getenv("NODEGUARD_APISERVER"); dir != "" {
		out = append(out, said(dir+"/kube-apiserver", "--version"))
	}
	for _, p := range []string{"prometheus-node-exporter", "aide", "coreutils", "nftables"} {
		if v, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", p).Output(); err == nil {
			out = append(out, p+" "+string(v))
		}
	}
	return strings.Join(out, ", ")
}

func slurp(name string) string {
	data, _ := os.ReadFile(name)
	return string(data)
}

// field is a number of a file such as /proc/PID/status; 0 where it has none.
func field(name, key string) int64 {
	for line := range strings.Lines(slurp(name)) {
		if rest, found := strings.CutPrefix(line, key+":"); found {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n
		}
	}
	return 0
}

// The page that is committed came from a run: every benchmark has its section, and every
// promise its line with a verdict.
func TestPage(t *testing.T) {
	text := slurp(committed)
	if !strings.HasPrefix(text, head) {
		t.Fatalf("%s does not begin as a run writes it: run make bench", committed)
	}
	sections := sectionsOf(text)
	for _, b := range titles {
		lines := strings.Split(sections[b.Benchmark], "\n")
		for _, p := range promisesOf(b.Benchmark) {
			verdict := ""
			for i, line := range lines {
				if cells := strings.Split(line, " | "); len(cells) == 4 && cells[0] == "| "+p.What && cells[1] == quantity(p.AtMost, p.Unit) {
					verdict, lines[i] = strings.TrimSuffix(cells[3], " |"), ""
					break
				}
			}
			switch verdict {
			case "met", "**not met**":
			case "not measured":
				if target(b.Benchmark) == "bench" {
					t.Errorf("%s: %s: make bench has not measured it", b.Benchmark, p.What)
				}
			default:
				t.Errorf("%s has no verdict on %s: %s, at most %s", committed, b.Benchmark, p.What, quantity(p.AtMost, p.Unit))
			}
		}
	}
}

// What one run writes, another one keeps.
func TestSections(t *testing.T) {
	r := result{Benchmark: "Idle", How: "How."}
	r.add("a", "ms", 1)
	r.add("a", "ms", 3)
	r.bound("cpu", 0.06)
	text := head
	for _, name := range []string{"Latency", "Idle"} {
		body := pending(name)
		if name == r.Benchmark {
			body = section(r, time.Second)
		}
		text += begin(name) + "\n" + body + end + "\n"
	}
	sections := sectionsOf(text)
	for _, want := range []string{"| processor time (schedstat) | 0.0500 % of a core | 0.0600 % of a core | **not met** |", "| resident memory | 32 MB | – | not measured |", "| a | 2 ms | 1 ms | 3 ms | 2 |"} {
		if !strings.Contains(sections["Idle"], want) {
			t.Errorf("no %q in\n%s", want, sections["Idle"])
		}
	}
	if len(sections) != 2 || sections["Latency"] != pending("Latency") {
		t.Errorf("%d sections: %q", len(sections), sections)
	}
}
