package hostconfig

import (
	"strings"
	"testing"
)

func TestRulesAreValidated(t *testing.T) {
	good := Rule{Look: "resolver", In: []string{"/etc/resolv.conf"}, Compare: toBaseline}
	with := func(change func(*Rule)) Rule {
		r := good
		change(&r)
		return r
	}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		rule Rule
	}{
		{`look: "resolv" is none of`, with(func(r *Rule) { r.Look = "resolv" })},
		{"in is missing", with(func(r *Rule) { r.In = nil })},
		{"in: swap is one thing", with(func(r *Rule) { r.Look = "swap" })},
		{"has something other than", Rule{Look: "probe", In: []string{"example.com"}, Supported: []string{"reachable"}}},
		{"either compare or one of", with(func(r *Rule) { r.Supported = []string{"x"} })},
		{"either compare or one of", with(func(r *Rule) { r.Compare = "" })},
		{`compare: "image" is not`, with(func(r *Rule) { r.Compare = "image" })},
		{"belong to compare", with(func(r *Rule) { r.Compare, r.Refused, r.PerNode = "", []string{"x"}, true })},
		{`during: "night" is not`, with(func(r *Rule) { r.During = "night" })},
		{`changes: "moved" is none of`, with(func(r *Rule) { r.Changes = []string{"moved"} })},
		{"is not absolute and clean", with(func(r *Rule) { r.In = []string{"etc/resolv.conf"} })},
		{"is not absolute and clean", with(func(r *Rule) { r.In = []string{"/etc/../x"} })},
		{"does not parse", with(func(r *Rule) { r.In = []string{"/etc/[x"} })},
		{"an empty glob", with(func(r *Rule) { r.Keys = []string{""} })},
		{"owner: only a directory", with(func(r *Rule) { r.Owner = []string{"/x"} })},
		{"replacedTier: only a directory", with(func(r *Rule) { r.ReplacedTier = "x" })},
		{"a directory is compared", Rule{Look: "directory", In: []string{"/tmp"}, Refused: []string{"x"}}},
		{"words and look: schedule", with(func(r *Rule) { r.Words = []string{"x"} })},
		{"words and look: schedule", with(func(r *Rule) { r.Look = "schedule" })},
		{"packages: only programs", with(func(r *Rule) { r.Packages = map[string]map[string]string{"x": {"deb": "y"}} })},
	} {
		if err := c.rule.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// What a rule can look at is documented where rules are.
func TestTablesHaveAWay(t *testing.T) {
	for _, name := range Tables() {
		k, _ := tableOf(name)
		if k.read == nil || k.in == inChosen && len(k.choices) == 0 {
			t.Errorf("%s cannot be looked at", name)
		}
	}
}
