package sysctl

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// pending reads the rule's parameter as the next boot would set it.
func (l *look) pending(r drift.Bound[Rule], scopes []string) readings {
	from := readings{state: drift.Pending, scopes: l.pendingScopes(r.Rule, scopes), read: func(scope string) (*reading, error) {
		return l.atBoot(r.Rule, scope)
	}}
	if r.Rule.Absent == "supported" && l.lacks(r.Rule) {
		from.tier = r.Rule.LeftoverTier
	}
	return from
}

// pendingScopes adds the interfaces that only the files name.
func (l *look) pendingScopes(r Rule, existing []string) []string {
	if len(r.Interfaces) == 0 {
		return existing
	}
	scopes := slices.Clip(existing)
	for _, name := range l.boot.names(r) {
		if isInterface(name) && l.interfaces.selected(r, name) && !slices.Contains(scopes, name) {
			scopes = append(scopes, name)
		}
	}
	return scopes
}

// atBoot returns what the files set for a scope. An interface that no file
// reaches starts with the value of "default".
func (l *look) atBoot(r Rule, scope string) (*reading, error) {
	keys := []string{l.names.of(r, scope).path}
	if scope == "" {
		for _, alias := range r.Aliases {
			keys = append(keys, key(alias))
		}
	}
	s, ok := l.boot.lookup(keys...)
	if !ok && isInterface(scope) {
		s, ok = l.boot.lookup(l.names.of(r, scopeDefault).path)
	}
	if !ok {
		return nil, nil
	}
	values, err := parseInts(strings.FieldsSeq(s.value))
	if err != nil {
		// The kernel refuses it, so the boot leaves the parameter alone.
		return nil, nil
	}
	return &reading{values: values, from: &s}, nil
}

// lacks tells whether the kernel does not know the parameter.
func (l *look) lacks(r Rule) bool {
	_, err := l.root.Sysctl(r.of(""))
	return errors.Is(err, fs.ErrNotExist)
}
