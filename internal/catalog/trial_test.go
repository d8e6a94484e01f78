package catalog_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
)

func TestOnTrial(t *testing.T) {
	for _, c := range []struct {
		since, release string
		want           bool
	}{
		{"", "v1.4.0", false},
		{"1.4", "v1.4.0", true},
		{"1.4", "v1.9.3-5-gabcdef0", true},
		{"1.4", "v2.0.0", false},
		{"1.4", "v2.0.0-rc.1", false},
		{"2.0", "v2.0.0", false}, // the next major
		{"0.2", "v0.2.0", true},
		{"0.2", "v1.0.0", false},
		{"1.10", "v1.9.0", true},
		{"1.4", "dev", true},
	} {
		if got := (catalog.Operation{Since: c.since}).OnTrial(c.release); got != c.want {
			t.Errorf("since %q, release %s: %t", c.since, c.release, got)
		}
	}
}

func TestTriedWeighsNothing(t *testing.T) {
	o := drift.Operation{ID: "a.b", Severity: drift.Critical, Tiers: map[string]drift.Tier{"x": {Severity: drift.Warning, Title: "X"}, "y": {}}}
	want := drift.Operation{ID: "a.b", Severity: drift.Info, Tiers: map[string]drift.Tier{"x": {Severity: drift.Info, Title: "X"}, "y": {Severity: drift.Info}}}
	if diff := cmp.Diff(want, catalog.Tried(o)); diff != "" {
		t.Error(diff)
	}
	if o.Tiers["x"].Severity != drift.Warning {
		t.Error("the documented operation was changed")
	}
}
