package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/components"
	"github.com/nodeguard/nodeguard/internal/control"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/journal"
	"github.com/nodeguard/nodeguard/internal/sysctl"
)

const (
	baselineFile = host.StateDir + "/baseline/baseline.jsonl"
	lost         = `"msg":"state cannot be kept`
	kept         = `"msg":"state is kept again"`
	recorded     = `"msg":"baseline recorded"`
)

// upTo returns the lines of the log up to one with all of these in it.
func (a *running) upTo(parts ...string) []string {
	a.t.Helper()
	var seen []string
	for line := range a.lines {
		if seen = append(seen, line); containsAll(line, parts) {
			return seen
		}
	}
	a.t.Fatalf("the agent ended without saying %q: %s", parts, strings.Join(seen, "\n"))
	return nil
}

func count(lines []string, part string) int {
	n := 0
	for _, l := range lines {
		if strings.Contains(l, part) {
			n++
		}
	}
	return n
}

// forwarding switches forwarding and waits for what the agent says of it.
func (a *running) forwarding(on bool) []string {
	a.t.Helper()
	if on {
		hosttest.Sysctl(a.t, "net/ipv4/ip_forward", "1")
		return a.upTo(`"msg":"cleared"`, `"net.ipv4.ip_forward"`)
	}
	hosttest.Sysctl(a.t, "net/ipv4/ip_forward", "0")
	return a.upTo(`"msg":"raised"`, `"net.ipv4.ip_forward"`)
}

