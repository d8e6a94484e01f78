package upgrade

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func packageOf(name, observed string) drift.Finding {
	return drift.Finding{
		Operation: "x.upgrade", Subject: "installed package " + name, Observed: observed, Supported: "1.0", State: drift.Active,
		Baseline: true, Explains: true, Package: name,
	}
}

func brought(name, subject string) drift.Finding {
	f := changed(subject, "content sha256:2")
	f.Package = name
	return f
}

// A package explains its own files, whenever they are seen, and no others.
func TestFoldOfPackages(t *testing.T) {
	type step struct {
		after      time.Duration
		components []drift.Finding
		paths      []drift.Finding
		want       []string
	}
	release := func(observed string) drift.Finding { return version(observed) }
	kubelet, cni := packageOf("kubelet", "1.31.2-1.1"), packageOf("cni", "1.1")
	mine, another := brought("kubelet", "/usr/bin/kubelet"), brought("cni", "/opt/cni/bin/ptp")
	nobodys := changed("/etc/kubernetes/x", "content sha256:2")
	altered := changed("/usr/bin/kubelet", "content sha256:3")
	altered.Altered = true
	running := drift.Finding{Operation: "x.binary", Subject: "kubelet binary", Observed: "replaced", State: drift.Active, Package: "kubelet"}
	for name, steps := range map[string][]step{
		"its files, however late": {
			{0, []drift.Finding{kubelet}, []drift.Finding{mine}, []string{"installed package kubelet 1.31.2-1.1 +1"}},
			{time.Hour, []drift.Finding{kubelet, running}, []drift.Finding{mine, nobodys}, []string{"/etc/kubernetes/x content sha256:2", "installed package kubelet 1.31.2-1.1 +2"}},
		},
		"files of a package that is as recorded": {
			{0, []drift.Finding{cni}, []drift.Finding{mine, another}, []string{"/usr/bin/kubelet content sha256:2", "installed package cni 1.1 +1"}},
		},
		"not as the package brought it": {
			{0, []drift.Finding{kubelet}, []drift.Finding{altered}, []string{"/usr/bin/kubelet content sha256:3", "installed package kubelet 1.31.2-1.1"}},
			{0, []drift.Finding{kubelet, release("v1.31.2")}, []drift.Finding{altered}, []string{"/usr/bin/kubelet content sha256:3", "kubelet release v1.31.2 +1"}},
		},
		"folded, then altered": {
			{0, []drift.Finding{release("v1.31.2")}, []drift.Finding{mine}, []string{"kubelet release v1.31.2 +1"}},
			{time.Minute, []drift.Finding{release("v1.31.2")}, []drift.Finding{altered}, []string{"/usr/bin/kubelet content sha256:3", "kubelet release v1.31.2"}},
		},
		"packages of a release are one upgrade": {
			{0, []drift.Finding{kubelet, cni}, []drift.Finding{mine, another}, []string{"installed package cni 1.1 +1", "installed package kubelet 1.31.2-1.1 +1"}},
			{time.Minute, []drift.Finding{kubelet, cni, release("v1.31.2")}, []drift.Finding{mine, another, nobodys}, []string{"kubelet release v1.31.2 +5"}},
			{time.Hour, []drift.Finding{kubelet, cni, release("v1.31.2")}, []drift.Finding{mine, another, nobodys}, []string{"kubelet release v1.31.2 +5"}},
		},
		"a program that is started again hours later": {
			{0, []drift.Finding{kubelet, cni}, nil, []string{"installed package cni 1.1", "installed package kubelet 1.31.2-1.1"}},
			{time.Hour, []drift.Finding{kubelet, cni, release("v1.31.2")}, nil, []string{"installed package cni 1.1", "kubelet release v1.31.2 +1"}},
		},
		"a package of another time": {
			{0, []drift.Finding{release("v1.31.2")}, nil, []string{"kubelet release v1.31.2"}},
			{time.Hour, []drift.Finding{cni, release("v1.31.2")}, []drift.Finding{another}, []string{"installed package cni 1.1 +1", "kubelet release v1.31.2"}},
			// It is no new beginning for what belongs to the release.
			{time.Minute, []drift.Finding{cni, release("v1.31.2")}, []drift.Finding{another, nobodys}, []string{"/etc/kubernetes/x content sha256:2", "installed package cni 1.1 +1", "kubelet release v1.31.2"}},
		},
		"the release rolled back": {
			{0, []drift.Finding{kubelet, release("v1.31.2")}, []drift.Finding{mine, nobodys}, []string{"kubelet release v1.31.2 +3"}},
			{time.Minute, []drift.Finding{kubelet}, []drift.Finding{mine, nobodys}, []string{"/etc/kubernetes/x content sha256:2", "installed package kubelet 1.31.2-1.1 +1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := &host{t: t, now: start}
			for i, s := range steps {
				if diff := cmp.Diff(s.want, h.sees(s.after, seeing(s.components, s.paths))); diff != "" {
					t.Fatalf("step %d: -want +got\n%s", i, diff)
				}
			}
		})
	}
}

// While the database cannot be read, what it explained stays explained.
func TestFoldWhilePackagesCannotBeRead(t *testing.T) {
	h := &host{t: t, now: start}
	h.sees(0, seeing([]drift.Finding{packageOf("kubelet", "1.31.2")}, []drift.Finding{brought("kubelet", "/usr/bin/kubelet")}))
	looks := seeing(nil, []drift.Finding{changed("/usr/bin/kubelet", "content sha256:2"), changed("/x", "y")})
	looks["components"] = drift.Look{Observation: drift.Observation{Gaps: []drift.Gap{{Operation: "x.upgrade", Subject: "installed package kubelet", Reason: "x"}}}}
	if diff := cmp.Diff([]string{"/x y", "installed package kubelet 1.31.2 +1"}, h.sees(time.Hour, looks)); diff != "" {
		t.Error(diff)
	}
}
