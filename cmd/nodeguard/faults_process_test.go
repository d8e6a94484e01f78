package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

// A kubelet that is killed and started again all the time: the agent neither ends nor
// tells of what is not there, and knows in the end what runs.
func TestKubeletKilledInALoop(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	stop := fakeKubelet(t, "--config=/var/lib/kubelet/config.yaml", "--max-pods=110")
	a := startAgent(t, served...)
	a.wait(recorded)
	for range 200 {
		stop()
		stop = fakeKubelet(t, "--config=/var/lib/kubelet/config.yaml", "--max-pods=110")
	}
	stop()
	stop = fakeKubelet(t, "--config=/var/lib/kubelet/config.yaml", "--max-pods=250")
	for _, line := range a.upTo(`"msg":"raised"`, "--max-pods") {
		if strings.Contains(line, `"msg":"raised"`) && strings.Contains(line, "kubelet") && !strings.Contains(line, "max-pods") {
			t.Errorf("said of a restart: %s", line)
		}
	}
	stop()
	stop = fakeKubelet(t, "--config=/var/lib/kubelet/config.yaml", "--max-pods=110")
	a.wait(`"msg":"cleared"`, "--max-pods")
	stop()
	a.stop()
	checkState(t)
}

// The configuration is swapped for garbage all the time: the last good one stays, each
// time is said, and the next good one is taken.
func TestConfigurationSwappedForGarbage(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	file := quickConfig(t)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	a, process := startProgram(t, builtAgent(t), nil, "--config", file, "--web.listen-address", "")
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	a.wait(recorded)
	hangUp := func(t *testing.T) {
		t.Helper()
		if err := process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	garbage := []string{"", "\x00\xff\xfe", "checks: [", "a: &a [*a, *a]\n", strings.Repeat("{", 10_000), "waivers: 7\n", "waivers: [{}]\n", "profile: [ack]\n---\nx\n", strings.Repeat("x", 1<<20), "checks: {sysctl: {enabled: 7}}\n"}
	var before int
	for i := range 1000 {
		if i == 100 { // all sources are armed by then
			before = descriptorsOf(t, process)
		}
		text := garbage[i%len(garbage)]
		if text == "" { // is a configuration: all as if there were none
			text = "languag: en\n"
		}
		swap(t, file, text)
		hangUp(t)
		for _, line := range a.upTo("last good one stays") {
			if strings.Contains(line, "raised") || strings.Contains(line, "cleared") {
				t.Fatalf("%q changed what is said: %s", text[:min(20, len(text))], line)
			}
			if len(line) > 4096 {
				t.Fatalf("%q makes a line of %d bytes", text[:min(20, len(text))], len(line))
			}
		}
	}
	if after := descriptorsOf(t, process); after > before+5 {
		t.Errorf("%d descriptors, then %d", before, after)
	}
	swap(t, file, string(good)+"disabled: [ack.net.tcp-tw-reuse]\n")
	hangUp(t)
	a.wait(`"msg":"cleared"`, "tcp_tw_reuse")
	a.stop()
	checkState(t)
}

func descriptorsOf(t *testing.T, process *os.Process) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// swap puts another file in a file's place, as a ConfigMap does.
func swap(t *testing.T, name, content string) {
	t.Helper()
	err := os.WriteFile(name+".new", []byte(content), 0o644)
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Stopped for a while: what happened meanwhile is found when it goes on, with nothing lost.
func TestStoppedAndContinued(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	a, process := startProcess(t, nil, served...)
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	a.wait(recorded)
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	for i := range 20_000 { // more than any queue of the kernel's holds
		hosttest.Sysctl(t, "net/ipv4/ip_forward", strconv.Itoa((i+1)%2))
	}
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
	for i := range 20_000 {
		name := fmt.Sprintf("/var/lib/kubelet/f%d", i)
		if err := os.WriteFile(name, nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 250\n")
	signal(syscall.SIGCONT)
	a.waitAll(`"msg":"raised"|"net.ipv4.ip_forward"`, `"msg":"cleared"|tcp_tw_reuse`, `"msg":"raised"|"/var/lib/kubelet/config.yaml"`)
	if code := a.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
	checkState(t, "net.ipv4.ip_forward")
}

// An agent that may open only so many files finds what is out of support, says that it
// cannot tell, or ends with an error; it does not crash, and takes nothing for missing.
func TestDescriptorLimit(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a := startAgent(t)
	a.wait(recorded)
	a.stop()
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
	for _, limit := range []string{"8", "12", "16", "20", "24", "32", "40", "48", "64", "96"} {
		a, _ := startProcess(t, []string{"prlimit", "--nofile=" + limit + ":" + limit}, "--web.listen-address", "")
		known := ""
		for line := range a.lines {
			if strings.Contains(line, "panic") || strings.Contains(line, "/var/lib/kubelet/config.yaml") && strings.Contains(line, `"raised"`) {
				t.Errorf("with %s descriptors: %s", limit, line)
			}
			if containsAll(line, []string{`"msg":"raised"`, `"net.ipv4.ip_forward"`}) || containsAll(line, []string{"cannot tell", "KernelParameterDrift"}) {
				known = line
				break
			}
		}
		code := a.stop()
		hosttest.Run(t, "rm", "-rf", "/var/lib/nodeguard/journal") // or the next one knows
		if known == "" && code != 2 {
			t.Errorf("with %s descriptors: exit %d without a word", limit, code)
		}
		t.Logf("with %s descriptors: exit %d, %.100s", limit, code, known)
	}
	a = startAgent(t, served...)
	a.wait(`"msg":"raised"`, `"net.ipv4.ip_forward"`)
	if r := wholeReport(t); !quiet(r) {
		t.Errorf("%+v %+v", r.Findings, r.Unknown)
	}
	a.stop()
	checkState(t, "net.ipv4.ip_forward")
}

// The kernel ends an agent that needs more memory than it may have: whatever it was
// doing, the next one finds its state whole and goes on with what was open.
func TestMemoryLimit(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	group := memoryGroup(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	a := startAgent(t)
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	a.wait(recorded)
	a.stop()
	killed := 0
	for _, limit := range []string{"12M", "16M", "24M", "32M", "48M", "64M"} {
		write(t, group+"/"+memoryMax(group), limit)
		a, process := startProcess(t, []string{"sh", "-c", `echo $$ >"$0/cgroup.procs"; exec "$@"`, group})
		select {
		case code := <-ended(a):
			if code == 0 {
				t.Errorf("with %s: exit 0", limit)
			}
			killed++
		case <-time.After(3 * time.Second): // it is content with that
			_ = process.Kill()
			<-a.code
		}
	}
	if killed == 0 {
		t.Error("the limit was never hit")
	}
	checkState(t, "net.ipv4.tcp_tw_reuse")
	a = startAgent(t, served...)
	reported(t, "net.ipv4.tcp_tw_reuse")
	a.stop()
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// ended reads the log until it ends.
func ended(a *running) <-chan int {
	go func() {
		for range a.lines {
		}
	}()
	return a.code
}

// memoryGroup is a cgroup of the test's own, of either version.
func memoryGroup(t *testing.T) string {
	t.Helper()
	for _, parent := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/memory"} {
		if data, err := os.ReadFile(parent + "/cgroup.controllers"); parent == "/sys/fs/cgroup" && (err != nil || !strings.Contains(string(data), "memory")) {
			continue
		}
		dir := filepath.Join(parent, fmt.Sprintf("nodeguard-test-%d", time.Now().UnixNano()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			continue
		}
		t.Cleanup(func() { _ = os.Remove(dir) })
		if _, err := os.Stat(dir + "/" + memoryMax(dir)); err == nil {
			return dir
		}
	}
	t.Skip("no memory controller of control groups can be used here, which the limit takes")
	return ""
}

func memoryMax(group string) string {
	if _, err := os.Stat(group + "/memory.limit_in_bytes"); err == nil {
		return "memory.limit_in_bytes"
	}
	return "memory.max"
}

// Others of the same user have all inotify instances or watches: sources poll and say
// so, and what is out of support is found.
func TestInotifyExhaustedByOthers(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a, _ := startProcess(t, []string{"unshare", "--user", "--map-root-user", "sh", "-c", `echo 0 >/proc/sys/user/max_inotify_instances; echo 0 >/proc/sys/user/max_inotify_watches; echo 0 >/proc/sys/user/max_fanotify_groups; exec "$@"`, "sh"}, served...)
	a.wait(`"source":"inotify","mode":"poll"`)
	awaitReport(t, func(r drift.Report) bool { return len(r.Conditions) > 0 })
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
	a.wait(`"msg":"cleared"`, "tcp_tw_reuse")
	if code := a.stop(); code != 0 {
		t.Errorf("exit %d", code)
	}
}
