package drift

import "testing"

func TestFoldedIsTold(t *testing.T) {
	f := FindingReport{Operation: "x.upgrade", Subject: "kubelet release", Observed: "v2", Supported: "v1", Severity: Info, Folded: 37}
	for l, want := range map[Language]string{
		English: "kubelet release is v2, supported v1 (x.upgrade, with 37 more changes, info)",
		Chinese: "kubelet release 为 v2，支持 v1（x.upgrade，连同另外 37 项变更，提示）",
	} {
		if got := l.Finding(f); got != want {
			t.Errorf("%s: %s", l, got)
		}
	}
}

// What a look stands for elsewhere is in its digest under names of its own.
func TestAcceptDigestOfALook(t *testing.T) {
	facts := map[string]Fact{"a": {Value: "1"}}
	alone := Look{Observation: Observation{Facts: facts}}
	with := Look{Observation: Observation{Facts: facts}, Along: map[string]string{"paths /a": "2"}}
	if alone.AcceptDigest() != AcceptDigest(facts) {
		t.Error("without anything else it is the digest of the facts")
	}
	if with.AcceptDigest() == alone.AcceptDigest() || len(facts) != 1 {
		t.Error("what it stands for is not in it, or in the facts")
	}
	if with.AcceptDigest() == AcceptDigest(map[string]Fact{"a": {Value: "1"}, "paths /a": {Value: "2"}}) {
		t.Error("a fact of its own could stand for one of another check")
	}
}
