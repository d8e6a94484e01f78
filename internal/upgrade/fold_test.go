package upgrade

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func version(observed string) drift.Finding {
	return drift.Finding{Operation: "x.upgrade", Subject: "kubelet release", Observed: observed, Supported: "v1", State: drift.Active, Baseline: true, Explains: true}
}

func changed(subject, observed string) drift.Finding {
	return drift.Finding{Operation: "x.path", Subject: subject, Observed: observed, Supported: "content sha256:1", State: drift.Active, Baseline: true}
}

func seeing(components, paths []drift.Finding) map[string]drift.Look {
	return map[string]drift.Look{
		"components": {Observation: drift.Observation{Findings: components}},
		"paths":      {Observation: drift.Observation{Findings: paths}},
	}
}

// host is what Judge and Fold make of a host, step by step.
type host struct {
	t      *testing.T
	now    time.Time
	report drift.Report
	memory *baseline.Upgrade
	looks  map[string]drift.Look
}

var policy = drift.Policy{Checks: []drift.CheckPolicy{{Name: "components", Condition: "ComponentConfigDrift"}, {Name: "paths", Condition: "KubernetesPathDrift"}}}

// sees lets time pass, looks, and returns the open findings.
func (h *host) sees(after time.Duration, seen map[string]drift.Look) []string {
	h.t.Helper()
	h.now = h.now.Add(after)
	raw := fmt.Sprintf("%+v", seen)
	h.looks, h.memory = Fold(h.report, seen, h.memory, h.now)
	if fmt.Sprintf("%+v", seen) != raw {
		h.t.Error("what was seen was changed")
	}
	h.report = drift.Judge(policy, h.report, h.looks, h.now)
	var out []string
	for _, f := range h.report.Findings {
		line := f.Subject + " " + f.Observed
		if f.Folded > 0 {
			line += fmt.Sprintf(" +%d", f.Folded)
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

func TestFold(t *testing.T) {
	type step struct {
		after      time.Duration
		components []drift.Finding
		paths      []drift.Finding
		want       []string
	}
	v2, v3 := []drift.Finding{version("v2")}, []drift.Finding{version("v3")}
	a, b := changed("/a", "content sha256:2"), changed("/b", "content sha256:2")
	aAgain := changed("/a", "content sha256:3")
	files := []drift.Finding{a, b}
	absolute := drift.Finding{Operation: "x.path", Subject: "/c", Observed: "0777", State: drift.Active}
	for name, steps := range map[string][]step{
		"files before the version is noticed": {
			{0, nil, files, []string{"/a content sha256:2", "/b content sha256:2"}},
			{14 * time.Minute, v2, files, []string{"kubelet release v2 +2"}},
		},
		"the version first": {
			{0, v2, nil, []string{"kubelet release v2"}},
			{14 * time.Minute, v2, files, []string{"kubelet release v2 +2"}},
			{time.Hour, v2, files, []string{"kubelet release v2 +2"}},
		},
		"drift that was there before": {
			{0, nil, []drift.Finding{a}, []string{"/a content sha256:2"}},
			{16 * time.Minute, v2, files, []string{"/a content sha256:2", "kubelet release v2 +1"}},
		},
		"drift that comes later": {
			{0, v2, []drift.Finding{a}, []string{"kubelet release v2 +1"}},
			{16 * time.Minute, v2, files, []string{"/b content sha256:2", "kubelet release v2 +1"}},
			{time.Minute, v2, files, []string{"/b content sha256:2", "kubelet release v2 +1"}},
		},
		"another change of a subject": {
			{0, v2, files, []string{"kubelet release v2 +2"}},
			{time.Minute, v2, []drift.Finding{aAgain, b}, []string{"kubelet release v2 +2"}},
			{time.Hour, v2, files, []string{"/a content sha256:2", "kubelet release v2 +1"}}, // it was another one at the end
			{time.Minute, v2, []drift.Finding{aAgain, b}, []string{"kubelet release v2 +2"}},
			{time.Minute, v2, []drift.Finding{b}, []string{"kubelet release v2 +1"}},
			{time.Minute, v2, []drift.Finding{aAgain, b}, []string{"kubelet release v2 +2"}},
		},
		"a roll-back": {
			{0, v2, files, []string{"kubelet release v2 +2"}},
			{time.Minute, nil, files, []string{"/a content sha256:2", "/b content sha256:2"}},
			{time.Minute, nil, nil, nil},
			{time.Hour, v2, nil, []string{"kubelet release v2"}},
		},
		"a second upgrade": {
			{0, v2, []drift.Finding{a}, []string{"kubelet release v2 +1"}},
			{time.Hour, v2, []drift.Finding{a}, []string{"kubelet release v2 +1"}},
			{time.Minute, v3, files, []string{"kubelet release v3 +2"}},
		},
		"what is no matter of the baseline": {
			{0, v2, []drift.Finding{absolute}, []string{"/c 0777", "kubelet release v2"}},
		},
		"from pending to active": {
			{0, v2, []drift.Finding{{Operation: "x", Subject: "maxPods", Observed: "1", State: drift.Pending, Baseline: true}}, []string{"kubelet release v2 +1"}},
			{time.Hour, v2, []drift.Finding{{Operation: "x", Subject: "maxPods", Observed: "1", State: drift.Active, Baseline: true}}, []string{"kubelet release v2 +1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{t: t, now: start}
			for i, s := range steps {
				if diff := cmp.Diff(s.want, h.sees(s.after, seeing(s.components, s.paths))); diff != "" {
					t.Fatalf("step %d: -want +got\n%s", i, diff)
				}
				if (h.memory != nil) != (s.components != nil) {
					t.Fatalf("step %d: memory %+v", i, h.memory)
				}
			}
		})
	}
}

// A restart of the agent knows what the journal and the baseline kept.
func TestFoldAfterARestart(t *testing.T) {
	h := &host{t: t, now: start}
	look := seeing([]drift.Finding{version("v2")}, []drift.Finding{changed("/a", "x")})
	h.sees(0, look)
	h.memory = &baseline.Upgrade{Noticed: h.memory.Noticed.Local(), Versions: h.memory.Versions, Folded: h.memory.Folded}
	if got := h.sees(time.Hour, look); !slices.Equal(got, []string{"kubelet release v2 +1"}) {
		t.Errorf("%v", got)
	}
	h.report = drift.Report{} // and even without the journal
	if got := h.sees(time.Hour, look); !slices.Equal(got, []string{"kubelet release v2 +1"}) {
		t.Errorf("%v", got)
	}
}

// While the version cannot be looked at, all stays as it was.
func TestFoldWhileBlind(t *testing.T) {
	for name, components := range map[string]drift.Look{
		"the check failed": {Error: "it did not answer"},
		"a gap":            {Observation: drift.Observation{Gaps: []drift.Gap{{Operation: "x.upgrade", Subject: "kubelet release", Reason: "x"}}}},
		"a gap of all":     {Observation: drift.Observation{Gaps: []drift.Gap{{Reason: "x"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{t: t, now: start}
			paths := []drift.Finding{changed("/a", "x")}
			h.sees(0, seeing([]drift.Finding{version("v2")}, paths))
			looks := seeing(nil, append(paths, changed("/b", "x")))
			looks["components"] = components
			if got := h.sees(time.Hour, looks); !slices.Equal(got, []string{"/b x", "kubelet release v2 +1"}) || h.memory == nil {
				t.Errorf("%v, %+v", got, h.memory)
			}
		})
	}
	// A gap that is about something else is no reason to remember for ever.
	h := &host{t: t, now: start}
	h.sees(0, seeing([]drift.Finding{version("v2")}, nil))
	looks := seeing(nil, nil)
	looks["components"] = drift.Look{Observation: drift.Observation{Gaps: []drift.Gap{{Operation: "x.other", Reason: "x"}, {Subject: "kubelet", Reason: "x"}}}}
	if h.sees(time.Minute, looks); h.memory != nil {
		t.Errorf("%+v", h.memory)
	}
}

// What comes into a new directory later is not the upgrade's.
func TestFoldOfANewDirectory(t *testing.T) {
	dir := drift.Finding{Operation: "x.path", Subject: "/etc/new", Observed: "new dir", Supported: absent, State: drift.Active, Baseline: true}
	looks := func(files ...string) map[string]drift.Look {
		out := seeing([]drift.Finding{version("v2")}, []drift.Finding{dir})
		facts := map[string]drift.Fact{"/etc/new": {Value: "dir"}, "/etc/newer": {Value: "file"}, "/etc": {Value: "dir"}}
		for _, f := range files {
			facts[f] = drift.Fact{Value: "file"}
		}
		out["paths"] = drift.Look{Observation: drift.Observation{Findings: []drift.Finding{dir}, Facts: facts}}
		return out
	}
	h := &host{t: t, now: start}
	h.sees(0, looks())
	h.sees(time.Minute, looks("/etc/new/d/1"))
	if got := h.sees(time.Hour, looks("/etc/new/d/1")); !slices.Equal(got, []string{"kubelet release v2 +1"}) {
		t.Errorf("as it was: %v", got)
	}
	if got := h.sees(time.Minute, looks("/etc/new/d/1", "/etc/new/d/2")); !slices.Equal(got, []string{"/etc/new new dir", "kubelet release v2"}) {
		t.Errorf("with another file: %v", got)
	}
}

// The state to accept is that of all that the upgrade stands for.
func TestDigestOfAnUpgrade(t *testing.T) {
	facts := map[string]drift.Fact{"kubelet release": {Value: "v2"}}
	digest := func(paths ...drift.Finding) string {
		looks := seeing(nil, paths)
		looks["components"] = drift.Look{Observation: drift.Observation{Findings: []drift.Finding{version("v2"), changed("kubelet --a", "1")}, Facts: facts}}
		h := &host{t: t, now: start}
		h.sees(0, looks)
		return h.report.Conditions[0].AcceptDigest
	}
	alone, one, another := digest(), digest(changed("/a", "1")), digest(changed("/a", "2"))
	if alone != drift.AcceptDigest(facts) || one == alone || one == another || one == "" {
		t.Errorf("alone %s, with a file %s, with another %s", alone, one, another)
	}
}

// Several versions make one upgrade, each told by itself.
func TestSeveralVersions(t *testing.T) {
	os := version("Ubuntu 24.04")
	os.Subject = "operating system"
	h := &host{t: t, now: start}
	if got := h.sees(0, seeing([]drift.Finding{version("v2"), os}, []drift.Finding{changed("/a", "x")})); !slices.Equal(got, []string{"kubelet release v2 +1", "operating system Ubuntu 24.04 +1"}) {
		t.Errorf("%v", got)
	}
	if got := h.sees(time.Hour, seeing([]drift.Finding{os}, []drift.Finding{changed("/a", "x"), changed("/b", "x")})); !slices.Equal(got, []string{"/b x", "operating system Ubuntu 24.04 +1"}) {
		t.Errorf("one of them rolled back: %v", got)
	}
}

func TestWithoutAnUpgradeNothingIsTouched(t *testing.T) {
	seen := seeing(nil, []drift.Finding{changed("/a", "x")})
	got, memory := Fold(drift.Report{}, seen, nil, start)
	if diff := cmp.Diff(seen, got); diff != "" || memory != nil {
		t.Errorf("%s, %+v", diff, memory)
	}
}
