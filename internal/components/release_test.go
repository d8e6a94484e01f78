package components

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/node"
)

var versionRule = []drift.Bound[Rule]{{Operation: "x.upgrade", Rule: Rule{Version: asRecorded, Absorb: true}}}

func ubuntu(version string) string {
	return "NAME=\"Ubuntu\"\nPRETTY_NAME=\"Ubuntu " + version + "\"\nID=ubuntu\n"
}

func TestReleases(t *testing.T) {
	recorded := baseline.Scope{kubeletRelease: "v1.31.1", runtimeRelease: "containerd://1.7.22", operatingSystem: "Ubuntu 22.04.4 LTS"}
	asIs := node.Node{KubeletVersion: "v1.31.1", ContainerRuntimeVersion: "containerd://1.7.22"}
	upgraded := node.Node{KubeletVersion: "v1.31.2", ContainerRuntimeVersion: "containerd://2.0.1"}
	for _, tt := range []struct {
		name     string
		files    tree
		node     *node.Node // nil: not known
		last     map[string]string
		recorded baseline.Scope
		want     []string
		facts    map[string]string
		gaps     int
	}{
		{name: "as recorded", files: tree{"/etc/os-release": ubuntu("22.04.4 LTS")}, node: &asIs, recorded: recorded, facts: recorded},
		{name: "upgraded", files: tree{"/etc/os-release": ubuntu("24.04 LTS")}, node: &upgraded, recorded: recorded,
			want: []string{
				"container runtime release: containerd://2.0.1, was containerd://1.7.22", "kubelet release: v1.31.2, was v1.31.1",
				"operating system: Ubuntu 24.04 LTS, was Ubuntu 22.04.4 LTS",
			},
			facts: map[string]string{kubeletRelease: "v1.31.2", runtimeRelease: "containerd://2.0.1", operatingSystem: "Ubuntu 24.04 LTS"}},
		{name: "a Node that is not known yet", files: tree{"/etc/os-release": ubuntu("22.04.4 LTS")}, recorded: recorded, facts: recorded},
		{name: "nor is it, in the middle of an upgrade", files: tree{"/etc/os-release": ubuntu("22.04.4 LTS")}, recorded: recorded,
			last:  map[string]string{kubeletRelease: "v1.31.2"},
			want:  []string{"kubelet release: v1.31.2, was v1.31.1"},
			facts: map[string]string{kubeletRelease: "v1.31.2", runtimeRelease: "containerd://1.7.22", operatingSystem: "Ubuntu 22.04.4 LTS"}},
		{name: "what it told last is over once it is known", files: tree{"/etc/os-release": ubuntu("22.04.4 LTS")}, node: &asIs, recorded: recorded,
			last: map[string]string{kubeletRelease: "v1.31.2"}, facts: recorded},
		{name: "a runtime that the kubelet does not reach", files: tree{"/etc/os-release": ubuntu("22.04.4 LTS")}, recorded: recorded, facts: recorded,
			node: &node.Node{KubeletVersion: "v1.31.1", ContainerRuntimeVersion: "containerd://Unknown"}},
		{name: "never recorded", files: tree{"/etc/os-release": ubuntu("22.04.4 LTS")}, node: &asIs, recorded: baseline.Scope{}, facts: recorded},
		{name: "nothing is known", recorded: baseline.Scope{}, facts: map[string]string{}},
		{name: "unread when it was recorded", files: tree{"/etc/os-release": ubuntu("24.04 LTS")}, recorded: baseline.Scope{operatingSystem: baseline.Unread},
			facts: map[string]string{operatingSystem: "Ubuntu 24.04 LTS"}},
		{name: "the vendor's file", files: tree{"/usr/lib/os-release": "PRETTY_NAME='Acme \"OS\" 2'\n"}, recorded: baseline.Scope{},
			facts: map[string]string{operatingSystem: `Acme "OS" 2`}},
		{name: "escapes", files: tree{"/etc/os-release": "PRETTY_NAME=\"a \\\"b\\\" \\$c\"\n"}, recorded: baseline.Scope{}, facts: map[string]string{operatingSystem: `a "b" $c`}},
		{name: "no name", files: tree{"/etc/os-release": "ID=x\n"}, recorded: baseline.Scope{}, facts: map[string]string{operatingSystem: "Linux"}},
		{name: "the Node's where the host has none", node: &node.Node{OSImage: "Talos (v1.9.0)"}, recorded: baseline.Scope{operatingSystem: "Talos (v1.8.0)"},
			want: []string{"operating system: Talos (v1.9.0), was Talos (v1.8.0)"}, facts: map[string]string{operatingSystem: "Talos (v1.9.0)"}},
		{name: "not a file", files: tree{"/etc/os-release/x": "1"}, recorded: recorded, facts: recorded, gaps: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, root := plant(t, tt.files)
			var source node.Source
			if tt.node != nil {
				source.Set(*tt.node)
			}
			o := New(root, versionRule, tt.recorded).WithNode(&source, tt.last).Observe(t.Context(), nil)
			if diff := cmp.Diff(tt.want, said(o)); diff != "" {
				t.Errorf("findings: -want +got\n%s", diff)
			}
			if diff := cmp.Diff(tt.facts, map[string]string(baseline.ScopeOf(o.Facts, nil))); diff != "" {
				t.Errorf("facts: -want +got\n%s", diff)
			}
			for subject, f := range o.Facts {
				if was, known := tt.recorded[subject]; f.Fresh != (!known || was == baseline.Unread) || f.Local {
					t.Errorf("%s: %+v", subject, f)
				}
			}
			for _, f := range o.Findings {
				if !f.Baseline || !f.Explains || !f.Absorb || f.Operation != "x.upgrade" {
					t.Errorf("%+v", f)
				}
			}
			if len(o.Gaps) != tt.gaps {
				t.Errorf("gaps %+v", o.Gaps)
			}
		})
	}
}

