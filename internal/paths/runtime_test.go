package paths_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
	"github.com/nodeguard/nodeguard/internal/paths"
)

// The directory of a runtime that the kubelet does not use counts for nothing; that of
// one that nobody knows to be unused does.
func TestPathsOfAnUnusedRuntime(t *testing.T) {
	dir := t.TempDir()
	hosttest.Write(t, dir, "var/lib/docker/overlay2/x", "")
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	rule := paths.Rule{Paths: []string{"/var/lib/docker"}, Runtime: "docker"}
	check := func(recorded baseline.Scope) *paths.Check {
		return paths.New(root, []drift.Bound[paths.Rule]{{Operation: "docker", Rule: rule}}, recorded, nil)
	}
	recorded := baseline.ScopeOf(check(nil).Observe(t.Context(), nil).Facts, nil)
	if err := os.RemoveAll(filepath.Join(dir, "var/lib/docker")); err != nil {
		t.Fatal(err)
	}
	if o := check(recorded).Observe(t.Context(), nil); len(o.Findings) != 1 {
		t.Errorf("nobody tells the runtime: %v", found(o))
	}
	for uses, want := range map[string]int{"docker": 1, "": 1, "containerd": 0, "cri-o": 0} {
		o := check(recorded).WithRuntime(func() string { return uses }).Observe(t.Context(), nil)
		if len(o.Findings) != want {
			t.Errorf("the kubelet uses %q: %v", uses, found(o))
		}
	}
}
