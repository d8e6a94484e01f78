package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/config"
)

// override is what is true of an operation on some nodes only.
type override struct {
	Nodes     string     `json:"nodes"` // their labels
	Disabled  bool       `json:"disabled,omitempty"`
	Severity  string     `json:"severity,omitempty"`
	Operation *operation `json:"operation,omitempty"` // that takes its place
}

// overridesOf are the overrides of the configuration that change the operation.
func (s *session) overridesOf(o catalog.Operation) (out []override) {
	for _, over := range s.config.Overrides {
		changed := override{
			Nodes: over.Selector.String(), Disabled: slices.Contains(over.Disabled, o.ID), Severity: string(over.Severities[o.ID]),
			Operation: s.replacement(o, over),
		}
		if changed.Disabled || changed.Severity != "" || changed.Operation != nil {
			out = append(out, changed)
		}
	}
	return out
}

// replacement is what an override puts in the place of an operation, with its severities.
func (s *session) replacement(o catalog.Operation, over config.Override) *operation {
	for _, own := range over.Operations {
		if own.ID != o.ID && !slices.Contains(own.Replaces, o.ID) {
			continue
		}
		there := *s
		there.config = s.config.With(over)
		shown := there.operation(own)
		return &shown
	}
	return nil
}

// overridden says what is other where an override is in force, and tells whether a
// finding fills it in.
func (s *session) overridden(b *strings.Builder, overrides []override) (hasBlanks bool) {
	if len(overrides) > 0 {
		fmt.Fprintf(b, "\n%s\n", s.say("On some nodes, by their labels", "在部分节点上（按标签）"))
	}
	for _, o := range overrides {
		fmt.Fprintf(b, "  %s\n", o.Nodes)
		if o.Disabled {
			fmt.Fprintf(b, "    %s\n", s.say("disabled", "已停用"))
		}
		if with := o.Operation; with != nil {
			fmt.Fprintf(b, "    %s: %s\n    %s: %s\n    %s: %s\n", with.ID, with.Title,
				s.say("Severity", "级别"), with.Severity, s.say("Recovery class", "恢复类型"), with.Recovery.Class)
			hasBlanks = s.recovery(b, "    ", with.Recovery) || hasBlanks
		} else if o.Severity != "" {
			fmt.Fprintf(b, "    %s: %s\n", s.say("Severity", "级别"), o.Severity)
		}
	}
	return hasBlanks
}
