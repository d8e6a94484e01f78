package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkIdle is what an agent costs on a node where nothing happens: all sources,
// 20,000 protected files, for $NODEGUARD_IDLE (20s). Beside it, where it is installed,
// prometheus-node-exporter scraped once a second.
func BenchmarkIdle(b *testing.B) {
	if os.Geteuid() != 0 {
		b.Skip("making namespaces needs root")
	}
	during, err := time.ParseDuration(os.Getenv("NODEGUARD_IDLE"))
	if err != nil {
		during = 20 * time.Second
	}
	b.Run("agent", func(b *testing.B) {
		agent := idleAgent(b)
		// Until the memory of the start has been given back.
		time.Sleep(settledAfter + 10*time.Second)
		for b.Loop() {
			measured(b, agent, during)
		}
	})
	b.Run("node-exporter", func(b *testing.B) {
		name, err := exec.LookPath("prometheus-node-exporter")
		if err != nil {
			b.Skip("prometheus-node-exporter is not installed")
		}
		exporter := started(b, exec.Command(name, "--web.listen-address=127.0.0.1:19100"))
		scrape := time.NewTicker(time.Second)
		defer scrape.Stop()
		go func() {
			for range scrape.C {
				if r, err := http.Get("http://127.0.0.1:19100/metrics"); err == nil {
					_ = r.Body.Close()
				}
			}
		}()
		time.Sleep(5 * time.Second)
		for b.Loop() {
			measured(b, exporter, during)
		}
	})
}

// idleAgent starts the real agent, with nothing of the tests in it, on a host of
// its own and returns when it has recorded its baseline.
func idleAgent(b *testing.B) (pid int) {
	b.Helper()
	binary, tree := filepath.Join(b.TempDir(), "nodeguard"), b.TempDir()
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	for i := range 20_000 {
		name := filepath.Join(tree, strconv.Itoa(i/200), strconv.Itoa(i))
		err := os.MkdirAll(filepath.Dir(name), 0o755)
		if err == nil {
			err = os.WriteFile(name, []byte(name), 0o644)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	const script = `set -eu
mount --make-rprivate /
mount -t proc proc /proc
for dir in /var/lib /etc /run /usr/lib/sysctl.d; do mount -t tmpfs -o mode=755 tmpfs $dir; done
mkdir /etc/kubernetes
mount --bind "$2" /etc/kubernetes
ip link set lo up
echo 1 >/proc/sys/net/ipv4/ip_forward
exec "$1" agent --standalone --profile ack --baseline-settle 0 --web.listen-address 127.0.0.1:19639`
	cmd := exec.Command("sh", "-c", script, "sh", binary, tree)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	log, err := cmd.StderrPipe()
	if err != nil {
		b.Fatal(err)
	}
	pid = started(b, cmd)
	said := bufio.NewScanner(log)
	for !strings.Contains(said.Text(), `"msg":"baseline recorded"`) {
		if !said.Scan() {
			b.Fatalf("the agent ended: %v, last said %s", said.Err(), said.Text())
		}
	}
	go func() {
		for said.Scan() { // or it would wait for a reader
		}
	}()
	return pid
}

// started is a process that ends with the benchmark.
func started(b *testing.B, cmd *exec.Cmd) (pid int) {
	b.Helper()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd.Process.Pid
}

// measured reports what a process costs: by schedstat, since ticks miss what is short.
func measured(b *testing.B, pid int, during time.Duration) {
	b.Helper()
	busy, woken := threads(b, pid)
	time.Sleep(during)
	busyAfter, wokenAfter := threads(b, pid)
	b.ReportMetric(100*float64(busyAfter-busy)/float64(during.Nanoseconds()), "%core")
	b.ReportMetric(float64(wokenAfter-woken)/during.Seconds(), "wakeups/s")
	for _, field := range []string{"VmRSS", "RssAnon", "RssFile"} {
		b.ReportMetric(float64(inStatus(b, fmt.Sprintf("/proc/%d/status", pid), field))/1024, "MB-"+field)
	}
}

// threads adds up the time on a processor, in nanoseconds, and the times that a
// thread was woken.
func threads(b *testing.B, pid int) (busy, woken int64) {
	b.Helper()
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		b.Fatalf("process %d has ended (%v)", pid, err)
	}
	for _, task := range tasks {
		data, err := os.ReadFile(task + "/schedstat")
		if err != nil {
			b.Fatal(err)
		}
		ran, err := strconv.ParseInt(strings.Fields(string(data))[0], 10, 64)
		if err != nil {
			b.Fatal(err)
		}
		busy, woken = busy+ran, woken+inStatus(b, task+"/status", "voluntary_ctxt_switches")
	}
	return busy, woken
}

func inStatus(b *testing.B, name, field string) int64 {
	b.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if rest, found := strings.CutPrefix(line, field+":"); found {
			n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return n
		}
	}
	b.Fatalf("%s has no %s", name, field)
	return 0
}
