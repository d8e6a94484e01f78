package baseline_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

func TestRenew(t *testing.T) {
	s := baseline.Scope{"a": "1", "b": "1", "c": "1"}
	after, told := s.Renew(map[string]drift.Fact{
		"a": {Value: "2", Renewal: &drift.Renewal{Told: "a: 1 -> 2", Of: "1"}},
		"b": {Value: "2"},                                                        // drift
		"c": {Value: "0", Renewal: &drift.Renewal{Told: "c: -1 -> 0", Of: "-1"}}, // seen before c was renewed
		"d": {Value: "1", Renewal: &drift.Renewal{Told: "d", Of: ""}},
	})
	if diff := cmp.Diff(baseline.Scope{"a": "2", "b": "1", "c": "1"}, after); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"a: 1 -> 2"}, told); diff != "" {
		t.Error(diff)
	}
	if s["a"] != "1" {
		t.Error("checks still compare with the one before")
	}
}
