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
		Example: "  nodeguard explain ack.net.ip-forward",
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
		found, ok := s.find(args[0])
		if !ok {
			return usage(fmt.Errorf("there is no operation %q", args[0]), "%s", s.suggest(args[0]))
		}
		return s.explain(found)
	}
	return cmd
}

func (s *session) find(id string) (catalog.Operation, bool) {
	for _, o := range s.config.Operations {
		if o.ID == id {
			return o, true
		}
	}
	return s.catalog.Find(id)
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

func (s *session) explain(o catalog.Operation) error {
	switch s.output {
	case "json":
		return text.JSON(s.stdout, s.operation(o))
	case "yaml":
		return text.YAML(s.stdout, s.operation(o))
	}
	_, err := fmt.Fprint(s.stdout, s.page(s.operation(o)))
	return err
}

// page is an operation as a page to read.
func (s *session) page(o operation) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n\n", o.ID, o.Title)
	for _, row := range [][2]string{
		{s.say("Condition", "节点状况"), cmp.Or(o.Condition, "-")}, {s.say("Severity", "级别"), o.Severity}, {s.say("Recovery class", "恢复类型"), o.Recovery.Class},
		{s.say("Source", "出处"), o.Source.Document + ", " + o.Source.Section},
	} {
		fmt.Fprintf(&b, "%s: %s\n", row[0], row[1])
	}
	fmt.Fprintf(&b, "\n%s\n  %s\n\n%s\n  %s\n", s.say("Impact", "影响"), o.Impact, s.say("Recovery", "恢复方案"), o.Recovery.Text)
	for _, c := range o.Recovery.Commands {
		fmt.Fprintf(&b, "    $ %s\n", c)
	}
	if len(o.Recovery.PendingCommands) > 0 {
		fmt.Fprintf(&b, "  %s\n", s.say("While it is only pending, whichever fits the file at fault:", "仅为待生效时，视出错的文件而定："))
	}
	for _, c := range o.Recovery.PendingCommands {
		fmt.Fprintf(&b, "    $ %s\n", c)
	}
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
		fmt.Fprintf(&b, "  %s (%s) %s\n", t.Name, t.Severity, t.Title)
	}
	return b.String()
}

func (s *session) say(en, zh string) string {
	if s.language == drift.Chinese {
		return zh
	}
	return en
}

func sortedTiers(tiers map[string]drift.Tier) []string { return slices.Sorted(maps.Keys(tiers)) }
