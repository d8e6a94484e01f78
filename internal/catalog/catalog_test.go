package catalog_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
)

func load(t testing.TB) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func profile(t testing.TB, name string) catalog.Profile {
	t.Helper()
	p, err := load(t).Profile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The operations that the ACK agreement documents and that a host shows by itself.
func TestACKIsComplete(t *testing.T) {
	p := profile(t, "ack")
	for _, id := range []string{
		"ack.net.ip-forward", "ack.net.rp-filter", "ack.net.tcp-tw-reuse", "ack.net.tcp-tw-recycle", "ack.net.ip-local-port-range",
		"ack.worker.os-config", "ack.net.firewall", "ack.worker.core-params",
		"ack.path.var-lib-kubelet", "ack.path.var-lib-docker", "ack.path.etc-kubernetes", "ack.path.etc-kubeadm", "ack.path.var-lib-containerd",
	} {
		o, ok := p.Operation(id)
		if !ok || len(o.Rules) == 0 {
			t.Errorf("%s is missing or without rules", id)
		}
	}
	for _, o := range p.Operations {
		for _, replaced := range o.Replaces {
			if _, still := p.Operation(replaced); still {
				t.Errorf("%s is there beside %s, which replaces it", replaced, o.ID)
			}
		}
	}
	if _, inherited := p.Operation("upstream.path.etc-cni"); !inherited {
		t.Error("what upstream documents is missing")
	}
}

func TestWordingIsComplete(t *testing.T) {
	c := load(t)
	for _, name := range c.Names() {
		for _, o := range profile(t, name).Operations {
			for _, l := range drift.Languages {
				said := o.In(l)
				if said.Title == "" || said.Impact == "" || said.Recovery.Text == "" || said.Source.Document == "" || said.Source.Section == "" {
					t.Errorf("%s in %s: %+v", o.ID, l, said)
				}
			}
			if strings.ContainsFunc(o.Title.En+o.Impact.En+o.Recovery.Text.En, func(r rune) bool { return r > 0x2e80 }) {
				t.Errorf("%s: the English is not", o.ID)
			}
		}
	}
}

// A command may only use values that findings carry.
func TestPlaceholders(t *testing.T) {
	known := []string{"subject", "observed", "supported", "value", "edit", "file", "assignment", "path", "unit", "ufw", "family", "table", "device", "user", "installer", "package", "module", "address", "interface", "gateway", "node", "label", "instance", "hostname"}
	placeholder := regexp.MustCompile(`\{([a-z]+)\}`)
	for _, name := range load(t).Names() {
		for _, o := range profile(t, name).Operations {
			for _, command := range slices.Concat(o.Recovery.Commands, o.Recovery.PendingCommands) {
				for _, m := range placeholder.FindAllStringSubmatch(command, -1) {
					if !slices.Contains(known, m[1]) {
						t.Errorf("%s: nothing fills {%s} in", o.ID, m[1])
					}
				}
			}
		}
	}
}

const good = `id: own.op
condition: HostConfigDrift
severity: info
title: {en: t, zh: t}
impact: {en: i, zh: i}
recovery: {class: revert, text: {en: r, zh: r}}
source: {document: d, section: s}
rules: {sysctl: [{parameter: vm.swappiness, supported: [1]}]}
`

const unseen = `id: own.op
severity: info
title: {en: t, zh: t}
impact: {en: i, zh: i}
recovery: {class: revert, text: {en: r, zh: r}}
source: {document: d, section: s}
`

// decode reads operations as a configuration file has them.
func decode(text string) ([]catalog.Operation, error) {
	return catalog.DecodeOperationsForTest("own.yaml", []byte(text))
}

func listed(operations ...string) string {
	text := "operations:\n"
	for _, o := range operations {
		text += "  - " + strings.ReplaceAll(strings.TrimSuffix(o, "\n"), "\n", "\n    ") + "\n"
	}
	return text
}

func TestDecodingIsStrict(t *testing.T) {
	if ops, err := decode(listed(good)); err != nil || len(ops) != 1 {
		t.Fatalf("%v, %v", ops, err)
	}
	for _, c := range []struct{ name, text, want string }{
		{"unknown key", listed(good + "sevrity: info\n"), `own.yaml:10:5: unknown field "sevrity"`},
		{"duplicate id", listed(good, good), "own.yaml:10:7: operation own.op is there twice"},
		{"no recovery", listed(strings.Replace(good, "recovery: {class: revert, text: {en: r, zh: r}}\n", "", 1)), "own.yaml:2:7: operation own.op: recovery needs a text in en and zh"},
		{"one language", listed(strings.Replace(good, "title: {en: t, zh: t}", "title: {en: t}", 1)), "operation own.op: title needs en and zh"},
		{"unknown class", listed(strings.Replace(good, "class: revert", "class: pray", 1)), `recovery.class "pray" is none of`},
		{"unknown severity", listed(strings.Replace(good, "severity: info", "severity: fatal", 1)), `severity "fatal" is none of`},
		{"unknown condition", listed(strings.Replace(good, "HostConfigDrift", "HostDrift", 1)), `condition "HostDrift" is none of`},
		{"bad id", listed(strings.Replace(good, "own.op", "Own Op", 1)), `id "Own Op": want lower-case words`},
		{"no rules", listed(strings.Replace(good, "rules: {sysctl: [{parameter: vm.swappiness, supported: [1]}]}\n", "", 1)), "operation own.op: rules is missing"},
		{"bad tier", listed(good + "tiers: {bad: {severity: high}}\n"), `tier bad: severity "high" is none of`},
		{"no YAML", "operations: [", "own.yaml:1:"},
		{"unseen with rules", listed(good + "unseen: {reason: {en: r, zh: r}}\n"), "unseen: an operation that a node cannot see has no condition"},
		{"unseen in one language", listed(unseen + "unseen: {reason: {en: r}}\n"), "unseen.reason needs en and zh"},
		{"bad release", listed(good + "since: '2'\n"), `since "2": want the release that brought it, like 1.4`},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(c.text)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

type rule struct {
	Parameter string  `yaml:"parameter"`
	Supported []int64 `yaml:"supported"`
}

func TestRulesNameTheirPlace(t *testing.T) {
	own, err := decode(listed(strings.Replace(good, "supported: [1]", "suported: [1]", 1)))
	if err != nil {
		t.Fatal(err)
	}
	p, err := profile(t, catalog.Upstream).With(own)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := catalog.Rules[rule](catalog.Profile{Operations: own}, "sysctl"); err == nil || !strings.HasPrefix(err.Error(), `own.yaml:9:49: unknown field "suported"`) {
		t.Errorf("got %v", err)
	}
	if err := p.CheckRules(map[string]string{"paths": "KubernetesPathDrift"}); err == nil || !strings.Contains(err.Error(), `there is no check "sysctl": the checks are paths`) {
		t.Errorf("got %v", err)
	}
	if err := (catalog.Profile{Operations: own}).CheckRules(map[string]string{"sysctl": "KernelParameterDrift"}); err == nil ||
		!strings.HasSuffix(err.Error(), "operation own.op: no check that detects it stands for HostConfigDrift") {
		t.Errorf("got %v", err)
	}
}

func TestOwnOperations(t *testing.T) {
	override := strings.Replace(good, "own.op", "ack.net.ip-forward", 1)
	takes := strings.NewReplacer("own.op", "own.cni", "rules: {sysctl: [{parameter: vm.swappiness, supported: [1]}]}", "replaces: [upstream.path.etc-cni]").Replace(good)
	own, err := decode(listed(good, override, takes))
	if err != nil {
		t.Fatal(err)
	}
	before := profile(t, "ack")
	p, err := before.With(own)
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := p.Operation("ack.net.ip-forward"); o.Severity != drift.Info {
		t.Errorf("the override did not take: %+v", o)
	}
	if o, ok := p.Operation("own.cni"); !ok || len(o.Rules["paths"]) == 0 {
		t.Errorf("the rules of the replaced operation were not taken over: %+v", o)
	}
	if len(p.Operations) != len(before.Operations)+1 {
		t.Errorf("%d operations, were %d", len(p.Operations), len(before.Operations))
	}
	if p = p.Without([]string{"own.op"}); len(p.Operations) != len(before.Operations) {
		t.Error("own.op was not disabled")
	}
	lost, err := decode(listed(strings.NewReplacer("rules: {sysctl: [{parameter: vm.swappiness, supported: [1]}]}", "replaces: [no.such]").Replace(good)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := before.With(lost); err == nil || !strings.Contains(err.Error(), "there is no no.such to take the rules of") {
		t.Errorf("got %v", err)
	}
}

func TestUnknownProfileNamesTheOthers(t *testing.T) {
	if _, err := load(t).Profile("nope"); err == nil || !strings.Contains(err.Error(), "choose one of ack, ") {
		t.Errorf("got %v", err)
	}
}

func FuzzOperations(f *testing.F) {
	f.Add(listed(good))
	f.Add("operations: [{id: a.b, rules: {x: [&a {y: *a}]}}]")
	f.Add("operations: &a [*a]")
	f.Fuzz(func(t *testing.T, text string) {
		ops, err := decode(text)
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("an error of several lines: %v", err)
		}
		for range ops {
			_, _ = catalog.Rules[rule](catalog.Profile{Operations: ops}, "sysctl")
		}
	})
}
