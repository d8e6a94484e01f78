package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// process is one that ends with the benchmark.
type process struct {
	pid  int
	cmd  *exec.Cmd
	said chan string // lines of its log
	peak float64     // of memory in MB, at its end
}

func start(b testing.TB, name string, args ...string) *process {
	b.Helper()
	p := &process{cmd: exec.Command(name, args...), said: make(chan string, 100_000)}
	log, err := p.cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	p.pid = p.cmd.Process.Pid
	go p.listen(log)
	b.Cleanup(p.kill)
	return p
}

// listen never lets the process wait for a reader.
func (p *process) listen(log io.Reader) {
	defer close(p.said)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		select {
		case p.said <- lines.Text():
		default:
		}
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	for range p.said {
	}
	_ = p.cmd.Wait()
}

// says waits for a line with these words.
func (p *process) says(b testing.TB, words string) {
	b.Helper()
	timeout := time.After(time.Minute)
	last := ""
	for {
		select {
		case line, open := <-p.said:
			if !open {
				b.Fatalf("it ended without saying %q; last it said %s", words, last)
			}
			if last = line; strings.Contains(line, words) {
				return
			}
		case <-timeout:
			b.Fatalf("it does not say %q; last it said %s", words, last)
		}
	}
}

const listens = "127.0.0.1:29639"

// startAgent starts the agent as it is shipped and returns when it has its baseline.
func startAgent(b testing.TB, args ...string) *process {
	b.Helper()
	config := filepath.Join(b.TempDir(), "nodeguard.yaml")
	write(b, config, "disabled: [ack.new.node-time]\n") // nobody may keep the clock here
	p := start(b, os.Getenv(binary), append([]string{"agent", "--profile", "ack", "--baseline-settle", "0", "--config", config, "--web.listen-address", listens}, args...)...)
	p.says(b, `"msg":"baseline recorded"`)
	return p
}

// standsStill waits until the agent has given back what it needed for its start.
func standsStill() { time.Sleep(32 * time.Second) }

// report is what the agent says now; not ok where it does not answer.
func report() (r drift.Report, ok bool) {
	resp, err := http.Get("http://" + listens + "/api/v1/report")
	if err != nil {
		return r, false
	}
	defer resp.Body.Close()
	return r, json.NewDecoder(resp.Body).Decode(&r) == nil && len(r.Conditions) > 0
}

// reports tells whether the agent has a finding of the subject, with that in what it observed.
func reports(subject, observed string) bool {
	r, ok := report()
	return ok && slices.ContainsFunc(r.Findings, func(f drift.FindingReport) bool {
		return f.Subject == subject && strings.Contains(f.Observed, observed)
	})
}

// until asks until it is so, and tells how long that took.
func until(b testing.TB, what string, so func() bool) time.Duration {
	b.Helper()
	began := time.Now()
	for !so() {
		if time.Since(began) > time.Minute {
			r, _ := report()
			b.Fatalf("not within a minute: %s; the report has %+v", what, r.Conditions)
		}
		time.Sleep(50 * time.Millisecond) // each answer is processor time of the agent
	}
	return time.Since(began)
}

// usage is what a process has used so far.
type usage struct {
	at    time.Time
	busy  time.Duration // on a processor: by schedstat, since ticks miss what is short
	woken int64
}

func (p *process) use(b testing.TB) usage {
	b.Helper()
	u := usage{at: time.Now()}
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.pid))
	if len(tasks) == 0 {
		b.Fatalf("process %d has ended", p.pid)
	}
	for _, task := range tasks {
		ran, _, _ := strings.Cut(slurp(task+"/schedstat"), " ")
		n, _ := strconv.ParseInt(ran, 10, 64)
		u.busy += time.Duration(n)
		u.woken += field(task+"/status", "voluntary_ctxt_switches")
	}
	return u
}

// core is the part of a core that was used since, in percent.
func (u usage) core(before usage) float64 {
	return 100 * float64(u.busy-before.busy) / float64(u.at.Sub(before.at))
}

// wakeups are those a second.
func (u usage) wakeups(before usage) float64 {
	return float64(u.woken-before.woken) / u.at.Sub(before.at).Seconds()
}

// rss is in MB.
func (p *process) rss() float64 { return p.status("VmRSS") }

func (p *process) status(key string) float64 {
	return float64(field(fmt.Sprintf("/proc/%d/status", p.pid), key)) / 1024
}

// forgetPeak has the kernel measure the highest memory anew.
func (p *process) forgetPeak(b testing.TB) {
	b.Helper()
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", p.pid), []byte("5"), 0); err != nil {
		b.Fatal(err)
	}
}

// kernelMemory is what the kernel keeps for a process: marks of inotify and fanotify, and
// memory of BPF maps and programs.
func (p *process) kernelMemory() (marks int, bpf float64) {
	infos, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", p.pid))
	for _, name := range infos {
		for line := range strings.Lines(slurp(name)) {
			words := strings.Fields(line)
			switch {
			case len(words) > 1 && (words[0] == "inotify" || words[0] == "fanotify" && !strings.HasPrefix(words[1], "flags")):
				marks++
			case len(words) == 2 && words[0] == "memlock:":
				n, _ := strconv.ParseFloat(words[1], 64)
				bpf += n / (1 << 20)
			}
		}
	}
	return marks, bpf
}
