package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func newExplain(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "explain ID",
		Short:   "Print what is documented about one operation",
		Example: "  nodeguard explain ack.net.ip-forward\n  nodeguard explain upstream.worker.upgrade --profile ack",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(fmt.Errorf("explain takes one operation, not %d", len(args)), "nodeguard operations lists them")
			}
			return nil
		},
	}
	outputFlag(cmd, o, "table", "json", "yaml")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		s, err := open(o)
		if err != nil {
			return err
		}
		found, err := s.find(args[0])
		if err != nil {
			return err
		}
		return s.explain(args[0], found)
	}
	return cmd
}

// find returns the operation as the named profile has it, else as the configuration or
// any profile has.
func (s *session) find(id string) (catalog.Operation, error) {
	if name := s.options.profile; name != "" && name != auto {
		return s.findIn(name, id)
	}
	for _, o := range s.ownOperations() {
		if o.ID == id {
			return o, nil
		}
	}
	if o, ok := s.catalog.Find(id); ok {
		return o, nil
	}
	return catalog.Operation{}, usage(fmt.Errorf("there is no operation %q", id), "%s", s.suggest(id))
}

// ownOperations are those of the configuration, and then those of its overrides.
func (s *session) ownOperations() []catalog.Operation {
	out := slices.Clone(s.config.Operations)
	for _, o := range s.config.Overrides {
		out = append(out, o.Operations...)
	}
	return out
}

// findIn returns the operation of the profile, or the one that stands for it there.
func (s *session) findIn(name, id string) (catalog.Operation, error) {
	p, err := s.catalog.Profile(name)
	if err != nil {
		return catalog.Operation{}, usage(err, "or leave --profile out")
	}
	if p, err = p.With(s.config.Operations); err != nil {
		return catalog.Operation{}, usage(err, "docs/reference.yaml documents every key")
	}
	if o, ok := p.Operation(id); ok {
		return o, nil
	}
	for _, o := range p.Operations {
		if slices.Contains(o.Replaces, id) {
			return o, nil
		}
	}
	if _, ok := s.catalog.Find(id); ok {
		return catalog.Operation{}, usage(fmt.Errorf("profile %s has no operation %q", name, id), "leave --profile out to read it")
	}
	return catalog.Operation{}, usage(fmt.Errorf("there is no operation %q", id), "%s", s.suggest(id))
}

// suggest names operations that share the last word of a mistyped id.
func (s *session) suggest(id string) string {
	last := id[strings.LastIndex(id, ".")+1:]
	var near []string
	for _, name := range s.catalog.Names() {
		p, err := s.catalog.Profile(name)
		if err != nil {
			continue
		}
		for _, o := range p.Operations {
			if last != "" && strings.Contains(o.ID, last) && !slices.Contains(near, o.ID) {
				near = append(near, o.ID)
			}
		}
	}
	if len(near) == 0 || len(near) > 5 {
		return "nodeguard operations lists them"
	}
	return "did you mean " + list(near) + "?"
}

func (s *session) explain(asked string, o catalog.Operation) error {
	e := explanation{operation: s.operation(o), Overrides: s.overridesOf(o)}
	if asked != o.ID {
		e.For = asked
	}
	switch s.output {
	case "json":
		return text.JSON(s.stdout, e)
	case "yaml":
		return text.YAML(s.stdout, e)
	}
	_, err := fmt.Fprint(s.stdout, s.page(e))
	return err
}

// explanation is an operation with what is true of it only here.
type explanation struct {
	operation
	For       string     `json:"standsFor,omitempty"` // the operation that was asked for
	Overrides []override `json:"overrides,omitempty"`
}

// page is an operation as a page to read.
func (s *session) page(e explanation) string {
	var b strings.Builder
	o := e.operation
	fmt.Fprintf(&b, "%s\n%s\n\n", o.ID, o.Title)
	for _, row := range [][2]string{
		{s.say("Stands for", "对应操作"), e.For},
		{s.say("Condition", "节点状况"), cmp.Or(o.Condition, "-")}, {s.say("Severity", "级别"), o.Severity}, {s.say("Recovery class", "恢复类型"), o.Recovery.Class},
		{s.say("Source", "出处"), o.Source.Document + ", " + o.Source.Section},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", row[0], row[1])
		}
	}
	fmt.Fprintf(&b, "\n%s\n  %s\n\n%s\n", s.say("Impact", "影响"), o.Impact, s.say("Recovery", "恢复方案"))
	hasBlanks := s.recovery(&b, "  ", o.Recovery)
	if u := o.Unseen; u != nil {
		fmt.Fprintf(&b, "\n%s\n  %s\n", s.say("Why a node cannot tell", "为何节点侧无法感知"), u.Reason)
		if u.Symptom != "" {
			fmt.Fprintf(&b, "  %s: %s\n", s.say("What the node sees of it", "节点可见的现象"), u.Symptom)
		}
	}
	if len(o.Tiers) > 0 {
		fmt.Fprintf(&b, "\n%s\n", s.say("Degrees", "程度"))
	}
	for _, t := range o.Tiers {
		fmt.Fprintf(&b, "  %s (%s) %s\n", t.Name, t.Severity, cmp.Or(t.Title, o.Title))
		if t.Recovery != nil {
			fmt.Fprintf(&b, "    %s: %s\n", s.say("Recovery class", "恢复类型"), t.Recovery.Class)
			hasBlanks = s.recovery(&b, "    ", *t.Recovery) || hasBlanks
		}
	}
	if s.overridden(&b, e.Overrides) || hasBlanks {
		fmt.Fprintf(&b, "\n%s\n", s.say("A finding fills in what stands in <…>: nodeguard check prints the commands for this host.", "<…> 中的内容由检测结果填入：nodeguard check 会打印适用于本机的命令。"))
	}
	return b.String()
}

// recovery is the way back, with its commands, and tells whether a finding fills them in.
func (s *session) recovery(b *strings.Builder, indent string, r recovery) (hasBlanks bool) {
	fmt.Fprintf(b, "%s%s\n", indent, blanks(r.Text))
	for _, c := range r.Commands {
		fmt.Fprintf(b, "%s  $ %s\n", indent, blanks(c))
	}
	if len(r.PendingCommands) > 0 {
		fmt.Fprintf(b, "%s%s\n", indent, s.say("While it is only pending, whichever fits the file at fault:", "仅为待生效时，视出错的文件而定："))
	}
	for _, c := range r.PendingCommands {
		fmt.Fprintf(b, "%s  $ %s\n", indent, blanks(c))
	}
	return slices.ContainsFunc(slices.Concat(r.Commands, r.PendingCommands), blank.MatchString)
}

func (s *session) say(en, zh string) string {
	if s.language == drift.Chinese {
		return zh
	}
	return en
}

func sortedTiers(tiers map[string]drift.Tier) []string { return slices.Sorted(maps.Keys(tiers)) }
