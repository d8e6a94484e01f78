package firewall

import (
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const rules = `
services: [firewalld, ufw, iptables, ip6tables, nftables, netfilter-persistent, shorewall, shorewall6, csf, lfd, apf]
ruleSets: true
ignore: [KUBE-*, CNI-*, cali-*, CILIUM_*, FLANNEL-*, DOCKER*, kube-proxy, cilium*, calico]
forwardDrop: [DOCKER*]
allowDropTo: [168.63.129.16]
`

// ack is the rule as a catalogue writes it.
func ack(t testing.TB) Rule {
	t.Helper()
	r, err := decoded()
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func decoded() (Rule, error) {
	var r Rule
	text := rules
	if other := os.Getenv(ruleVariable); other != "" {
		text = other
	}
	if err := yaml.UnmarshalWithOptions([]byte(text), &r, yaml.Strict()); err != nil {
		return r, err
	}
	return r, r.Validate()
}

// lines says an observation in lines that a test can be compared with.
func lines(o drift.Observation) []string {
	var out []string
	for _, f := range o.Findings {
		line := fmt.Sprintf("%s: %s, supported %s [%s %s]", f.Subject, f.Observed, f.Supported, f.Tier, f.State)
		for _, name := range slices.Sorted(maps.Keys(f.Args)) {
			line += " " + name + "=" + f.Args[name]
		}
		out = append(out, line)
	}
	for _, g := range o.Gaps {
		out = append(out, fmt.Sprintf("cannot tell %q: %s (%s)", g.Subject, g.Reason, g.Hint))
	}
	return out
}

func diff(t *testing.T, want, got []string) {
	t.Helper()
	if d := cmp.Diff(want, got, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// tree writes a host's files; a value that starts with "->" is a link.
func tree(t *testing.T, dir string, content map[string]string) {
	t.Helper()
	for name, text := range content {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, link := strings.CutPrefix(text, "->"); link {
			err = os.Symlink(target, at)
		} else {
			err = os.WriteFile(at, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func observe(t *testing.T, dir string) drift.Observation {
	t.Helper()
	root, err := host.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	return New(root, []drift.Bound[Rule]{{Operation: "ack.net.firewall", Rule: ack(t)}}).Observe(t.Context(), nil)
}

func TestRuleIsValidated(t *testing.T) {
	tests := map[string]struct {
		rule Rule
		want string
	}{
		"nothing to look for": {Rule{}, "nothing to look for"},
		"nothing ignored":     {Rule{RuleSets: true}, "kube-proxy"},
		"unknown service":     {Rule{Services: []string{"firewall"}}, `"firewall" is none that is known`},
		"unknown tier":        {Rule{Services: []string{"ufw"}, Tiers: []string{"active"}}, `"active" is none of`},
		"tunnels and more":    {Rule{Tunnels: true, Services: []string{"ufw"}}, "rules of their own"},
		"redirects and more":  {Rule{RuleSets: true, Ignore: []string{"x"}, Redirects: []uint16{1}}, "rules of their own"},
		"tunnels alone":       {Rule{Tunnels: true}, ""},
		"redirects alone":     {Rule{Redirects: []uint16{10250}}, ""},
		"bad glob":            {Rule{RuleSets: true, Ignore: []string{"KUBE-["}}, "syntax error"},
		"services alone":      {Rule{Services: []string{"ufw"}}, ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			err := tt.rule.Validate()
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestRuleIsDecoded(t *testing.T) {
	if got := ack(t).AllowDropTo; !slices.Equal(got, []netip.Addr{netip.MustParseAddr("168.63.129.16")}) {
		t.Errorf("allowDropTo %v", got)
	}
}

func TestWithoutRulesNothingIsLookedAt(t *testing.T) {
	root, err := host.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got := lines(New(root, nil).Observe(t.Context(), nil)); len(got) > 0 {
		t.Errorf("got %q", got)
	}
}
