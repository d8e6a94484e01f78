// Package fleet makes one row of each Node out of the conditions that agents left on
// it: what is known of a fleet without asking any of its hosts.
package fleet

import (
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// staleAfter is how old a heartbeat may be; agents send one every five minutes.
const staleAfter = 15 * time.Minute

// Node is what the cluster has of a Node: nodeguard's conditions and no others.
type Node struct {
	Name       string
	Profile    string // as its agent says, or ""
	Conditions []Condition
}

// Condition is a condition with the last sign of life of whoever wrote it.
type Condition struct {
	drift.Condition
	Heartbeat time.Time
}

// Neutral returns the Node so that all of it can be shown on any terminal: whoever may
// write to the Node chose the words.
func (n Node) Neutral() Node {
	n.Name, n.Profile = Neutral(n.Name), Neutral(n.Profile)
	n.Conditions = slices.Clone(n.Conditions)
	for i := range n.Conditions {
		c := &n.Conditions[i]
		c.Status, c.Reason, c.Message = drift.Status(Neutral(string(c.Status))), Neutral(c.Reason), Neutral(c.Message)
	}
	return n
}

// Neutral escapes what drift.Printable does, but leaves backslashes alone: agents have
// escaped once already.
func Neutral(s string) string {
	parts := strings.Split(s, `\`)
	for i, part := range parts {
		parts[i] = drift.Printable(part)
	}
	return strings.Join(parts, `\`)
}

// condition returns the condition of a type.
func (n Node) condition(kind string) (Condition, bool) {
	i := slices.IndexFunc(n.Conditions, func(c Condition) bool { return c.Type == kind })
	if i < 0 {
		return Condition{}, false
	}
	return n.Conditions[i], true
}

// families are the conditions that name findings; the aggregates repeat them.
func (n Node) families() []Condition {
	return slices.DeleteFunc(slices.Clone(n.Conditions), func(c Condition) bool {
		return c.Type == drift.NodeOutOfSupport || c.Type == drift.NodeRebuildAdvised
	})
}
