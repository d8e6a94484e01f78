package main

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/agent"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/node"
)

// knownNode has the daemon know its Node.
func knownNode(d *daemon, labels map[string]string) kube.Node {
	n := kube.Node{Exists: true, Node: node.Node{Name: "n1", Labels: labels}}
	d.ownNode.Set(n.Node)
	return n
}

func daemonOf(t *testing.T, o *options) *daemon {
	t.Helper()
	hosttest.Write(t, o.root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n")
	s, err := openHost(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.host.Close() })
	log := slog.New(slog.DiscardHandler)
	d := &daemon{session: s, flags: &agentOptions{options: o}, log: log, state: newState(s.host, s.store, log), exporter: &kube.Exporter{}}
	d.overrides.file = s.config
	d.ownNode = &node.Source{}
	d.adopt(s)
	return d
}

// The Node's labels choose the profile of a host whose files say nothing, until the
// baseline keeps it; then neither another label nor an API that is away does.
func TestTheNodeChoosesTheProfile(t *testing.T) {
	o := &options{root: t.TempDir(), stderr: io.Discard}
	d := daemonOf(t, o)
	if !d.unplaced() || d.profile.Name != "upstream" {
		t.Fatalf("before the Node is known: %s, unplaced %t", d.profile.Name, d.unplaced())
	}
	if d.label(knownNode(d, nil)) {
		t.Error("a Node without a provider's labels changed the profile")
	}
	gke := map[string]string{"cloud.google.com/gke-nodepool": "p"}
	if !d.label(knownNode(d, gke)) || d.profile.Name != "gke" || !strings.Contains(d.because, "cloud.google.com/gke-nodepool") {
		t.Errorf("profile %s because %s", d.profile.Name, d.because)
	}
	if d.label(knownNode(d, gke)) {
		t.Error("the same Node is a change")
	}

	d.baseline, d.baseErr = d.newBaseline(), nil
	if d.unplaced() || d.label(knownNode(d, map[string]string{"eks.amazonaws.com/nodegroup": "p"})) || d.profile.Name != "gke" {
		t.Errorf("the baseline does not keep the profile: %s", d.profile.Name)
	}
	d.ownNode = &node.Source{}
	if err := d.chooseProfile(); err != nil || d.profile.Name != "gke" {
		t.Errorf("without the API it is %s, %v", d.profile.Name, err)
	}
}

func TestANamedProfileIsNotDetected(t *testing.T) {
	d := daemonOf(t, &options{root: t.TempDir(), profile: "tke", stderr: io.Discard})
	if d.unplaced() || d.label(knownNode(d, map[string]string{"cloud.google.com/gke-nodepool": "p"})) || d.profile.Name != "tke" {
		t.Errorf("the Node overruled --profile: %s", d.profile.Name)
	}
}

// Once its checks are built a daemon lets go of their rules; what is told of them stays, and
// checks that are built again later have the same ones.
func TestRulesAreLetGoAndComeBack(t *testing.T) {
	root := t.TempDir()
	config := root + "/nodeguard.yaml"
	hosttest.Write(t, root, "nodeguard.yaml", "disabled: [ack.net.ip-forward]\n")
	d := daemonOf(t, &options{root: root, profile: "ack", config: config, stderr: io.Discard})
	d.seen.kept = d.recalling()
	before, err := d.set()
	if err != nil {
		t.Fatal(err)
	}
	told := d.profile.In(drift.Chinese)
	d.rest()
	if !d.profile.LacksRules() || d.profile.Name != "ack" || len(told) == 0 {
		t.Errorf("profile %s at rest, %d operations", d.profile.Name, len(told))
	}
	if diff := cmp.Diff(told, d.profile.In(drift.Chinese)); diff != "" {
		t.Errorf("what is told -before +at rest\n%s", diff)
	}
	after, err := d.set()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(keysOf(before), keysOf(after)); diff != "" || d.profile.LacksRules() {
		t.Errorf("checks -before +after\n%s", diff)
	}
	if diff := cmp.Diff(before.Policy, after.Policy); diff != "" {
		t.Errorf("policy -before +after\n%s", diff)
	}
	d.rest()
	if checks, err := d.checks(); err != nil || len(checks) != len(before.Checks) {
		t.Errorf("what is asked to be accepted is looked at by %d checks, %v", len(checks), err)
	}
}

func keysOf(s agent.Set) (keys []string) {
	for _, c := range s.Checks {
		keys = append(keys, c.Name()+" "+c.Key)
	}
	return keys
}
