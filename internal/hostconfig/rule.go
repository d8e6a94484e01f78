package hostconfig

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// Rule looks at one of the host's tables, a setting with its value a line, and says
// what of it has to hold: Supported, Refused, AtLeast, AtMost, or Compare.
type Rule struct {
	// Look is the table; Tables lists them.
	Look string `yaml:"look"`
	// In is where to look, or at what: files, units, programs, … as the table has it.
	In []string `yaml:"in"`
	// OS are the ids of os-release(5) of the systems that the rule is about; none: any.
	OS []string `yaml:"os"`
	// Keys are globs of the settings that count; none: all but Except.
	Keys   []string `yaml:"keys"`
	Except []string `yaml:"except"`

	Supported []string `yaml:"supported"` // globs of values that are supported; the first is said to be the one
	Refused   []string `yaml:"refused"`   // globs of values that are not
	Want      string   `yaml:"want"`      // what is said to be supported where Refused tells only what is not
	AtLeast   int64    `yaml:"atLeast"`   // of a value that is a number
	AtMost    int64    `yaml:"atMost"`

	// Compare is "baseline": the settings are those that were recorded.
	Compare string `yaml:"compare"`
	// Changes that count: removed, added, changed; none: all three.
	Changes []string `yaml:"changes"`
	// During is "session": only what changed while somebody was logged in from elsewhere,
	// or had a pod of kubectl debug on the node.
	During string `yaml:"during"`
	// PerNode says that the values differ from node to node.
	PerNode bool `yaml:"perNode"`

	// Owner are globs of paths: where one is there, so is the owner of a directory,
	// which then has to be there whatever was recorded.
	Owner []string `yaml:"owner"`
	// Words are what a scheduled command is known by, all of them.
	Words []string `yaml:"words"`
	// Packages are the names of packages by the program that they bring, where they
	// are not the same, by "deb" and "rpm".
	Packages map[string]map[string]string `yaml:"packages"`

	Tier string `yaml:"tier"` // of the findings; "" where the operation has no tiers
	// ReplacedTier is the tier of a directory that is another than was recorded.
	ReplacedTier string `yaml:"replacedTier"`
}

const (
	toBaseline = "baseline"
	inSession  = "session"

	removed = "removed"
	added   = "added"
	changed = "changed"
)

// Validate tells what is wrong with the rule.
func (r Rule) Validate() error {
	t, known := tableOf(r.Look)
	switch {
	case !known:
		return fmt.Errorf("look: %q is none of %s", r.Look, strings.Join(Tables(), ", "))
	case t.in != inRefused && len(r.In) == 0:
		return fmt.Errorf("in is missing: %s does not know where to look", r.Look)
	case t.in == inRefused && len(r.In) > 0:
		return fmt.Errorf("in: %s is one thing", r.Look)
	case t.in == inChosen && slices.ContainsFunc(r.In, func(in string) bool { return !slices.Contains(t.choices, in) }):
		return fmt.Errorf("in: %v has something other than %v", r.In, t.choices)
	}
	return errors.Join(r.validateJudgement(), r.validatePlaces(t), r.validateOptions())
}

func (r Rule) validateJudgement() error {
	absolute := len(r.Supported) > 0 || len(r.Refused) > 0 || r.AtLeast != 0 || r.AtMost != 0
	switch {
	case r.Compare != "" && r.Compare != toBaseline:
		return fmt.Errorf("compare: %q is not %q", r.Compare, toBaseline)
	case absolute == (r.Compare != ""):
		return errors.New("a rule has either compare or one of supported, refused, atLeast and atMost")
	case r.Compare == "" && (len(r.Changes) > 0 || r.During != "" || r.PerNode):
		return errors.New("changes, during and perNode belong to compare")
	case r.During != "" && r.During != inSession:
		return fmt.Errorf("during: %q is not %q", r.During, inSession)
	}
	for _, c := range r.Changes {
		if c != removed && c != added && c != changed {
			return fmt.Errorf("changes: %q is none of %s, %s, %s", c, removed, added, changed)
		}
	}
	return nil
}

func (r Rule) validatePlaces(t tableKind) error {
	for _, in := range append(slices.Clone(r.Owner), r.In...) {
		if t.in == inNeeded && t.paths && (!path.IsAbs(in) || path.Clean(in) != in) {
			return fmt.Errorf("in: %q is not absolute and clean", in)
		}
	}
	for _, g := range append(slices.Clone(r.Owner), r.In...) {
		if !doublestar.ValidatePattern(g) {
			return fmt.Errorf("glob %q does not parse", g)
		}
	}
	for _, globs := range [][]string{r.In, r.Keys, r.Except, r.Owner, r.Supported, r.Refused} {
		if slices.Contains(globs, "") {
			return errors.New("an empty glob matches nothing")
		}
	}
	return nil
}

func (r Rule) validateOptions() error {
	switch {
	case len(r.Owner) > 0 && r.Look != "directory":
		return errors.New("owner: only a directory has one")
	case r.ReplacedTier != "" && r.Look != "directory":
		return errors.New("replacedTier: only a directory can be another one")
	case r.Look == "directory" && r.Compare == "":
		return errors.New("compare: a directory is compared with the baseline")
	case (len(r.Words) > 0) != (r.Look == "schedule"):
		return errors.New("words and look: schedule go together")
	case len(r.Packages) > 0 && r.Look != "programs":
		return errors.New("packages: only programs come with them")
	}
	return nil
}

// counts tells whether the rule is about the setting.
func (r Rule) counts(key string) bool {
	return (len(r.Keys) == 0 || matchesAny(r.Keys, key)) && !matchesAny(r.Except, key)
}

// matters tells whether a change of that kind counts.
func (r Rule) matters(change string) bool {
	return len(r.Changes) == 0 || slices.Contains(r.Changes, change)
}

// places are those that the rule names, each a table of its own unless they are
// looked at together; "" is the one there is.
func (r Rule) places() []string {
	if t, _ := tableOf(r.Look); t.together || len(r.In) == 0 {
		return []string{strings.Join(r.In, " ")}
	}
	return r.In
}
