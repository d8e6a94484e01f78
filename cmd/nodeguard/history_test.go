package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// emptyJournal is the journal of a host without anything else.
func emptyJournal(t *testing.T) (root string, j *journal.Journal) {
	t.Helper()
	root = t.TempDir()
	h, err := host.Open(root)
	if err != nil {
		t.Fatal(err)
	}
	if j, err = journal.Open(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = j.Close()
		_ = h.Close()
	})
	return root, j
}

func happened(t *testing.T, j *journal.Journal, event journal.Event, detail string) {
	t.Helper()
	if err := j.Append(journal.Entry{At: now(), Event: event, Detail: detail}); err != nil {
		t.Fatal(err)
	}
}

// following is a `history --follow` of its own, and what it prints.
func following(t *testing.T, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = append([]string{"nodeguard", "history", "--follow"}, args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd, bufio.NewReader(out)
}

func printed(t *testing.T, out *bufio.Reader) string {
	t.Helper()
	line, err := out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return line
}

// --follow goes on with what happens, through rotations, until it is interrupted, which
// is no error.
func TestHistoryFollows(t *testing.T) {
	for _, signal := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		root, j := emptyJournal(t)
		happened(t, j, journal.Recorded, "first")
		cmd, out := following(t, "--root", root)
		if line := printed(t, out); !strings.HasPrefix(line, "WHEN ") {
			t.Errorf("the header is %q", line)
		}
		for _, detail := range []string{"first", "second", "third", "fourth"} {
			if detail != "first" {
				happened(t, j, journal.Recorded, detail)
			}
			if line := printed(t, out); !strings.HasSuffix(line, " "+detail+"\n") {
				t.Errorf("after %s it prints %q", detail, line)
			}
			if detail == "second" {
				j.Bound(journal.Limits{MaxSize: 2})
			}
		}
		if err := cmd.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		if rest, err := io.ReadAll(out); err != nil || len(rest) > 0 {
			t.Errorf("it ends with %q, %v", rest, err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("interrupted by %v: %v", signal, err)
		}
	}
}

// For programs, --follow prints a line each.
func TestHistoryFollowsInLines(t *testing.T) {
	root, j := emptyJournal(t)
	happened(t, j, journal.Blind, "VolumeMountDrift: no mountinfo")
	_, out := following(t, "--root", root, "-o", "json", "--condition", "VolumeMountDrift")
	var e happening
	if err := json.Unmarshal([]byte(printed(t, out)), &e); err != nil || e.Event != journal.Blind {
		t.Fatalf("%+v, %v", e, err)
	}
	happened(t, j, journal.Recorded, "nothing of it")
	happened(t, j, journal.Sighted, "VolumeMountDrift")
	if err := json.Unmarshal([]byte(printed(t, out)), &e); err != nil || e.Event != journal.Sighted || e.LastedSeconds == nil {
		t.Fatalf("%+v, %v", e, err)
	}
}

// What a clock that steps back says of a duration is nothing.
func TestHistoryWithoutNegativeDurations(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var told telling
	for event, lasted := range map[journal.Entry]bool{
		{At: at, Event: journal.Cleared, Finding: &drift.FindingReport{Since: at.Add(-time.Hour)}}: true,
		{At: at, Event: journal.Cleared, Finding: &drift.FindingReport{Since: at.Add(time.Hour)}}:  false,
		{At: at, Event: journal.Cleared, Finding: &drift.FindingReport{}}:                          false,
		{At: at, Event: journal.Sighted, Detail: "VolumeMountDrift"}:                               false, // the beginning is gone
	} {
		if got := told.happening(event).LastedSeconds; (got != nil) != lasted {
			t.Errorf("%s: %v", event.Event, got)
		}
	}
}

// What the journal has is in the log once, too; a waiver that ends counts again at
// that moment, and its end was a metric all the while.
func TestWaiverOfTheAgent(t *testing.T) {
	if !hosttest.Alone(t) {
		return
	}
	agentHost(t)
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "1")
	ends := now().Add(4 * time.Second)
	config := quickConfig(t)
	checks, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	hosttest.Write(t, "/run", "nodeguard.yaml", string(checks)+
		"waivers:\n  - {operation: ack.net.tcp-tw-reuse, reason: CHG-1, owner: team-net, expires: "+ends.Format(time.RFC3339)+"}\n")
	a := startAgent(t, "--config", config, "--web.listen-address", "127.0.0.1:19639")
	raised := a.wait(`"msg":"raised"`, "tcp_tw_reuse")
	if waiver, _ := raised["waiver"].(map[string]any); waiver["owner"] != "team-net" || raised["level"] != "INFO" {
		t.Errorf("raised: %v", raised)
	}
	metrics := string(get(t, "/metrics"))
	if want := `nodeguard_waiver_expiry_timestamp_seconds{operation="ack.net.tcp-tw-reuse",owner="team-net",subject="*"} `; !strings.Contains(metrics, want) {
		t.Errorf("no %s", want)
	}
	said := a.upTo(`"msg":"not waived any more"`, "tcp_tw_reuse")
	if early := time.Until(ends); early > 0 {
		t.Errorf("it counts again %v before the end", early)
	}
	hosttest.Sysctl(t, "net/ipv4/tcp_tw_reuse", "2")
	said = append(said, a.upTo(`"msg":"cleared"`, "tcp_tw_reuse")...)
	a.stop()
	entries, damaged, err := journal.Read(hostRoot(t))
	if err != nil || damaged > 0 {
		t.Fatal(damaged, err)
	}
	events := map[journal.Event]int{}
	for _, e := range entries {
		if e.Finding == nil || strings.Contains(e.Finding.Subject, "tcp_tw_reuse") {
			events[e.Event]++
		}
	}
	for _, event := range []journal.Event{journal.Raised, journal.Unwaived, journal.Cleared} {
		inLog := 0
		for _, line := range append(said, mustJSON(t, raised)) {
			if strings.Contains(line, `"event":"`+string(event)+`"`) && strings.Contains(line, "tcp_tw_reuse") {
				inLog++
			}
		}
		if events[event] != 1 || inLog != 1 {
			t.Errorf("%s is %d times in the journal and %d times in the log", event, events[event], inLog)
		}
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
