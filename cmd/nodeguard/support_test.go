package main

import (
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/node"
)

// AKS supports a version for a year longer in clusters of the long-term tier, which a
// node cannot know of: a version is unsupported once that year is over, too.
func TestLongTermSupportIsAwaited(t *testing.T) {
	const id = "aks.k8s.version-policy" // 1.28: until early in 2025, with long-term support until 2026-02-28
	dir := t.TempDir()
	hosttest.Write(t, dir, "host/etc/hostname", "n1\n")
	hosttest.Write(t, dir, "host/var/lib/kubelet/config.yaml", "kind: KubeletConfiguration\n")
	for day, want := range map[string]bool{"2025-03-15": false, "2026-02-28": false, "2026-03-01": true} {
		synctest.Test(t, func(t *testing.T) {
			at, err := time.Parse(time.DateOnly, day)
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Until(at))
			report, _, err := reportWithNode(node.Node{Name: "n1", KubeletVersion: "v1.28.9"},
				&options{root: dir + "/host", profile: "aks", stdout: io.Discard, stderr: io.Discard})
			if err != nil {
				t.Fatal(err)
			}
			got := slices.ContainsFunc(report.Findings, func(f drift.FindingReport) bool { return f.Operation == id && f.Subject == "kubelet release" })
			if got != want {
				t.Errorf("%s: %s raised: %v, want %v; %+v", day, id, got, want, report.Checks)
			}
		})
	}
}
