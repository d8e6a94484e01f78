package sysctl

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// inForce reads the rule's parameter as the kernel has it.
func (l *look) inForce(r drift.Bound[Rule], scopes []string) readings {
	if l.network != nil && r.Rule.perNetwork() {
		l.gap(r.Operation, r.Rule.subject(), l.network.Error(), hintFor(l.network))
		return readings{}
	}
	return readings{state: drift.Active, scopes: scopes, read: func(scope string) (*reading, error) {
		values, err := l.ints(l.names.of(r.Rule, scope))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, l.missing(r.Rule, scope)
		}
		if err != nil {
			return nil, err
		}
		return &reading{values: values}, nil
	}}
}

func hintFor(err error) string {
	if errors.Is(err, host.ErrForeignNetwork) {
		return host.HostNetworkHint
	}
	return "mount the host's /proc below the root"
}

func (l *look) scopes(r Rule) []string {
	if len(r.Interfaces) == 0 {
		return []string{""}
	}
	return l.interfaces.scopes(r)
}

var errNoParameter = errors.New("the kernel does not show this parameter")

// missing says what the absence of a parameter means. An interface may have
// vanished, some parameters no longer exist, and a plain tree has what it has.
func (l *look) missing(r Rule, scope string) error {
	if isInterface(scope) || r.Absent == "supported" || !l.root.Live() {
		return nil
	}
	return errNoParameter
}

// ints reads a parameter through the descriptor that is held, or else anew.
func (l *look) ints(parameter name) ([]int64, error) {
	if value, ok := l.held.value(l.root, parameter.path, wanted{subject: parameter.subject}); ok {
		return parseInts(strings.FieldsSeq(value))
	}
	return readInts(l.root, parameter.subject)
}

// readInts reads a parameter made of integers, however they are separated.
func readInts(root *host.Root, parameter string) ([]int64, error) {
	fields, err := root.Sysctl(parameter)
	if err != nil {
		return nil, err
	}
	return parseInts(slices.Values(fields))
}

func parseInts(fields iter.Seq[string]) ([]int64, error) {
	var out []int64
	for f := range fields {
		v, err := strconv.ParseInt(f, 0, 64)
		if errors.Is(err, strconv.ErrRange) {
			err = nil // an unsigned one: what is beyond is as good as the largest
		}
		if err != nil {
			return nil, fmt.Errorf("the value is not made of integers")
		}
		out = append(out, v)
	}
	if len(out) == 0 {
		return nil, errors.New("the value is empty")
	}
	return out, nil
}