// The versions are nothing to the rules about parameters.
func TestReleasesAreNoParameters(t *testing.T) {
	_, root := plant(t, worker())
	first := observe(root, append(slices.Clone(compareAll), versionRule...), nil)
	recorded := baseline.ScopeOf(first.Facts, nil)
	for _, subject := range []string{kubeletRelease, runtimeRelease, operatingSystem} {
		recorded[subject] = "1"
	}
	if o := observe(root, compareAll, recorded); len(o.Findings) > 0 {
		t.Errorf("%+v", said(o))
	}
	if o := observe(root, versionRule, recorded); len(o.Facts) != 3 {
		t.Errorf("%+v", o.Facts)
	}
	if ids := New(root, versionRule, nil).BaselineOperations(); !slices.Equal(ids, []string{"x.upgrade"}) {
		t.Errorf("%v cannot be judged without a baseline", ids)
	}
}

// A Node that is another one makes the check look again.
func TestNodeHints(t *testing.T) {
	_, root := plant(t, nil)
	synctest.Test(t, func(t *testing.T) {
		var source node.Source
		to := &hintSink{hints: map[string]int{}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_ = New(root, versionRule, nil).WithNode(&source, nil).Watch(ctx, to)
		}()
		synctest.Wait()
		source.Set(node.Node{KubeletVersion: "v1.31.2"})
		synctest.Wait()
		to.mu.Lock()
		if to.hints[nodeSource] != 1 || to.mode != drift.Event {
			t.Errorf("hints %v, mode %q", to.hints, to.mode)
		}
		to.mu.Unlock()
		cancel()
		<-done
	})
}

type hintSink struct {
	mu    sync.Mutex
	hints map[string]int
	mode  drift.Mode // of the Node's source
}

func (s *hintSink) Hint(h drift.Hint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hints[h.Source]++
}

func (s *hintSink) Mode(source string, m drift.Mode, _ string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if source == nodeSource {
		s.mode = m
	}
}

func (s *hintSink) Failed(string, error) {}
