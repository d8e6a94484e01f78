package sysctl

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule says what a kernel parameter may be. It has a Parameter with Supported,
// Within, Ranges or AvoidNodePorts, or it has Settings.
type Rule struct {
	// Parameter as sysctl(8) names it; {interface} stands for each of Interfaces.
	Parameter string `yaml:"parameter"`
	// Aliases are further names by which the same value is set.
	Aliases []string `yaml:"aliases"`

	// Interfaces are names, globs and "default-route"; the scopes "all" and
	// "default" count only where they are named.
	Interfaces []string `yaml:"interfaces"`
	Except     []string `yaml:"except"`
	// Effective is "max" where the kernel uses the larger of the interface's own
	// value and that of "all".
	Effective string `yaml:"effective"`

	Supported      []int64    `yaml:"supported"`      // values of one integer
	Within         []Bounds   `yaml:"within"`         // of each integer of the value
	Ranges         [][2]int64 `yaml:"ranges"`         // values of two integers
	AvoidNodePorts bool       `yaml:"avoidNodePorts"` // two integers: no unreserved NodePort between them

	Absent       string `yaml:"absent"`       // "supported": a kernel without the parameter is in support
	Tier         string `yaml:"tier"`         // of the findings; "" where the operation has no tiers
	UnlessOutOf  string `yaml:"unlessOutOf"`  // a parameter whose finding explains this one
	OverlapTier  string `yaml:"overlapTier"`  // tier of a range that overlaps unreserved NodePorts
	LeftoverTier string `yaml:"leftoverTier"` // tier of a setting for a parameter that the kernel does not have

	// Settings compares the administrator's sysctl.d settings with the baseline.
	Settings *Settings `yaml:"settings"`
}

// Bounds are the least that an integer may be and, where there are two, the most.
type Bounds []int64

func (b Bounds) hold(v int64) bool { return v >= b[0] && (len(b) < 2 || v <= b[1]) }

func (b Bounds) String() string {
	if len(b) < 2 {
		return fmt.Sprintf("at least %d", b[0])
	}
	return fmt.Sprintf("%d to %d", b[0], b[1])
}

// Settings are the sysctl.d files whose settings must stay as recorded.
type Settings struct {
	Files  []string `yaml:"files"`  // globs
	Except []string `yaml:"except"` // globs: files that the provider lets users write
	// Allow are globs of parameters that users may set.
	Allow []string `yaml:"allow"`
	// Apart is the one file of Files, where that is recorded for itself: what other
	// files set does not count, though they set the same.
	Apart bool `yaml:"apart"`
}

const interfacePlaceholder = "{interface}"

// Validate tells what is wrong with a rule.
func (r Rule) Validate() error {
	if r.Settings != nil {
		return r.Settings.validate(r)
	}
	switch {
	case r.Parameter == "":
		return errors.New("parameter is missing")
	case r.Supported == nil && r.Within == nil && r.Ranges == nil && !r.AvoidNodePorts:
		return errors.New("one of supported, within, ranges and avoidNodePorts is needed")
	case r.Within != nil && (r.Ranges != nil || r.AvoidNodePorts):
		return errors.New("within excludes ranges and avoidNodePorts")
	case strings.Contains(r.Parameter, interfacePlaceholder) != (len(r.Interfaces) > 0):
		return errors.New("interfaces and {interface} in the parameter go together")
	case r.Effective != "" && r.Effective != "max":
		return fmt.Errorf(`effective is %q: leave it out or say "max"`, r.Effective)
	case r.Absent != "" && r.Absent != "supported":
		return fmt.Errorf(`absent is %q: leave it out or say "supported"`, r.Absent)
	}
	for _, b := range r.Within {
		if len(b) == 0 || len(b) > 2 || len(b) == 2 && b[0] > b[1] {
			return fmt.Errorf("within: %v is neither [least] nor [least, most]", []int64(b))
		}
	}
	return globs(r.Interfaces, r.Except)
}

func (s *Settings) validate(r Rule) error {
	if r.Parameter != "" {
		return errors.New("settings and parameter exclude each other")
	}
	if len(s.Files) == 0 {
		return errors.New("settings.files is missing")
	}
	if s.Apart && len(s.Files) != 1 {
		return errors.New("settings.apart is of one file")
	}
	return globs(s.Files, s.Except, s.Allow)
}

func globs(lists ...[]string) error {
	for _, list := range lists {
		for _, g := range list {
			if !doublestar.ValidatePattern(g) {
				return fmt.Errorf("glob %q does not parse", g)
			}
		}
	}
	return nil
}

// verdict is what a rule says of a value.
type verdict struct {
	supported bool
	tier      string
	remark    string // what makes it worse
}

// judge says whether the values are supported.
func (r Rule) judge(values []int64, ports nodePorts) (verdict, error) {
	if r.Within != nil {
		return r.judgeBounds(values)
	}
	if r.Ranges == nil && !r.AvoidNodePorts {
		if len(values) != 1 {
			return verdict{}, errShape
		}
		return verdict{supported: contains(r.Supported, values[0]), tier: r.Tier}, nil
	}
	if len(values) != 2 {
		return verdict{}, errShape
	}
	return r.judgeRange([2]int64{values[0], values[1]}, ports), nil
}

func (r Rule) judgeBounds(values []int64) (verdict, error) {
	if len(values) != len(r.Within) {
		return verdict{}, errShape
	}
	v := verdict{supported: true, tier: r.Tier}
	for i, b := range r.Within {
		v.supported = v.supported && b.hold(values[i])
	}
	v.supported = v.supported || len(values) == 1 && contains(r.Supported, values[0])
	return v, nil
}

var errShape = errors.New("the value has another number of integers than the rule")

func (r Rule) judgeRange(have [2]int64, ports nodePorts) verdict {
	v := verdict{supported: r.Ranges == nil || contains(r.Ranges, have), tier: r.Tier}
	clash := ports.overlap(have)
	if r.AvoidNodePorts && clash {
		v.supported = false
	}
	if clash && !v.supported {
		v.remark = "overlaps the NodePorts " + ports.String()
		if r.OverlapTier != "" {
			v.tier = r.OverlapTier
		}
	}
	return v
}

func contains[T comparable](list []T, v T) bool {
	for _, l := range list {
		if l == v {
			return true
		}
	}
	return false
}

// want says what is supported, the recommended value first.
func (r Rule) want(ports nodePorts) string {
	var words []string
	for _, s := range r.Supported {
		words = append(words, strconv.FormatInt(s, 10))
	}
	if r.Within != nil {
		bounds := make([]string, len(r.Within))
		for i, b := range r.Within {
			bounds[i] = b.String()
		}
		words = append(words, strings.Join(bounds, " and "))
	}
	for _, w := range r.Ranges {
		words = append(words, fmt.Sprintf("%d %d", w[0], w[1]))
	}
	if len(words) == 0 {
		return "no overlap with the NodePorts " + ports.String()
	}
	return strings.Join(words, " or ")
}

// perNetwork tells whether the parameter belongs to a network namespace.
func (r Rule) perNetwork() bool { return strings.HasPrefix(r.Parameter, "net.") }

// subject names the rule as a whole, where no single parameter is meant.
func (r Rule) subject() string { return strings.ReplaceAll(r.Parameter, interfacePlaceholder, "*") }

// of is the parameter of one interface.
func (r Rule) of(iface string) string {
	return strings.ReplaceAll(r.Parameter, interfacePlaceholder, strings.ReplaceAll(iface, ".", "/"))
}
