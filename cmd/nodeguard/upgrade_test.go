package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// What belongs to an upgrade is accepted with all that is below it, and nothing that
// is found for itself.
func TestAcceptedWithAnUpgrade(t *testing.T) {
	b := &baseline.Baseline{Scopes: map[string]baseline.Scope{
		"paths": {"/etc/k": "dir", "/etc/k/a": "1", "/etc/k/b": "1", "/etc/k/gone": "1", "/etc/k/gone/below": "1", "/etc/k/hidden": "1"},
		"other": {"x": "1"},
	}}
	before := fmt.Sprint(b.Scopes)
	paths := drift.Look{Observation: drift.Observation{
		Facts: map[string]drift.Fact{
			"/etc/k": {Value: "dir 0700"}, "/etc/k/a": {Value: "2"}, "/etc/k/b": {Value: "2"}, "/etc/k/new": {Value: "dir"}, "/etc/k/new/a/b": {Value: "2"},
			"/etc/k/new2": {Value: "dir"}, "/etc/k/hidden": {Value: "2"},
		},
		Findings: []drift.Finding{{Subject: "/etc/k/b", Baseline: true}, {Subject: "/etc/k/new2", Baseline: true}, {Subject: "/etc/k/a"}},
		Gaps:     []drift.Gap{{Subject: "/etc/k/hidden"}},
	}}
	other := drift.Look{Observation: drift.Observation{Facts: map[string]drift.Fact{"x": {Value: "2"}}}}
	belongs := map[place]bool{}
	for _, subject := range []string{"/etc/k", "/etc/k/a", "/etc/k/new", "/etc/k/gone", "/etc/k/hidden"} {
		belongs[place{"paths", subject}] = true
	}
	after, changed := with(b, map[string]drift.Look{"paths": paths, "other": other}, belongs)
	want := map[string]baseline.Scope{
		"paths": {"/etc/k": "dir 0700", "/etc/k/a": "2", "/etc/k/b": "1", "/etc/k/new": "dir", "/etc/k/new/a/b": "2", "/etc/k/hidden": "1"},
		"other": {"x": "1"},
	}
	if diff := cmp.Diff(want, after.Scopes); diff != "" || changed != 6 {
		t.Errorf("%d changed, -want +got\n%s", changed, diff)
	}
	if fmt.Sprint(b.Scopes) != before {
		t.Error("checks still compare with the one before")
	}
}

// upgraded is an agent without loop whose kubelet was upgraded with n files.
func upgraded(t *testing.T, settle time.Duration, absorb bool) (d *daemon, look func(observed string, files ...string) map[string]drift.Look) {
	t.Helper()
	root, err := host.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	s := &session{options: &options{}, host: root, store: baseline.NewStore(root), baseline: &baseline.Baseline{
		Header: baseline.Header{Format: baseline.Format},
		Scopes: map[string]baseline.Scope{"components": {"kubelet release": "v1"}, "paths": {"/a": "1", "/b": "1"}},
	}}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	d = &daemon{session: s, flags: &agentOptions{baselineSettle: settle}, log: log, anew: make(chan struct{}, 1), first: make(chan struct{}), state: newState(root, s.store, log)}
	if err := d.state.hold(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.state.close)
	return d, func(observed string, files ...string) map[string]drift.Look {
		out := map[string]drift.Look{
			"components": {Observation: drift.Observation{Facts: map[string]drift.Fact{"kubelet release": {Value: observed}}}},
			"paths":      {Observation: drift.Observation{Facts: map[string]drift.Fact{"/a": {Value: "1"}, "/b": {Value: "1"}}}},
		}
		if was := d.baseline.Scopes["components"]["kubelet release"]; was != observed {
			c := out["components"]
			c.Findings = []drift.Finding{{Operation: "x.upgrade", Subject: "kubelet release", Observed: observed, Supported: was, Baseline: true, Explains: true, Absorb: absorb}}
			out["components"] = c
		}
		for _, f := range files {
			p := out["paths"]
			p.Facts[f] = drift.Fact{Value: "2"}
			if d.baseline.Scopes["paths"][f] != "2" {
				p.Findings = append(p.Findings, drift.Finding{Operation: "x.path", Subject: f, Observed: "2", Supported: "1", Baseline: true})
			}
			out["paths"] = p
		}
		return out
	}
}

// pass is what the loop does with what was seen.
func (d *daemon) pass(at time.Time, seen map[string]drift.Look) (judged map[string]drift.Look, again time.Time) {
	judged = d.classify(drift.Report{}, seen, at)
	return judged, d.looked(seen, at)
}

func (d *daemon) events(t *testing.T, of journal.Event) (details []string) {
	t.Helper()
	entries, _, err := journal.Read(d.host)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Event == of {
			details = append(details, e.Detail)
		}
	}
	return details
}

