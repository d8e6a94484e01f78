package hostconfig

import (
	"testing"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/hosttest"
)

const op = "test.op"

// tree is a host made of files.
func tree(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		hosttest.Write(t.(*testing.T), dir, name, content)
	}
	return dir
}

func open(t testing.TB, dir string) *host.Root {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = root.Close() })
	return root
}

func bound(t testing.TB, rules ...Rule) []drift.Bound[Rule] {
	t.Helper()
	var out []drift.Bound[Rule]
	for _, r := range rules {
		if err := r.Validate(); err != nil {
			t.Fatal(err)
		}
		out = append(out, drift.Bound[Rule]{Operation: op, Rule: r})
	}
	return out
}

func observe(t testing.TB, dir string, recorded baseline.Scope, rules ...Rule) drift.Observation {
	t.Helper()
	return New(open(t, dir), bound(t, rules...), recorded).Observe(t.Context(), nil)
}

// record is what a baseline has of a tree that is accepted as it is.
func record(t testing.TB, dir string, rules ...Rule) baseline.Scope {
	t.Helper()
	o := observe(t, dir, nil, rules...)
	return baseline.ScopeOf(o.Facts, o.Gaps)
}

// seen are the findings as "subject: observed, supported".
func seen(o drift.Observation) []string {
	var out []string
	for _, f := range o.Findings {
		out = append(out, f.Subject+": "+f.Observed+", "+f.Supported)
	}
	return out
}
