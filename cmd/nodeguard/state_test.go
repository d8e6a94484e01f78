package main

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// What was accepted while the baseline could not be written is told once it could.
func TestAcceptedWithoutADisk(t *testing.T) {
	dir := t.TempDir()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	var log bytes.Buffer
	s := newState(root, baseline.NewStore(root), slog.New(slog.NewJSONHandler(&log, nil)))
	if err := s.hold(); err != nil {
		t.Fatal(err)
	}
	defer s.close()
	blocked := dir + host.StateDir + "/baseline/baseline.jsonl"
	if err := os.MkdirAll(blocked+"/x", 0o700); err != nil {
		t.Fatal(err)
	}
	b := &baseline.Baseline{Header: baseline.Header{Format: baseline.Format, Recorded: now()}, Scopes: map[string]baseline.Scope{}}
	s.save(b, journal.Entry{At: now(), Event: journal.Accepted, Detail: "CHG-1"})
	for range 3 {
		s.save(b, journal.Entry{At: now(), Event: journal.Recorded, Detail: "again"})
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	s.save(b, journal.Entry{At: now(), Event: journal.Recorded, Detail: "again"})
	entries, _, err := journal.Read(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, string(e.Event)+" "+e.Detail)
		if n := strings.Count(log.String(), `"detail":"`+e.Detail+`","event":"`+string(e.Event)+`"`); n != 1 {
			t.Errorf("%s is %d times in the log:\n%s", e.Detail, n, &log)
		}
	}
	if diff := cmp.Diff([]string{"accept CHG-1", "record again"}, got); diff != "" {
		t.Error(diff)
	}
}

// The log says who did it, and of a finding what the journal says.
func TestLogNamesTheActor(t *testing.T) {
	var log bytes.Buffer
	expires := now()
	logged(slog.New(slog.NewJSONHandler(&log, nil)), journal.Entry{At: now(), Event: journal.Attributed, Finding: &drift.FindingReport{
		ID: "9f2c", Operation: "ack.net.ip-forward", Subject: "net.ipv4.ip_forward", Observed: "0", Supported: "1",
		Actor: &drift.Actor{PID: 4711, Comm: "sysctl", Command: "sysctl -w x=\x1b[1m", LoginUID: drift.NoLogin, Pod: "default/debug", Container: "shell",
			Parents: []drift.Ancestor{{PID: 1, Comm: "bash"}, {PID: 2, Comm: "sshd"}}},
		Waiver: &drift.WaiverReport{Reason: "CHG-1", Owner: "sre", Expires: &expires},
	}})
	for _, part := range []string{`"msg":"attributed"`, `"event":"actor"`, `"id":"9f2c"`, `"observed":"0"`, `"actor":{"pid":4711,"comm":"sysctl","command":"sysctl -w x=\u001b[1m"`,
		`"parents":"bash(1) sshd(2)","pod":"default/debug","container":"shell"`, `"waiver":{"reason":"CHG-1","owner":"sre","expires":"`} {
		if !strings.Contains(log.String(), part) {
			t.Errorf("no %s in %s", part, &log)
		}
	}
	if strings.Contains(log.String(), "loginUid") {
		t.Errorf("there was no login: %s", &log)
	}
}
