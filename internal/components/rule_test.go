package components

import (
	"strings"
	"testing"
)

func TestRuleValidate(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule Rule
		want string // "" is valid
	}{
		{"compare", Rule{Component: Kubelet, Compare: "parameters", Allow: []string{"maxPods"}}, ""},
		{"compare all", Rule{Compare: "parameters"}, ""},
		{"drivers", Rule{CgroupDrivers: "agree"}, ""},
		{"binary", Rule{Component: Kubelet, Binary: "unreplaced"}, ""},
		{"version", Rule{Version: "recorded", Absorb: true}, ""},
		{"version of one", Rule{Component: Kubelet, Version: "recorded"}, "takes none"},
		{"skew", Rule{Skew: "supported"}, ""},
		{"skew of one", Rule{Component: Kubelet, Skew: "supported"}, "takes none"},
		{"unknown skew", Rule{Skew: "2"}, `skew: "2" is not "supported"`},
		{"skew and version", Rule{Skew: "supported", Version: "recorded"}, "exactly one"},
		{"unknown version", Rule{Version: "1.31"}, `version: "1.31" is not "recorded"`},
		{"absorb without version", Rule{Compare: "parameters", Absorb: true}, "absorb:"},
		{"nothing", Rule{}, "exactly one"},
		{"two kinds", Rule{Compare: "parameters", Binary: "unreplaced"}, "exactly one"},
		{"unknown component", Rule{Component: "crio", Compare: "parameters"}, `component: "crio"`},
		{"drivers of one", Rule{Component: Docker, CgroupDrivers: "agree"}, "takes none"},
		{"unknown word", Rule{Compare: "bytes"}, `compare: "bytes" is none of parameters, `},
		{"allow without compare", Rule{Binary: "unreplaced", Allow: []string{"x"}}, "allow:"},
		{"empty glob", Rule{Compare: "parameters", Allow: []string{""}}, "empty glob"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.rule.Validate()
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("Validate() = %v", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("Validate() = %v, want %q in it", err, tt.want)
			}
		})
	}
}
