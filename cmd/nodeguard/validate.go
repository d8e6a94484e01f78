package main

import (
	"fmt"
	"slices"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/config"
)

// validateConfig finds names in the configuration that mean nothing.
func (s *session) validateConfig() error {
	if err := s.validateNames(s.options.config, s.config.Settings); err != nil {
		return err
	}
	for i, o := range s.config.Overrides {
		if err := s.validateNames(s.placeOf(i), o.Settings); err != nil {
			return err
		}
	}
	return nil
}

// placeOf names an override in errors.
func (s *session) placeOf(override int) string {
	return fmt.Sprintf("%s: overrides[%d]", s.options.config, override)
}

func (s *session) validateNames(where string, c config.Settings) error {
	for _, id := range c.Disabled {
		if !s.knows(id) {
			return usage(fmt.Errorf("%s: disabled: there is no operation %q", where, id), "nodeguard operations lists them")
		}
	}
	for id := range c.Severities {
		if !s.knows(id) {
			return usage(fmt.Errorf("%s: severities: there is no operation %q", where, id), "nodeguard operations lists them")
		}
	}
	for name := range c.Checks {
		if !slices.Contains(checkNames(), name) {
			return usage(fmt.Errorf("%s: checks: there is no check %q", where, name), "the checks are %s", list(checkNames()))
		}
	}
	for i, a := range c.Accept {
		if !slices.Contains(checkNames(), a.Scope) {
			return usage(fmt.Errorf("%s: accept[%d]: scope: there is no check %q", where, i, a.Scope), "nodeguard_baseline_info shows the scopes with their digests")
		}
	}
	return nil
}

// knows tells whether an operation is in the catalogue or anywhere in the file.
func (s *session) knows(id string) bool {
	if _, ok := s.catalog.Find(id); ok {
		return true
	}
	isIt := func(o catalog.Operation) bool { return o.ID == id }
	return slices.ContainsFunc(s.config.Operations, isIt) ||
		slices.ContainsFunc(s.config.Overrides, func(o config.Override) bool { return slices.ContainsFunc(o.Operations, isIt) })
}

// tryOverrides builds what each override asks for: one that cannot work is found
// when the file is read, not when a Node gets the label.
func (s *session) tryOverrides() error {
	for i, o := range s.config.Overrides {
		if err := s.try(o); err != nil {
			return fmt.Errorf("%s: %w", s.placeOf(i), err)
		}
	}
	return nil
}

func (s *session) try(o config.Override) error {
	if o.Profile != "" && o.Profile != "auto" {
		if _, err := s.catalog.Profile(o.Profile); err != nil {
			return usage(err, "or leave it out")
		}
	}
	tried := *s
	tried.config = s.config.With(o)
	if err := tried.chooseProfile(); err != nil {
		return err
	}
	_, err := tried.checks()
	return err
}