func TestAbsorbOnceStill(t *testing.T) {
	d, look := upgraded(t, 10*time.Minute, true)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if judged, again := d.pass(now, look("v2", "/a")); !again.Equal(now.Add(time.Second)) || judged["components"].Findings[0].Tier != absorbing || len(judged["paths"].Findings) > 0 {
		t.Errorf("%+v", judged)
	}
	d.pass(now.Add(9*time.Minute), look("v2", "/a", "/b")) // it is not still
	if _, again := d.pass(now.Add(18*time.Minute), look("v2", "/a", "/b")); !again.Equal(now.Add(19 * time.Minute)) {
		t.Errorf("it would be looked at again at %v", again)
	}
	if got := d.events(t, journal.Absorbed); len(got) > 0 {
		t.Fatalf("absorbed too early: %q", got)
	}
	still := look("v2", "/a", "/b")
	d.pass(now.Add(19*time.Minute), still)
	d.pass(now.Add(19*time.Minute+time.Second), still) // the running checks compare with the old one yet
	want := []string{"kubelet release v1 -> v2, with 2 subjects: /a, /b"}
	if diff := cmp.Diff(want, d.events(t, journal.Absorbed)); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	if diff := cmp.Diff(map[string]baseline.Scope{"components": {"kubelet release": "v2"}, "paths": {"/a": "2", "/b": "2"}}, d.baseline.Scopes); diff != "" {
		t.Errorf("-want +got\n%s", diff)
	}
	d.pass(now.Add(20*time.Minute), look("v2", "/a", "/b"))
	d.pass(now.Add(21*time.Minute), look("v2", "/a", "/b"))
	saved, err := d.store.Load()
	if err != nil || saved.Upgrade != nil || len(saved.Accepted) != 1 || len(d.events(t, journal.Absorbed)) != 1 {
		t.Errorf("%+v, %v", saved, err)
	}
}

func TestUpgradeThatIsNotAllowedStays(t *testing.T) {
	d, look := upgraded(t, 0, false)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	var files []string
	for i := range 14 {
		files = append(files, fmt.Sprintf("/new%02d", i))
	}
	for i := range files { // every pass brings another file: it is kept all the same
		d.pass(now.Add(time.Duration(i)*time.Second), look("v2", files[:i+1]...))
	}
	if told := d.events(t, journal.Upgraded); len(told) != 1 {
		t.Errorf("journalled %q", told)
	}
	judged, again := d.pass(now.Add(time.Minute), look("v2", files...))
	if !again.IsZero() {
		t.Errorf("there is nothing more to do at %v", again)
	}
	if f := judged["components"].Findings[0]; f.Tier != "" || f.Folded != 14 {
		t.Errorf("%+v", f)
	}
	told := d.events(t, journal.Upgraded)
	if last := told[len(told)-1]; len(told) != 2 || !strings.HasSuffix(last, "with 14 subjects: "+strings.Join(files[:10], ", ")+" (+4 more)") {
		t.Errorf("journalled %q", told)
	}
	d.pass(now.Add(time.Hour), look("v2", files...))
	if got := append(d.events(t, journal.Absorbed), d.events(t, journal.Accepted)...); len(got) > 0 || len(d.events(t, journal.Upgraded)) != 2 {
		t.Errorf("accepted: %q", got)
	}
	before, err := d.store.Load()
	if err != nil || len(before.Upgrade.Folded) != 14 {
		t.Fatalf("%+v, %v", before, err)
	}
	data, err := baseline.Encode(before)
	if err != nil || !bytes.Contains(data, []byte(`{"upgrade":{"noticed":"2026-01-02T03:04:05Z","versions":[{"check":"components",`)) {
		t.Errorf("%s, %v", data, err)
	}
}

// An agent that ends keeps what it knows.
func TestUpgradeIsKeptAtTheEnd(t *testing.T) {
	d, look := upgraded(t, time.Hour, true)
	d.pass(time.Now(), look("v2", "/a"))
	if b, err := d.store.Load(); err == nil {
		t.Fatalf("kept while it changes: %+v", b)
	}
	d.keepUpgrade()
	if b, err := d.store.Load(); err != nil || len(b.Upgrade.Folded) != 1 {
		t.Errorf("%+v, %v", b, err)
	}
}

// Another address or another Node is no part of an upgrade, though it shows with it.
func TestWhichNodeItIsIsNotFolded(t *testing.T) {
	own := drift.Finding{Operation: "x.ip", Subject: "address eth0", Observed: "192.0.2.9", Supported: "192.0.2.1", State: drift.Active, Baseline: true}
	seen := map[string]drift.Look{
		"components": {Observation: drift.Observation{Findings: []drift.Finding{{Operation: "x.up", Subject: "kubelet release", Observed: "v2", Supported: "v1", State: drift.Active, Baseline: true, Explains: true}}}},
		"identity":   {Observation: drift.Observation{Findings: []drift.Finding{own}}},
		"paths":      {Observation: drift.Observation{Findings: []drift.Finding{{Operation: "x.path", Subject: "/etc/kubernetes/a", State: drift.Active, Baseline: true}}}},
	}
	s := &session{baseline: &baseline.Baseline{}}
	judged, memory := s.fold(drift.Report{}, seen, false, time.Now())
	if got := judged["identity"].Findings; len(got) != 1 || got[0].Observed != own.Observed {
		t.Errorf("the address is folded: %+v", got)
	}
	if len(judged["paths"].Findings) != 0 || memory == nil {
		t.Errorf("the file is not: %+v", judged["paths"].Findings)
	}
}
