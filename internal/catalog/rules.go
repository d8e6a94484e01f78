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

// CheckRules returns an error for the first rule that no check decodes, and for
// the first operation whose condition is of none of the checks that detect it.
// conditions are those of the checks, by name.
func (p Profile) CheckRules(conditions map[string]string) error {
	for _, o := range p.Operations {
		fits := o.Unseen != nil
		for _, check := range slices.Sorted(maps.Keys(o.Rules)) {
			condition, ok := conditions[check]
			if !ok {
				checks := slices.Sorted(maps.Keys(conditions))
				return o.file.at(o.node, fmt.Errorf("operation %s: there is no check %q: the checks are %s", o.ID, check, strings.Join(checks, ", ")))
			}
			fits = fits || condition == o.Condition
		}
		if !fits {
			return o.file.at(o.node, fmt.Errorf("operation %s: no check that detects it stands for %s", o.ID, o.Condition))
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
