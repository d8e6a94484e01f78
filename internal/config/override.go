package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/nodeguard/nodeguard/internal/catalog"
)

// Override is what differs on the nodes that the selector matches.
type Override struct {
	Selector labels.Selector
	Settings
}

// Applying names the overrides for a Node with these labels, by their place in the
// file. Without a Node, which is nil, there is none.
func (c Config) Applying(node map[string]string) (out []int) {
	for i, o := range c.Overrides {
		if node != nil && o.Selector.Matches(labels.Set(node)) {
			out = append(out, i)
		}
	}
	return out
}

// With is the configuration with the override in force: lists grow, maps change
// key by key, and what else it says takes the place of what was said.
func (c Config) With(o Override) Config {
	c.Profile = cmp.Or(o.Profile, c.Profile)
	if o.Mode != "" {
		c.Mode, c.Observe = o.Mode, o.Observe
	}
	c.Operations = withOperations(c.Operations, o.Operations)
	c.Disabled = slices.Concat(c.Disabled, o.Disabled)
	c.Severities = merged(c.Severities, o.Severities)
	c.Waivers = slices.Concat(c.Waivers, o.Waivers)
	c.Checks = merged(c.Checks, o.Checks)
	c.Intervals.Resync = cmp.Or(o.Intervals.Resync, c.Intervals.Resync)
	c.Intervals.BaselineSettle = cmp.Or(o.Intervals.BaselineSettle, c.Intervals.BaselineSettle)
	c.Journal.MaxAge = cmp.Or(o.Journal.MaxAge, c.Journal.MaxAge)
	c.Journal.MaxSize = cmp.Or(o.Journal.MaxSize, c.Journal.MaxSize)
	c.Accept = slices.Concat(c.Accept, o.Accept)
	return c
}

// withOperations lets an operation take the place of an earlier one with its id.
func withOperations(base, over []catalog.Operation) []catalog.Operation {
	out := slices.DeleteFunc(slices.Clone(base), func(b catalog.Operation) bool {
		return slices.ContainsFunc(over, func(o catalog.Operation) bool { return o.ID == b.ID })
	})
	return append(out, over...)
}

func merged[V any](base, over map[string]V) map[string]V {
	if len(over) == 0 {
		return base
	}
	out := maps.Clone(base)
	if out == nil {
		out = map[string]V{}
	}
	maps.Copy(out, over)
	return out
}

// rawSelector is a selector as text or as labels with their values.
type rawSelector struct {
	text   string
	labels map[string]string
}

// UnmarshalYAML takes either form.
func (r *rawSelector) UnmarshalYAML(decode func(any) error) error {
	if err := decode(&r.text); err == nil {
		return nil
	}
	return decode(&r.labels)
}

func (r rawSelector) value() (labels.Selector, error) {
	var (
		selector labels.Selector
		err      error
	)
	if r.text != "" {
		selector, err = labels.Parse(r.text)
	} else {
		selector, err = labels.ValidatedSelectorFromSet(r.labels)
	}
	if err != nil {
		return nil, errors.New(strings.Join(strings.Fields(err.Error()), " "))
	}
	if selector.Empty() {
		return nil, errors.New("is missing: what is meant for every node stands outside of overrides")
	}
	return selector, nil
}

func (r rawOverride) value(file *catalog.File, where string) (Override, error) {
	selector, err := r.NodeSelector.value()
	if err != nil {
		return Override{}, fmt.Errorf("%s: nodeSelector: %w", where, err)
	}
	settings, err := r.settings(file, where)
	return Override{Selector: selector, Settings: settings}, err
}
