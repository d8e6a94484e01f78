package config_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodeguard/nodeguard/internal/config"
	"github.com/nodeguard/nodeguard/internal/drift"
)

const pools = `
mode: observe
disabled: [a.one]
severities: {a.one: info, a.two: warning}
checks: {paths: {enabled: false}}
waivers: [{operation: a.one, reason: base}]
intervals: {resync: 5m, baselineSettle: 1h}
journal: {maxAge: 30d, maxSize: 8Mi}
operations: [` + operation + `
  title: {en: base, zh: base}}]
overrides:
  - nodeSelector: {pool: gpu}
    mode: enforce
    disabled: [a.two]
    severities: {a.two: critical}
    checks: {paths: {enabled: true}, firewall: {enabled: false}}
    intervals: {resync: 1m}
    journal: {maxAge: 60d}
    operations: [` + operation + `
      title: {en: gpu, zh: gpu}}]
  - nodeSelector: "pool in (gpu, batch), !canary"
    profile: upstream
    waivers: [{operation: a.two, reason: pool}]
    intervals: {resync: 2m}
  - nodeSelector: pool!=gpu
    mode: observe
`

const operation = `{id: a.op, condition: KernelParameterDrift, severity: info, impact: {en: i, zh: i}, recovery: {class: revert, text: {en: r, zh: r}},
      source: {document: d, section: s}, rules: {sysctl: [{parameter: kernel.panic, supported: [1]}]},`

// with is the configuration of a Node with these labels.
func with(c config.Config, labels map[string]string) config.Config {
	for _, i := range c.Applying(labels) {
		c = c.With(c.Overrides[i])
	}
	return c
}

func TestOverridesApplyInOrder(t *testing.T) {
	base, err := config.Parse("c.yaml", []byte(pools))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		labels map[string]string
		want   []int
	}{
		{nil, nil},
		{map[string]string{}, []int{2}}, // a Node without labels is a Node
		{map[string]string{"pool": "gpu"}, []int{0, 1}},
		{map[string]string{"pool": "gpu", "canary": ""}, []int{0}},
		{map[string]string{"pool": "batch"}, []int{1, 2}},
	} {
		if diff := cmp.Diff(c.want, base.Applying(c.labels)); diff != "" {
			t.Errorf("%v: %s", c.labels, diff)
		}
	}

	got := with(base, map[string]string{"pool": "gpu"})
	want := config.Settings{
		Profile: "upstream", Mode: "enforce", Disabled: []string{"a.one", "a.two"},
		Severities: map[string]drift.Severity{"a.one": drift.Info, "a.two": drift.Critical},
		Checks:     map[string]config.Check{"paths": {Enabled: true}, "firewall": {Enabled: false}},
		Waivers:    []drift.Waiver{{Operation: "a.one", Reason: "base"}, {Operation: "a.two", Reason: "pool"}},
		Intervals:  config.Intervals{Resync: 2 * time.Minute, BaselineSettle: time.Hour},
		Journal:    config.Journal{MaxAge: 60 * 24 * time.Hour, MaxSize: 8 << 20},
	}
	if diff := cmp.Diff(want, got.Settings, cmpopts.IgnoreFields(config.Settings{}, "Operations")); diff != "" {
		t.Error(diff)
	}
	if len(got.Operations) != 1 || got.Operations[0].Title.In(drift.English) != "gpu" {
		t.Errorf("operations %+v", got.Operations)
	}
	again, err := config.Parse("c.yaml", []byte(pools))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(again.Settings, base.Settings, cmpopts.IgnoreFields(config.Settings{}, "Operations")); diff != "" {
		t.Errorf("the file itself was changed: %s", diff)
	}
}