func hostRoot(t *testing.T) *host.Root {
	t.Helper()
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

// checkState checks that journal and baseline are whole and which parameters are open.
func checkState(t *testing.T, open ...string) []drift.FindingReport {
	t.Helper()
	root := hostRoot(t)
	entries, damaged, err := journal.Read(root)
	if err != nil || damaged > 0 {
		t.Errorf("journal: %d damaged lines, %v", damaged, err)
	}
	alternating(t, entries)
	findings := journal.OpenFindings(entries)
	var subjects []string
	for _, f := range findings {
		if f.Condition == "KernelParameterDrift" && f.Severity.Weighs() { // this machine's own values are less than ACK's
			subjects = append(subjects, f.Subject)
		}
	}
	slices.Sort(subjects)
	if !slices.Equal(subjects, open) {
		t.Errorf("open in the journal: %q, want %q", subjects, open)
	}
	if _, err := baseline.NewStore(root).Load(); err != nil {
		t.Errorf("baseline: %v", err)
	}
	return findings
}

// alternating checks that nothing is raised twice or cleared unraised.
func alternating(t *testing.T, entries []journal.Entry) {
	t.Helper()
	open := map[string]bool{}
	for _, e := range entries {
		if e.Event == journal.Archived {
			clear(open) // what comes before is another machine's
		}
		if e.Event != journal.Raised && e.Event != journal.Cleared {
			continue
		}
		if raised := e.Event == journal.Raised; open[e.Finding.ID] == raised {
			t.Errorf("%s of %s at %v follows another one", e.Event, e.Finding.Subject, e.At)
		}
		open[e.Finding.ID] = e.Event == journal.Raised
	}
}

func fill(t *testing.T) {
	t.Helper()
	f, err := os.Create(host.StateDir + "/filler")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
}

func empty(t *testing.T) {
	t.Helper()
	if err := os.Remove(host.StateDir + "/filler"); err != nil {
		t.Fatal(err)
	}
}

// smallState makes the state directory a file system of its own.
func smallState(t *testing.T) {
	t.Helper()
	if err := os.MkdirAll(host.StateDir, 0o700); err != nil {
		t.Fatal(err)
	}
	hosttest.Mount(t, host.StateDir, "-t", "tmpfs", "-o", "mode=700,size=1m", "tmpfs")
}

// The state directory fails while the agent runs: it says so once, judges on, and
// once the directory works again all that happened is in there.
func TestStateDirectoryFillsUp(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	smallState(t)
	a := startAgent(t)
	a.wait(recorded)
	a.forwarding(false)
	fill(t)
	said := a.forwarding(true)
	for count(said, lost) == 0 { // a file takes lines until its last page is full
		said = append(append(said, a.forwarding(false)...), a.forwarding(true)...)
	}
	said = append(said, a.forwarding(false)...)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	said = append(said, a.upTo(`"msg":"raised"`, "tcp_tw_reuse")...)
	if n := count(said, lost); n != 1 {
		t.Errorf("said %d times: %s", n, strings.Join(said, "\n"))
	}
	empty(t)
	if said := a.forwarding(true); count(said, kept) == 0 {
		a.wait(kept)
	}
	a.stop()
	checkState(t, "net.ipv4.tcp_tw_reuse")
}

func TestStateDirectoryCannotBeWrittenFromTheStart(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	remount := func(how string) func(*testing.T) {
		return func(t *testing.T) { hosttest.Run(t, "mount", "-o", "remount,"+how, host.StateDir) }
	}
	for _, c := range []struct {
		name       string
		fail, heal func(*testing.T)
	}{
		{"full", fill, empty},
		{"read-only", remount("ro"), remount("rw")},
	} {
		t.Run(c.name, func(t *testing.T) {
			agentHost(t)
			smallState(t)
			c.fail(t)
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
			a := startAgent(t)
			a.wait(lost)
			said := append(append(a.forwarding(false), a.forwarding(true)...), a.forwarding(false)...)
			if count(said, lost)+count(said, recorded) > 0 {
				t.Errorf("said %s", strings.Join(said, "\n"))
			}
			c.heal(t)
			stop := flipping(t)
			a.wait(recorded)
			stop()
			hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
			a.wait(`"msg":"raised"`, "tcp_tw_reuse")
			a.stop()
			before := checkState(t, "net.ipv4.tcp_tw_reuse")

			a = startAgent(t, "--web.listen-address", "127.0.0.1:19639")
			after := reported(t, "net.ipv4.tcp_tw_reuse")
			a.stop()
			if i := slices.IndexFunc(before, func(f drift.FindingReport) bool { return f.ID == after.ID }); i < 0 || !before[i].Since.Equal(after.Since) {
				t.Errorf("journal %+v, after a restart %+v", before, after)
			}
		})
	}
}

// reported is the open finding of a subject.
func reported(t *testing.T, subject string) drift.FindingReport {
	t.Helper()
	var r drift.Report
	if err := json.Unmarshal(get(t, "/api/v1/report"), &r); err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(r.Findings, func(f drift.FindingReport) bool { return f.Subject == subject && f.State == drift.Active })
	if i < 0 {
		t.Fatalf("%s is not reported: %+v", subject, r.Findings)
	}
	return r.Findings[i]
}

// What was deleted is made anew, with what is open.
func TestStateDirectoryIsDeleted(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	a := startAgent(t)
	a.wait(recorded)
	if err := os.RemoveAll(host.StateDir); err != nil {
		t.Fatal(err)
	}
	if said := a.upTo(recorded); count(said, lost) > 0 {
		t.Errorf("said %s", strings.Join(said, "\n"))
	}
	var stderr bytes.Buffer
	if code := run(t.Context(), []string{"agent", "--standalone"}, &stderr, &stderr); code != 2 {
		t.Errorf("a second agent exits %d: %s", code, &stderr)
	}
	a.stop()
	checkState(t, "net.ipv4.tcp_tw_reuse")
}

// A baseline that cannot be used is left as it is; what needs none is judged.
func TestBaselineThatCannotBeUsed(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	rewrite := func(change func([]byte) []byte) func(*testing.T) {
		return func(t *testing.T) {
			data, err := os.ReadFile(baselineFile)
			if err == nil {
				err = os.WriteFile(baselineFile, change(data), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name   string
		happen func(*testing.T)
	}{
		{"truncated", rewrite(func(b []byte) []byte { return b[:len(b)/2] })},
		{"empty", rewrite(func([]byte) []byte { return nil })},
		{"a bit flipped", rewrite(func(b []byte) []byte { b[len(b)/3] ^= 4; return b })},
		{"of a future version", func(t *testing.T) {
			store := baseline.NewStore(hostRoot(t))
			b, err := store.Load()
			if err == nil {
				b.Format++
				err = store.Save(b)
			}
			if err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			recordedHost(t)
			c.happen(t)
			hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 250\n")
			hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
			before, _ := os.ReadFile(baselineFile)
			a := startAgent(t, "--web.listen-address", "127.0.0.1:19639")
			reported(t, "net.ipv4.ip_forward")
			var r drift.Report
			if err := json.Unmarshal(get(t, "/api/v1/report"), &r); err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{"KubernetesPathDrift", "ComponentConfigDrift"} {
				if i := slices.IndexFunc(r.Conditions, func(c drift.Condition) bool { return c.Type == want }); i < 0 || r.Conditions[i].Status != drift.Unknown {
					t.Errorf("%s: %+v", want, r.Conditions)
				}
			}
			a.stop()
			if after, _ := os.ReadFile(baselineFile); !bytes.Equal(before, after) {
				t.Error("the file was written to")
			}
		})
	}
}

// recordedHost is a host with a baseline.
func recordedHost(t *testing.T) {
	t.Helper()
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/cloud/data/instance-id", "i-1\n")
	hosttest.Write(t, "/", "/var/lib/cloud/data/result.json", "{}")
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	a := startAgent(t)
	a.wait(recorded)
	a.stop()
}

func TestBaselineOfAnotherMachineIsArchived(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	recordedHost(t)
	before, err := os.ReadFile(baselineFile)
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Write(t, "/", "/var/lib/cloud/data/instance-id", "i-2\n")
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 250\n")
	hosttest.Sysctl(t, "net/ipv4/ip_forward", "0")
	a := startAgent(t)
	said := append(a.upTo(`"msg":"raised"`, "ip_forward"), a.upTo(recorded)...)
	if count(said, "maxPods") > 0 {
		t.Errorf("compared with another machine: %s", strings.Join(said, "\n"))
	}
	a.stop()
	checkState(t, "net.ipv4.ip_forward")
	archived, _ := filepath.Glob(baselineFile + ".2*")
	if len(archived) != 1 {
		t.Fatalf("archived %q", archived)
	}
	if kept, err := os.ReadFile(archived[0]); err != nil || !bytes.Equal(before, kept) {
		t.Errorf("another one was archived (%v)", err)
	}
}

// kills is how often the agent is killed at a point of its start or its work;
// $NODEGUARD_KILLS says another number.
const kills = 200

func TestKilledAtAnyMoment(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", "maxPods: 110\n")
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1") // stays open all the time
	config := quickConfig(t)
	a := startAgent(t, "--config", config)
	a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	a.wait(recorded)
	a.stop()
	root, program := hostRoot(t), builtAgent(t)
	stopFlipping, stopAccepting := flipping(t), acceptingAll(t, root)
	damaged, removed := 0, false
	often, err := strconv.Atoi(cmp.Or(os.Getenv("NODEGUARD_KILLS"), strconv.Itoa(kills)))
	if err != nil {
		t.Fatal(err)
	}
	for i := range often {
		if i%8 == 5 { // so that the next run records it
			if err := os.Remove(baselineFile); err != nil && !(removed && errors.Is(err, fs.ErrNotExist)) {
				t.Fatal(err)
			}
			removed = true
		}
		killedAfter(t, program, 1+rand.IntN(30), "--config", config)
		entries, now, err := journal.Read(root)
		if err != nil || now > damaged+1 || now > damaged && !endsTorn(t) {
			t.Errorf("kill %d: %d damaged lines after %d, %v", i, now, damaged, err)
		}
		damaged = now
		alternating(t, entries)
		switch _, err := baseline.NewStore(root).Load(); {
		case err == nil:
			removed = false // it was recorded anew
		case !removed || !errors.Is(err, baseline.ErrNone):
			t.Errorf("kill %d: %v", i, err)
		}
	}
	stopFlipping()
	stopAccepting()
	a = startAgent(t, "--config", config, "--web.listen-address", "127.0.0.1:19639")
	after := reported(t, "net.ipv4.tcp_tw_reuse")
	a.stop()
	entries, _, err := journal.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	cycles, accepted := 0, 0
	for _, e := range entries {
		if e.Event == journal.Raised && e.Finding.ID == after.ID && !e.Finding.Since.Equal(after.Since) {
			t.Errorf("raised at %v, reported since %v", e.Finding.Since, after.Since)
		}
		if e.Event == journal.Cleared {
			cycles++
		}
		if e.Event == journal.Accepted {
			accepted++
		}
	}
	t.Logf("%d raised and cleared, %d accepted, %d damaged lines", cycles, accepted, damaged)
	if cycles < often/4 || accepted == 0 {
		t.Errorf("the agent was killed before it did anything: %d cycles, %d accepted", cycles, accepted)
	}
}

// quickConfig leaves on what is quick to start: parameters, and components for a
// baseline.
func quickConfig(t *testing.T) (name string) {
	t.Helper()
	var lines strings.Builder
	lines.WriteString("checks:\n")
	for _, check := range checkNames() {
		if check != sysctl.Name && check != components.Name {
			lines.WriteString("  " + check + ": {enabled: false}\n")
		}
	}
	hosttest.Write(t, "/run", "nodeguard.yaml", lines.String())
	return "/run/nodeguard.yaml"
}

// flipping switches forwarding to and fro, as fast as is heard of.
func flipping(t *testing.T) (stop func()) {
	t.Helper()
	ended := make(chan struct{})
	var flips sync.WaitGroup
	flips.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-ended:
				return
			case <-time.After(5 * time.Millisecond):
			}
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte{"01"[i%2]}, 0); err != nil {
				t.Error(err)
			}
		}
	})
	return func() {
		close(ended)
		flips.Wait()
		hosttest.Sysctl(t, "net/ipv4/ip_forward", "1")
	}
}

// acceptingAll changes the kubelet's configuration and has whichever agent runs accept it,
// again and again.
func acceptingAll(t *testing.T, root *host.Root) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var accepts sync.WaitGroup
	accepts.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			hosttest.Write(t, "/", "/var/lib/kubelet/config.yaml", fmt.Sprintf("maxPods: %d\n", 110+i%7))
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
			_, _ = control.Accept(ctx, root, control.AcceptRequest{Reason: "CHG-1"}) // most of the time none answers
		}
	})
	return func() {
		cancel()
		accepts.Wait()
	}
}

// killedAfter starts an agent and kills it once it has said that many lines.
func killedAfter(t *testing.T, program string, lines int, args ...string) {
	t.Helper()
	cmd := exec.Command(program, append([]string{"agent", "--standalone", "--profile", "ack", "--baseline-settle", "0", "--web.listen-address", ""}, args...)...)
	log, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(log)
	for range lines {
		if !said.Scan() {
			t.Errorf("the agent ended by itself: %v", said.Err())
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

func endsTorn(t *testing.T) bool {
	t.Helper()
	data, err := os.ReadFile(host.StateDir + "/journal/journal.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	return !bytes.HasSuffix(data, []byte("\n"))
}
