package bench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/test/apiserver"
)

const (
	changesPerRun = 20
	// pace keeps changes apart: a condition is written at most ten times a second.
	pace = 150 * time.Millisecond
)

// BenchmarkLatency measures from before a change until a watcher of the API has it.
func BenchmarkLatency(b *testing.B) {
	alone(b, func(b *testing.B, r *result) {
		r.How = "In turns: a bare PATCH of nodes/status, and a change per source. Each is timed from before the change until a watcher of the Node has its condition. " +
			"The polling script is `while sleep 1; do sysctl -n …; done` with curl for its PATCH, in the same run, at a phase of its own."
		write(b, "/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
		c := newCluster(b)
		l := &latency{cluster: c, kubelet: startKubelet(b, 110)}
		c.agent(b)
		l.updates = c.messages(b)
		l.shell = interactiveNFT(b)
		all := map[string][]float64{}
		kinds := []struct {
			name  string
			visit func(*testing.B, int) float64
		}{{"PATCH", l.bare}, {"sysctl", l.sysctl}, {"file", l.file}, {"nft rule", l.rule}, {"kubelet flag", l.flag}}
		for _, kind := range kinds { // the first of each is slower, whoever does it
			kind.visit(b, 0)
		}
		for i := range runs {
			took := map[string][]float64{}
			for n := range changesPerRun {
				for _, kind := range kinds {
					took[kind.name] = append(took[kind.name], kind.visit(b, 1+i*changesPerRun+n))
				}
			}
			for _, kind := range kinds {
				r.add(kind.name+", p50", "ms", percentile(took[kind.name], 50))
				all[kind.name] = append(all[kind.name], took[kind.name]...)
			}
			for _, kind := range kinds[1:] {
				r.ratio(kind.name+" / PATCH, p50", percentile(took[kind.name], 50), percentile(took["PATCH"], 50))
			}
			r.add("script that polls every 1 s", "ms", l.polled(b, i))
		}
		for _, kind := range kinds[1:] {
			r.boundByMedian(kind.name+" p50", kind.name+" / PATCH, p50")
			r.bound(kind.name+" p99", percentile(all[kind.name], 99))
		}
		r.note("p99 of the bare PATCH: %s ms; p99 is over all %d changes of a kind.", figure(percentile(all["PATCH"], 99)), len(all["PATCH"]))
		r.note("The script at 1 s takes %s × as long as the agent at the median; one that polls every 30 s sees a change 15 s after it on average, and 30 s at worst: that is its period, and was not measured.",
			figure(r.of("script that polls every 1 s").median()/r.of("sysctl, p50").median()))
		r.note("The kubelet with another flag already runs when the one before ends: without systemd's bus a pidfd alone tells of it.")
	})
}

type latency struct {
	*cluster
	updates <-chan string
	shell   io.Writer
	kubelet *exec.Cmd
}

func (l *latency) bare(b *testing.B, n int) float64 {
	return l.timed(b, fmt.Sprintf("bare %d.", n), func() {
		l.patch(b, fmt.Sprintf(`{"status":{"conditions":[{"type":"Bare","status":"True","message":"bare %d."}]}}`, n), "status")
	})
}

func (l *latency) sysctl(b *testing.B, n int) float64 {
	port := 40000 + n
	return l.timed(b, fmt.Sprintf("is %d 60000", port), func() {
		write(b, "/proc/sys/net/ipv4/ip_local_port_range", fmt.Sprintf("%d 60000", port))
	})
}

func (l *latency) file(b *testing.B, n int) float64 {
	mode := os.FileMode(0o600 + n%8)
	return l.timed(b, fmt.Sprintf("/var/lib/kubelet/config.yaml is mode %04o", mode), func() {
		if err := os.Chmod("/var/lib/kubelet/config.yaml", mode); err != nil {
			b.Fatal(err)
		}
	})
}

// rule puts another table in place of the last one, in one commit.
func (l *latency) rule(b *testing.B, n int) float64 {
	return l.timed(b, fmt.Sprintf("inet t%d ", n), func() {
		script := fmt.Sprintf("add table inet t%d; add chain inet t%d c { type filter hook input priority 0; policy accept; }; add rule inet t%d c tcp dport 9 drop", n, n, n)
		if n > 0 {
			script = fmt.Sprintf("delete table inet t%d; ", n-1) + script
		}
		if _, err := fmt.Fprintln(l.shell, script); err != nil {
			b.Fatal(err)
		}
	})
}

func (l *latency) flag(b *testing.B, n int) float64 {
	before := l.kubelet
	l.kubelet = startKubelet(b, 200+n)
	return l.timed(b, fmt.Sprintf("--max-pods is %d", 200+n), func() { stop(before) })
}

// timed tells how long it takes from the change to the watcher.
func (l *latency) timed(b *testing.B, words string, change func()) float64 {
	b.Helper()
	time.Sleep(pace)
	began := time.Now()
	change()
	last, timeout := "", time.After(20*time.Second)
	for {
		select {
		case last = <-l.updates:
			if strings.Contains(last, words) {
				return ms(time.Since(began))
			}
		case <-timeout:
			b.Fatalf("no watcher saw %q; last: %s", words, last)
		}
	}
}

const poller = `while sleep 1; do
  now=$(sysctl -n net.ipv4.ip_local_port_range | tr '\t' ' ')
  [ "$now" = "$last" ] && continue
  last=$now
  curl -s -o /dev/null -k -X PATCH -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/strategic-merge-patch+json' \
    -d '{"status":{"conditions":[{"type":"Polled","status":"True","message":"polled '"$now"'"}]}}' "$URL/api/v1/nodes/$NODE/status"
done`

// polled is how long a shell loop takes to tell.
func (l *latency) polled(b *testing.B, n int) float64 {
	config := l.server.Config(apiserver.AdminToken)
	script := exec.Command("sh", "-c", poller)
	script.Env = append(os.Environ(), "TOKEN="+config.BearerToken, "URL="+config.Host, "NODE="+node)
	script.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := script.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-script.Process.Pid, syscall.SIGKILL)
		_ = script.Wait()
	}()
	time.Sleep(time.Second + rand.N(time.Second))
	port := 41000 + n
	return l.timed(b, fmt.Sprintf("polled %d 60000", port), func() {
		write(b, "/proc/sys/net/ipv4/ip_local_port_range", fmt.Sprintf("%d 60000", port))
	})
}

// interactiveNFT is one nft for all rules: starting it takes longer than a commit.
func interactiveNFT(b *testing.B) io.Writer {
	b.Helper()
	cmd := exec.Command("nft", "-i")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return in
}

// startKubelet starts a process of that name and returns when it runs.
func startKubelet(b testing.TB, maxPods int) *exec.Cmd {
	b.Helper()
	const name = "/var/lib/kubelet-binary/kubelet"
	if _, err := os.Stat(name); err != nil {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			b.Fatal(err)
		}
		run(b, "install", "/bin/bash", name)
	}
	cmd := exec.Command(name, "-c", "echo up; read", "kubelet", fmt.Sprintf("--max-pods=%d", maxPods))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if _, err := cmd.StdinPipe(); err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = out.Read(make([]byte, 3))
	}
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { stop(cmd) }) // and holds its input open
	return cmd
}

// stop may be called again.
func stop(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
