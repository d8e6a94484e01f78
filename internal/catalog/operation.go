package catalog

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/goccy/go-yaml/ast"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Text is a text in every language of the catalogue.
type Text struct {
	En string `yaml:"en"`
	Zh string `yaml:"zh"`
}

// In returns the text in the language.
func (t Text) In(l drift.Language) string {
	if l == drift.Chinese {
		return t.Zh
	}
	return t.En
}

func (t Text) complete() bool { return t.En != "" && t.Zh != "" }

// Operation is a documented operation, as the catalogue file has it.
type Operation struct {
	ID        string          `yaml:"id"`
	Replaces  []string        `yaml:"replaces"` // operations of the extended profile that this one stands for
	Condition string          `yaml:"condition"`
	Severity  drift.Severity  `yaml:"severity"`
	Title     Text            `yaml:"title"`
	Impact    Text            `yaml:"impact"`
	Recovery  Recovery        `yaml:"recovery"`
	Source    Source          `yaml:"source"`
	Tiers     map[string]Tier `yaml:"tiers"`
	Since     string          `yaml:"since"` // the release that brought it; "": it was there from the first
	// Rules by the name of the check that decodes them. An operation that replaces
	// another and has none is detected as that one is.
	Rules map[string][]ast.Node `yaml:"rules"`

	// Unseen says why a node cannot tell; such an operation has no rules.
	Unseen *Unseen `yaml:"unseen"`

	file  *File // where it stands
	node  ast.Node
	ruled *File // where its rules stand
}

// Unseen is an operation that only the cluster's or the cloud's API can show.
type Unseen struct {
	Reason  Text   `yaml:"reason"`
	Symptom string `yaml:"symptom"` // operation whose finding is what the node sees of it; "" for none
}

// Recovery is the documented way back.
type Recovery struct {
	Class           drift.Class `yaml:"class"`
	Text            Text        `yaml:"text"`
	Commands        []string    `yaml:"commands"`
	PendingCommands []string    `yaml:"pendingCommands"`
}

// Source cites a document of the profile's list, or any by its title.
type Source struct {
	Document string `yaml:"document"`
	Section  string `yaml:"section"`
}

// Tier is one degree of an operation; what it leaves out is the operation's.
type Tier struct {
	Severity drift.Severity `yaml:"severity"`
	Title    Text           `yaml:"title"`
	Impact   Text           `yaml:"impact"`
	Recovery *Recovery      `yaml:"recovery"`
}

// Conditions are the families that an operation can belong to.
var Conditions = [...]string{
	"KernelParameterDrift", "KubernetesPathDrift", "FirewallInterference", "ComponentConfigDrift",
	"VolumeMountDrift", "NodeIdentityDrift", "HostConfigDrift",
}

var idForm = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)

// validate tells what is missing or wrong.
func (o Operation) validate() error {
	switch {
	case !idForm.MatchString(o.ID):
		return fmt.Errorf("id %q: want lower-case words joined by dots, like ack.net.ip-forward", o.ID)
	case o.Unseen != nil && (o.Condition != "" || len(o.Rules) > 0 || len(o.Replaces) > 0 || len(o.Tiers) > 0):
		return errors.New("unseen: an operation that a node cannot see has no condition, rules, replaces or tiers")
	case o.Unseen != nil && !o.Unseen.Reason.complete():
		return errors.New("unseen.reason needs en and zh")
	case o.Unseen == nil && !slices.Contains(Conditions[:], o.Condition):
		return fmt.Errorf("condition %q is none of %v", o.Condition, Conditions)
	case !o.Title.complete():
		return errors.New("title needs en and zh")
	case !o.Impact.complete():
		return errors.New("impact needs en and zh")
	case o.Source.Document == "":
		return errors.New("source.document is missing")
	case o.Unseen == nil && len(o.Rules) == 0 && len(o.Replaces) != 1:
		return errors.New("rules is missing: only an operation that replaces exactly one takes over the rules of that")
	}
	if err := errors.Join(validSeverity(o.Severity), validSince(o.Since)); err != nil {
		return err
	}
	if err := o.Recovery.validate(); err != nil {
		return err
	}
	return o.validateTiers()
}

func (o Operation) validateTiers() error {
	for name, t := range o.Tiers {
		if err := validSeverity(t.Severity); t.Severity != "" && err != nil {
			return fmt.Errorf("tier %s: %w", name, err)
		}
		if (t.Title != Text{} && !t.Title.complete()) || (t.Impact != Text{} && !t.Impact.complete()) {
			return fmt.Errorf("tier %s: texts need en and zh", name)
		}
		if t.Recovery != nil {
			if err := t.Recovery.validate(); err != nil {
				return fmt.Errorf("tier %s: %w", name, err)
			}
		}
	}
	return nil
}

func (r Recovery) validate() error {
	if !r.Text.complete() {
		return errors.New("recovery needs a text in en and zh")
	}
	if !slices.Contains(drift.Classes[:], r.Class) {
		return fmt.Errorf("recovery.class %q is none of %v", r.Class, drift.Classes)
	}
	return nil
}

func validSeverity(s drift.Severity) error {
	if s != drift.Critical && s != drift.Warning && s != drift.Info {
		return fmt.Errorf("severity %q is none of [critical warning info]", s)
	}
	return nil
}
