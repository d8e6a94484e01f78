package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Rules decodes a check's rules, strictly, with the operation of each. A rule
// that has a Validate method is asked.
func Rules[R any](p Profile, check string) ([]drift.Bound[R], error) {
	var out []drift.Bound[R]
	for _, o := range p.Operations {
		for _, node := range o.Rules[check] {
			var rule R
			if err := o.ruled.part(node, &rule); err != nil {
				return nil, err
			}
			if v, ok := any(rule).(interface{ Validate() error }); ok {
				if err := v.Validate(); err != nil {
					return nil, o.ruled.at(node, fmt.Errorf("operation %s: %w", o.ID, err))
				}
			}
			out = append(out, drift.Bound[R]{Operation: o.ID, Rule: rule})
		}
	}
	return out, nil
}

// CheckKinds returns an error for the first rule that no check decodes.
func (p Profile) CheckKinds(checks []string) error {
	for _, o := range p.Operations {
		for _, kind := range slices.Sorted(maps.Keys(o.Rules)) {
			if !slices.Contains(checks, kind) {
				return o.file.at(o.node, fmt.Errorf("operation %s: there is no check %q: the checks are %s", o.ID, kind, strings.Join(checks, ", ")))
			}
		}
	}
	return nil
}

// OperationsOf are the ids of the operations that a check has rules for.
func (p Profile) OperationsOf(check string) []string {
	var ids []string
	for _, o := range p.Operations {
		if len(o.Rules[check]) > 0 {
			ids = append(ids, o.ID)
		}
	}
	return ids
}
