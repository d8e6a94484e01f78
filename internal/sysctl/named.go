package sysctl

import (
	"slices"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// subjectOf returns the subject that a change of a parameter, given by its path
// below /proc/sys, bears on: "" where that may be anything of the check. A
// parameter that no rule names is none of it.
func subjectOf(rules []drift.Bound[Rule], path string) (subject string, named bool) {
	for _, r := range rules {
		if subject, named := r.Rule.subjectOf(path); named {
			return subject, true
		}
	}
	return "", false
}

func (r Rule) subjectOf(path string) (string, bool) {
	if r.Parameter == "" {
		return "", false
	}
	if r.judgesPorts() && path == key(reservedPorts) {
		return r.Parameter, true
	}
	if len(r.Interfaces) > 0 {
		scope, ok := interfaceOf(r, path)
		return r.subjectOfScope(scope), ok && r.mayMean(scope)
	}
	names := func(name string) bool { return key(name) == path }
	return r.Parameter, names(r.Parameter) || slices.ContainsFunc(r.Aliases, names)
}

// subjectOfScope knows that the kernel hands what is written to "default" on to
// the interfaces whose own value nobody set.
func (r Rule) subjectOfScope(scope string) string {
	if scope == scopeDefault {
		return ""
	}
	return r.of(scope)
}

// mayMean tells whether the value of a scope can matter to the rule. Where the
// default routes lead is not asked.
func (r Rule) mayMean(scope string) bool {
	if !isInterface(scope) {
		return true
	}
	return !matchAny(r.Except, scope) && (slices.Contains(r.Interfaces, defaultRoute) || matchAny(r.Interfaces, scope))
}

func (r Rule) judgesPorts() bool { return r.Ranges != nil || r.AvoidNodePorts }

// wanted is a parameter that is to be held.
type wanted struct {
	subject string // that it bears on
	unread  bool   // only who writes to it matters: its value is in others as well
}

// parametersOf are the parameters, by path below /proc/sys, that the rules read, and
// those that are written to change them.
func parametersOf(rules []drift.Bound[Rule], existing interfaces, called *names) map[string]wanted {
	out := map[string]wanted{}
	for _, r := range rules {
		if r.Rule.Parameter == "" {
			continue
		}
		for _, scope := range r.Rule.readScopes(existing) {
			parameter := called.of(r.Rule, scope)
			out[parameter.path] = wanted{subject: parameter.subject}
		}
		if r.Rule.judgesPorts() {
			out[key(reservedPorts)] = wanted{subject: r.Rule.Parameter}
		}
	}
	for _, path := range writtenInstead(rules) {
		if _, read := out[path]; read {
			continue
		}
		if subject, named := subjectOf(rules, path); named {
			out[path] = wanted{subject: subject, unread: true}
		}
	}
	return out
}

// writtenInstead are the paths of other names of parameters, and of what is handed
// on to interfaces.
func writtenInstead(rules []drift.Bound[Rule]) []string {
	var out []string
	for _, r := range rules {
		for _, alias := range r.Rule.Aliases {
			out = append(out, key(alias))
		}
		if len(r.Rule.Interfaces) > 0 {
			out = append(out, key(r.Rule.of(scopeDefault)))
		}
	}
	return out
}

// readScopes are the scopes that the rule judges and the one that outweighs them.
func (r Rule) readScopes(existing interfaces) []string {
	if len(r.Interfaces) == 0 {
		return []string{""}
	}
	scopes := existing.scopes(r)
	if r.Effective == "max" {
		scopes = append(scopes, scopeAll)
	}
	return scopes
}
