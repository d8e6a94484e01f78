//go:build e2e

package cluster

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"
)

var passesOf = regexp.MustCompile(`(?m)^nodeguard_check_passes_total\{check="([^"]*)"\} (\d+)$`)

// passes are how often each check of the node's agent has looked.
func (n *Node) passes() (map[string]int, error) {
	metrics, err := n.metrics()
	if err != nil {
		return nil, err
	}
	out := map[string]int{}
	for _, line := range passesOf.FindAllStringSubmatch(metrics, -1) {
		if out[line[1]], err = strconv.Atoi(line[2]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// looked waits until checks have looked after do was done.
func (n *Node) looked(t testing.TB, do func(), checks ...string) {
	t.Helper()
	before, err := n.passes()
	if err != nil || len(before) == 0 {
		t.Fatalf("%s: %d checks: %v", n.Name, len(before), err)
	}
	do()
	err = eventually(patience, func() error {
		now, err := n.passes()
		if err != nil {
			return err
		}
		for _, check := range checks {
			if now[check] <= before[check] {
				return fmt.Errorf("%s did not look again", check)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%s: %v", n.Name, err)
	}
}
