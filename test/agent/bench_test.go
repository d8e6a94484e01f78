package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

const benchInside = "NODEGUARD_BENCH_HOST"

// BenchmarkDetection measures from a change on the host to the condition at a
// watcher of the API, beside a bare PATCH of nodes/status in the same run:
//
//	NODEGUARD_APISERVER=$(hack/apiserver.sh) go test -run '^$' -bench Detection ./agent
func BenchmarkDetection(b *testing.B) {
	if os.Getenv(benchInside) == "" {
		inNamespaces(b)
		return
	}
	settleHost(b)
	c := newCluster(b)
	write(b, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
	defer c.agent(b)()
	c.settled(b)
	updates := c.messages(b)
	var patch, sysctl, file []time.Duration
	for n := range 100 {
		patch = append(patch, measure(b, updates, fmt.Sprintf("bare %d.", n), func() {
			c.patchStatus(b, fmt.Sprintf(`{"status":{"conditions":[{"type":"Bare","status":"True","message":"bare %d."}]}}`, n))
		}))
		port := 40000 + n
		sysctl = append(sysctl, measure(b, updates, fmt.Sprintf("is %d 60000", port), func() {
			write(b, "/proc/sys/net/ipv4/ip_local_port_range", fmt.Sprintf("%d 60000", port))
		}))
		mode := os.FileMode(0o600 + n%8)
		file = append(file, measure(b, updates, fmt.Sprintf("/var/lib/kubelet/config.yaml is mode %04o", mode), func() {
			if err := os.Chmod("/var/lib/kubelet/config.yaml", mode); err != nil {
				b.Fatal(err)
			}
		}))
	}
	for _, r := range []struct {
		name  string
		times []time.Duration
	}{{"patch", patch}, {"sysctl", sysctl}, {"file", file}} {
		slices.Sort(r.times)
		b.Logf("%s: slowest %v", r.name, r.times[len(r.times)-5:])
		b.ReportMetric(ms(r.times[len(r.times)/2]), r.name+"-p50-ms")
		b.ReportMetric(ms(r.times[len(r.times)*99/100]), r.name+"-p99-ms")
	}
	b.ReportMetric(float64(sysctl[len(sysctl)/2])/float64(patch[len(patch)/2]), "sysctl-p50/patch-p50")
	b.ReportMetric(float64(file[len(file)/2])/float64(patch[len(patch)/2]), "file-p50/patch-p50")
	b.ReportMetric(0, "ns/op")
}

// pace keeps changes apart: a condition is written at most ten times a second.
const pace = 150 * time.Millisecond

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// messages follows all messages of the Node's conditions.
func (c *cluster) messages(b *testing.B) <-chan string {
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

// measure returns how long it takes from the change to the watcher. The events
// of before are not what is waited for: every message is another one.
func measure(b *testing.B, updates <-chan string, words string, change func()) time.Duration {
	time.Sleep(pace)
	start := time.Now()
	change()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case message := <-updates:
			if strings.Contains(message, words) {
				return time.Since(start)
			}
		case <-timeout:
			b.Fatalf("no watcher saw %q", words)
		}
	}
}

// inNamespaces runs the benchmark as pid 1 of a host of its own.
func inNamespaces(b *testing.B) {
	cmd := exec.Command("/proc/self/exe", "-test.run=^$", "-test.bench=^"+b.Name()+"$", "-test.benchtime=1x")
	cmd.Env = append(os.Environ(), benchInside+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "Benchmark") || strings.Contains(line, "slowest") {
			b.Log(strings.TrimSpace(line))
		}
	}
}

// settleHost gives the namespaces a /proc of their own and keeps mounts inside.
func settleHost(b *testing.B) {
	run(b, "mount", "--make-rprivate", "/")
	run(b, "mount", "-t", "proc", "proc", "/proc")
}
