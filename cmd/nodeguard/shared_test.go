package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

const sharedOperation = `
profile: upstream
operations:
  - id: acme.path.agent
    condition: KubernetesPathDrift
    severity: warning
    title: {en: t, zh: t}
    impact: {en: i, zh: i}
    recovery: {class: restart, text: {en: r, zh: r}}
    source: {document: d, section: s}
    rules: {paths: [{paths: [/opt/acme], content: ["**"], perNode: [node.yaml]}]}
`

// acme is a host whose agent the fleet changes.
type acme struct {
	t              *testing.T
	root, config   string
	stdout, stderr bytes.Buffer
}

func newAcme(t *testing.T) *acme {
	a := &acme{t: t, root: t.TempDir(), config: filepath.Join(t.TempDir(), "nodeguard.yaml")}
	for name, content := range map[string]string{"/opt/acme/agent.yaml": "v1", "/opt/acme/old.yaml": "old", "/opt/acme/node.yaml": "n1", "/etc/hostname": "n1\n"} {
		hosttest.Write(t, a.root, name, content)
	}
	a.accept("")
	return a
}

// accept makes these the accepted states of the configuration.
func (a *acme) accept(entries string) {
	a.t.Helper()
	if err := os.WriteFile(a.config, []byte(sharedOperation+"accept: ["+entries+"]\n"), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

// drifted are the subjects that a check finds.
func (a *acme) drifted() []string {
	a.t.Helper()
	a.stdout.Reset()
	a.stderr.Reset()
	run(a.t.Context(), []string{"check", "--root", a.root, "--config", a.config, "-o", "json"}, &a.stdout, &a.stderr)
	var r drift.Report
	if err := json.Unmarshal(a.stdout.Bytes(), &r); err != nil {
		a.t.Fatalf("%v: %s", err, &a.stderr)
	}
	out := []string{}
	for _, f := range r.Findings {
		out = append(out, f.Subject)
	}
	return out
}

func (a *acme) digest() string {
	a.t.Helper()
	s, err := openHost(&options{root: a.root, config: a.config, stderr: &a.stderr})
	if err != nil {
		a.t.Fatal(err)
	}
	defer s.host.Close()
	looks, err := s.lookAnew(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	return drift.SharedDigest(looks["paths"].Facts)
}

func (a *acme) remove(name string) {
	a.t.Helper()
	if err := os.Remove(filepath.Join(a.root, name)); err != nil {
		a.t.Fatal(err)
	}
}

func TestStateThatTheConfigurationAccepts(t *testing.T) {
	a := newAcme(t)
	want := func(what string, subjects ...string) {
		t.Helper()
		got := a.drifted()
		slices.Sort(got)
		if diff := cmp.Diff(subjects, got); diff != "" {
			t.Errorf("%s: %s%s", what, diff, &a.stderr)
		}
	}
	nothing := []string{}
	want("the first look", nothing...)
	hosttest.Write(t, a.root, "/opt/acme/agent.yaml", "v2")
	hosttest.Write(t, a.root, "/opt/acme/new.yaml", "new")
	hosttest.Write(t, a.root, "/opt/acme/node.yaml", "n2")
	a.remove("/opt/acme/old.yaml")
	all := []string{"/opt/acme/agent.yaml", "/opt/acme/new.yaml", "/opt/acme/node.yaml", "/opt/acme/old.yaml"}
	want("a change of the fleet", all...)
	rollout := fmt.Sprintf("{scope: paths, digest: %q, reason: CHG-7}", a.digest())

	for what, entry := range map[string]string{
		"an expired entry":          strings.Replace(rollout, "}", ", expires: 2020-01-01}", 1),
		"another scope's":           strings.Replace(rollout, "paths", "components", 1),
		"the digest of a neighbour": fmt.Sprintf("{scope: paths, digest: %q, reason: CHG-7}", drift.SharedDigest(nil)),
	} {
		a.accept(entry)
		want(what, all...)
	}
	a.accept(rollout)
	want("accepted, but for what is the node's own", "/opt/acme/node.yaml")
	if !strings.Contains(a.stderr.String(), "accepted 3 subjects of paths by the configuration: CHG-7") {
		t.Errorf("said %s", &a.stderr)
	}
	want("and once", "/opt/acme/node.yaml")
	if strings.Contains(a.stderr.String(), "accepted") {
		t.Errorf("said again %s", &a.stderr)
	}
	hosttest.Write(t, a.root, "/opt/acme/node.yaml", "n1")
	want("the node's own is as it was", nothing...)

	// The entry stays, and accepts nothing that changes from now on.
	a.remove("/opt/acme/node.yaml")
	want("what goes away later", "/opt/acme/node.yaml")
	hosttest.Write(t, a.root, "/opt/acme/node.yaml", "n1")
	hosttest.Write(t, a.root, "/opt/acme/agent.yaml", "v3")
	want("what changes later", "/opt/acme/agent.yaml")
}

// A node that began in the accepted state is no different.
func TestNodeThatWasAcceptedFromTheBeginning(t *testing.T) {
	a := newAcme(t)
	a.accept(fmt.Sprintf("{scope: paths, digest: %q, reason: CHG-7}", a.digest()))
	if got := a.drifted(); len(got) > 0 {
		t.Fatal(got)
	}
	a.remove("/opt/acme/node.yaml")
	if got := a.drifted(); !slices.Equal(got, []string{"/opt/acme/node.yaml"}) {
		t.Errorf("drifted %v: %s", got, &a.stderr)
	}
}

// What could not be looked at is not taken for gone.
func TestAcceptedStateBehindAGap(t *testing.T) {
	a := newAcme(t)
	a.drifted()
	s, err := openHost(&options{root: a.root, config: a.config, stderr: &a.stderr})
	if err != nil {
		t.Fatal(err)
	}
	defer s.host.Close()
	looks, err := s.lookAnew(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	l := looks["paths"]
	delete(l.Facts, "/opt/acme/old.yaml")
	l.Gaps = []drift.Gap{{Operation: "acme.path.agent", Subject: "/opt/acme/old.yaml", Reason: "unreadable"}}
	looks["paths"] = l
	a.accept(fmt.Sprintf("{scope: paths, digest: %q, reason: CHG-7}", drift.SharedDigest(l.Facts)))
	fresh, err := open(&options{config: a.config})
	if err != nil {
		t.Fatal(err)
	}
	s.config = fresh.config
	if got := s.acceptShared(looks, now()); len(got) != 1 || got[0].changed != 0 {
		t.Errorf("accepted %+v", got)
	}
	if _, kept := s.baseline.Scopes["paths"]["/opt/acme/old.yaml"]; !kept {
		t.Error("what lies behind the gap was forgotten")
	}
}
