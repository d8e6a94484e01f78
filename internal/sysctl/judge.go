package sysctl

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// reading is the value of a parameter, and where the next boot takes it from.
type reading struct {
	values []int64
	from   *setting // nil: in force
}

// readings are one way to read a rule's parameter: in force or pending.
type readings struct {
	state  drift.State
	scopes []string // "" for a parameter without interfaces
	tier   string   // instead of the rule's, where it is not ""
	// read returns nil where there is nothing to read: an interface that is gone,
	// a parameter that no file sets.
	read func(scope string) (*reading, error)
}

// judge adds the findings of a rule for one way of reading it.
func (l *look) judge(r drift.Bound[Rule], from readings) {
	if len(from.scopes) == 0 {
		return
	}
	all := l.allScope(r, from)
	for _, scope := range from.scopes {
		own, err := from.read(scope)
		if err != nil {
			l.gap(r.Operation, r.Rule.of(scope), err.Error(), "see what the kernel shows: sysctl "+r.Rule.of(scope))
			continue
		}
		if own != nil {
			l.judgeScope(r, from, scope, own, all)
		}
	}
}

// allScope reads the value that outweighs an interface's own, nil where none does.
func (l *look) allScope(r drift.Bound[Rule], from readings) *reading {
	if r.Rule.Effective != "max" {
		return nil
	}
	all, err := from.read(scopeAll)
	if err != nil {
		l.gap(r.Operation, r.Rule.of(scopeAll), err.Error(), "")
	}
	return all
}

// judgeScope judges the value that the kernel uses for the scope and blames the
// one of the two values that is out of support: fixing eth0 changes nothing while
// "all" is larger.
func (l *look) judgeScope(r drift.Bound[Rule], from readings, scope string, own, all *reading) {
	blamed, subject := own, scope
	if isInterface(scope) && all != nil && larger(all, own) {
		blamed, subject = all, scopeAll
	}
	v, err := r.Rule.judge(blamed.values, l.ports)
	if err != nil {
		l.gap(r.Operation, r.Rule.of(scope), err.Error(), "")
		return
	}
	if v.supported {
		return
	}
	if ownVerdict, err := r.Rule.judge(own.values, l.ports); err == nil && !ownVerdict.supported {
		blamed, subject, v = own, scope, ownVerdict
	}
	l.add(r, from, subject, blamed, v)
}

func isInterface(scope string) bool { return scope != "" && scope != scopeAll && scope != scopeDefault }

func larger(a, b *reading) bool {
	return len(a.values) == 1 && len(b.values) == 1 && a.values[0] > b.values[0]
}

func (l *look) add(r drift.Bound[Rule], from readings, scope string, at *reading, v verdict) {
	f := drift.Finding{
		Operation: r.Operation, Subject: drift.Printable(r.Rule.of(scope)), Tier: v.tier,
		Observed: observed(at, v), Supported: r.Rule.want(l.ports), State: from.state,
		Args: l.args(r.Rule, scope, at),
	}
	if from.tier != "" {
		f.Tier = from.tier
	}
	if !slices.ContainsFunc(l.out.Findings, func(o drift.Finding) bool {
		return o.Operation == f.Operation && o.Subject == f.Subject && o.State == f.State
	}) {
		l.out.Findings = append(l.out.Findings, f)
	}
}

func observed(at *reading, v verdict) string {
	var remarks []string
	if at.from != nil {
		remarks = append(remarks, drift.Printable(at.from.file)+":"+strconv.Itoa(at.from.line))
	}
	if v.remark != "" {
		remarks = append(remarks, v.remark)
	}
	text := join(at.values)
	if len(remarks) > 0 {
		text += " (" + strings.Join(remarks, ", ") + ")"
	}
	return text
}

func join(values []int64) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = strconv.FormatInt(v, 10)
	}
	return strings.Join(words, " ")
}

// args are the values that the recovery commands need.
func (l *look) args(r Rule, scope string, at *reading) map[string]string {
	value := r.recommended()
	if value == "" {
		return nil
	}
	args := map[string]string{"value": value}
	if at.from == nil {
		return args
	}
	parameter := r.of(scope)
	if at.from.key == key(parameter) || slices.ContainsFunc(r.Aliases, func(a string) bool { return key(a) == at.from.key }) {
		l.editArgs(args, at.from, value)
	}
	if args["edit"] == "" {
		args["assignment"] = parameter + " = " + value
	}
	return args
}

// editArgs let the recovery correct the very line. Files below /usr are the
// distribution's: those are overruled, not edited.
func (l *look) editArgs(args map[string]string, s *setting, value string) {
	file, err := l.root.Resolve(s.file)
	if err != nil || !strings.HasPrefix(file, "/etc/") && !strings.HasPrefix(file, "/run/") {
		return
	}
	args["edit"] = fmt.Sprintf("%ds|.*|%s = %s|", s.line, strings.ReplaceAll(s.key, "|", `\|`), value)
	args["file"] = drift.Printable(file)
}

// recommended is the value to put back, "" where the rule leaves a choice.
func (r Rule) recommended() string {
	if len(r.Supported) > 0 {
		return strconv.FormatInt(r.Supported[0], 10)
	}
	if len(r.Within) == 1 && len(r.Within[0]) == 1 {
		return strconv.FormatInt(r.Within[0][0], 10) // what is documented as the default is the least
	}
	if len(r.Ranges) > 0 {
		return join(r.Ranges[0][:])
	}
	return ""
}
