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

// Rule says one thing that has to hold: Compare, Policy, CgroupDrivers, Binary, Version
// or Skew.
type Rule struct {
	// Component is the one that the rule is about; empty is each of them.
	Component Component `yaml:"component"`
	// Compare is a subject matter, all of which is as it was accepted. "parameters" is
	// every flag and every key of the configuration files; matters has the others.
	Compare string `yaml:"compare"`
	// Policy is a subject matter whose settings are judged by what they are.
	Policy string `yaml:"policy"`
	// Files are what the matter "files" reads.
	Files []string `yaml:"files"`
	// Keys are globs of the settings that count, as Allow has them; none: all.
	Keys []string `yaml:"keys"`
	// Allow are globs of what does not count: a whole subject
	// ("kubelet config maxPods") or its key alone ("maxPods", "--max-pods").
	Allow []string `yaml:"allow"`
	// Changes are what Compare is about: the "values" in files, or files that are
	// "gone"; empty is both, and files that came.
	Changes string `yaml:"changes"`

	// What a policy wants of the settings that it is about.

	Supported []string `yaml:"supported"` // globs of values that are supported
	Refused   []string `yaml:"refused"`   // globs of values that are not
	Want      string   `yaml:"want"`      // what is said to be supported
	AtLeast   *float64 `yaml:"atLeast"`   // of a value that is a number
	AtMost    *float64 `yaml:"atMost"`
	// Required are keys that have to be set, whatever to.
	Required []string `yaml:"required"`
	// Flag is the flag of the command line that goes before a file's keys.
	Flag string `yaml:"flag"`
	// Age is a regular expression that finds year, month and day in a value; AtMost is
	// then how many days ago that may be.
	Age string `yaml:"age"`
	// Ends says until when a minor version is supported, as 2026-09-30. Once the newest
	// of them has ended, nobody knows of newer ones.
	Ends map[string]string `yaml:"ends"`
	// Alpha are feature gates by the minor version in which they left alpha. Those with
	// "" are judged in any version, the others where it is known.
	Alpha map[string]string `yaml:"alpha"`

	// On which nodes the rule holds. What is not known of a node is no reason to judge it.

	// Runtime is the one that the kubelet has to use.
	Runtime Component `yaml:"runtime"`
	// From is the first minor version of the kubelet: "1.24".
	From string `yaml:"from"`
	// UnlessLabels are globs of labels of the Node, KEY=VALUE, that except it.
	UnlessLabels []string `yaml:"unlessLabels"`
	// When are globs of values that settings of the component must have, by key;
	// "unset" is one that nobody set.
	When map[string][]string `yaml:"when"`

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
	// Skew is "supported": the kubelet is not newer than the API server that it works
	// with, and not older than that one supports. Its findings are of the tier "skewed".
	Skew string `yaml:"skew"`
}

const (
	parameters = "parameters"
	agree      = "agree"
	unreplaced = "unreplaced"
	asRecorded = "recorded"
	supported  = "supported"
)

// Validate tells what is wrong with the rule.
func (r Rule) Validate() error {
	return errors.Join(r.validateKind(), r.validateComponent(), r.validateAllow(), r.validateMatter(), r.validateJudgement(), r.validateWhere(),
		oneOf("cgroupDrivers", r.CgroupDrivers, agree), oneOf("binary", r.Binary, unreplaced),
		oneOf("version", r.Version, asRecorded), oneOf("skew", r.Skew, supported))
}

func (r Rule) validateKind() error {
	kinds := 0
	for _, kind := range []string{r.Compare, r.Policy, r.CgroupDrivers, r.Binary, r.Version, r.Skew} {
		if kind != "" {
			kinds++
		}
	}
	if kinds != 1 {
		return fmt.Errorf("a rule has exactly one of compare, policy, cgroupDrivers, binary, version and skew, not %d", kinds)
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
	if r.Component != "" && r.Version+r.Skew != "" {
		return errors.New("component: a rule about versions is about the node as a whole, and takes none")
	}
	if r.Absorb && r.Version == "" {
		return errors.New("absorb: only version has what can be accepted by itself")
	}
	return nil
}

func (r Rule) validateAllow() error {
	if len(r.Allow)+len(r.Keys) > 0 && r.Compare == "" && r.Policy == "" {
		return errors.New("keys and allow: only compare and policy have keys")
	}
	if slices.Contains(r.Allow, "") || slices.Contains(r.Keys, "") {
		return errors.New("keys and allow: an empty glob matches nothing")
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
