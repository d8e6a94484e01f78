package components

import (
	"errors"
	"fmt"
	"slices"
)

// Component is a program whose configuration is looked at.
type Component string

const (
	Kubelet    Component = "kubelet"
	Containerd Component = "containerd"
	Docker     Component = "docker"
)

var components = [...]Component{Kubelet, Containerd, Docker}

// Rule says one thing that has to hold: Compare, CgroupDrivers, Binary or Version.
type Rule struct {
	// Component is the one that Compare or Binary is about; empty is each of them.
	Component Component `yaml:"component"`
	// Compare is "parameters": every flag and every key of the configuration files
	// is as it was accepted.
	Compare string `yaml:"compare"`
	// Allow are globs of what may change all the same: a whole subject
	// ("kubelet config maxPods") or its key alone ("maxPods", "--max-pods").
	Allow []string `yaml:"allow"`
	// CgroupDrivers is "agree": the kubelet's is that of the runtime it uses.
	CgroupDrivers string `yaml:"cgroupDrivers"`
	// Binary is "unreplaced": the file that the process was started from is still there.
	Binary string `yaml:"binary"`
	// Version is "recorded": kubelet, container runtime and operating system are of
	// the version that was accepted. What changed together with one of them is part
	// of its upgrade.
	Version string `yaml:"version"`
	// Absorb lets the agent accept an upgrade once the node has been still after it.
	Absorb bool `yaml:"absorb"`
}

const (
	parameters = "parameters"
	agree      = "agree"
	unreplaced = "unreplaced"
	asRecorded = "recorded"
)

// Validate tells what is wrong with the rule.
func (r Rule) Validate() error {
	return errors.Join(r.validateKind(), r.validateComponent(), r.validateAllow(),
		oneOf("compare", r.Compare, parameters), oneOf("cgroupDrivers", r.CgroupDrivers, agree), oneOf("binary", r.Binary, unreplaced),
		oneOf("version", r.Version, asRecorded))
}

func (r Rule) validateKind() error {
	kinds := 0
	for _, kind := range []string{r.Compare, r.CgroupDrivers, r.Binary, r.Version} {
		if kind != "" {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("a rule has exactly one of compare, cgroupDrivers, binary and version, not %d", kinds)
	}
	return nil
}

func (r Rule) validateComponent() error {
	if r.Component != "" && !slices.Contains(components[:], r.Component) {
		return fmt.Errorf("component: %q is none of %v", r.Component, components)
	}
	if r.Component != "" && r.CgroupDrivers != "" {
		return errors.New("component: cgroupDrivers is about the kubelet and its runtime, and takes none")
	}
	if r.Component != "" && r.Version != "" {
		return errors.New("component: version is about the node as a whole, and takes none")
	}
	if r.Absorb && r.Version == "" {
		return errors.New("absorb: only version has what can be accepted by itself")
	}
	return nil
}

func (r Rule) validateAllow() error {
	if len(r.Allow) > 0 && r.Compare == "" {
		return errors.New("allow: only compare has keys that may change")
	}
	if slices.Contains(r.Allow, "") {
		return errors.New("allow: an empty glob matches nothing")
	}
	return nil
}

func oneOf(name, got, want string) error {
	if got != "" && got != want {
		return fmt.Errorf("%s: %q is not %q", name, got, want)
	}
	return nil
}

// recorded tells whether the rule compares with what was recorded.
func (r Rule) recorded() bool { return r.Compare != "" || r.Version != "" }

// about tells whether the rule is about the component.
func (r Rule) about(c Component) bool { return r.Component == "" || r.Component == c }
