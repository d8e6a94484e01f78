package fleet

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Support is what is known of a Node, in one word.
type Support string

const (
	InSupport    Support = "InSupport"
	OutOfSupport Support = "OutOfSupport"
	Unknown      Support = "Unknown"
	Stale        Support = "STALE"       // its agent was not heard of for 15 minutes
	Maintenance  Support = "Maintenance" // announced: nothing is judged
	None         Support = "none"        // no agent ever wrote to it
)

// Maintenance is also the reason by which agents say so.
const reasonMaintenance = string(Maintenance)

// order is the one in which somebody should look.
var order = [...]Support{OutOfSupport, Unknown, Stale, Maintenance, None, InSupport}

// Count is a number of findings. It is exact unless the message had no room for all
// or the operation's severity depends on what the message does not say.
type Count struct {
	Findings int  `json:"findings"`
	Exact    bool `json:"exact"`
}

// String marks what is not exact.
func (c Count) String() string {
	if c.Exact {
		return strconv.Itoa(c.Findings)
	}
	return "~" + strconv.Itoa(c.Findings)
}

// Row is what there is to say about one Node.
type Row struct {
	Node           string      `json:"node"`
	Support        Support     `json:"support"`
	Critical       Count       `json:"critical"`
	Warning        Count       `json:"warning"`
	Since          time.Time   `json:"since,omitzero"` // of the support
	Profile        string      `json:"profile"`
	First          string      `json:"first"` // what to look at first
	RebuildAdvised bool        `json:"rebuildAdvised"`
	Heartbeat      time.Time   `json:"heartbeat,omitzero"`
	Conditions     []Condition `json:"conditions"`

	out bool // out of support when last heard of
}

// MarshalJSON is the condition with its heartbeat.
func (c Condition) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		drift.Condition
		LastHeartbeatTime time.Time `json:"lastHeartbeatTime,omitzero"`
	}{c.Condition, c.Heartbeat})
}

// Weigh tells the severity of an operation, and whether all of its findings have it.
type Weigh func(operation string) (severity drift.Severity, always bool)

// Rows are those of the Nodes, the ones to look at first in front.
func Rows(nodes []Node, weigh Weigh, now time.Time) []Row {
	b := builder{reader: wordings(), weigh: weigh, now: now}
	rows := make([]Row, 0, len(nodes))
	for _, n := range nodes {
		rows = append(rows, b.row(n.Neutral()))
	}
	slices.SortFunc(rows, func(x, y Row) int {
		return cmp.Or(
			cmp.Compare(slices.Index(order[:], x.Support), slices.Index(order[:], y.Support)),
			cmp.Compare(y.Critical.Findings, x.Critical.Findings),
			cmp.Compare(y.Warning.Findings, x.Warning.Findings),
			x.Since.Compare(y.Since),
			cmp.Compare(x.Node, y.Node),
		)
	})
	return rows
}

// Drifted tells whether the Node is out of support, or was when last heard of.
func (r Row) Drifted() bool { return r.out }

// Blind tells whether nobody knows.
func (r Row) Blind() bool { return r.Support == Unknown || r.Support == Stale || r.Support == None }

type builder struct {
	reader reader
	weigh  Weigh
	now    time.Time
}

func (b builder) row(n Node) Row {
	r := Row{Node: n.Name, Profile: n.Profile, Conditions: append([]Condition{}, n.Conditions...), Critical: Count{Exact: true}, Warning: Count{Exact: true}}
	aggregate, ok := n.condition(drift.NodeOutOfSupport)
	r.Support = b.support(n, aggregate, ok)
	r.out = aggregate.Status == drift.True
	r.Since, r.Heartbeat = aggregate.LastTransitionTime, aggregate.Heartbeat
	if r.Support == None {
		r.Critical.Exact, r.Warning.Exact = false, false
	}
	if r.Support == Stale {
		r.Since = aggregate.Heartbeat
	}
	rebuild, _ := n.condition(drift.NodeRebuildAdvised)
	r.RebuildAdvised = rebuild.Status == drift.True
	b.findings(&r, n)
	return r
}

func (b builder) support(n Node, aggregate Condition, written bool) Support {
	switch {
	case len(n.Conditions) == 0:
		return None
	case !written:
		return Unknown
	case b.now.Sub(aggregate.Heartbeat) > staleAfter:
		return Stale
	case aggregate.Reason == reasonMaintenance:
		return Maintenance
	case aggregate.Status == drift.True:
		return OutOfSupport
	case aggregate.Status == drift.False:
		return InSupport
	default:
		return Unknown
	}
}

// findings counts them, and finds the first.
func (b builder) findings(r *Row, n Node) {
	var best candidate
	for _, c := range n.families() {
		m := b.reader.read(c.Message)
		last := drift.Critical // nothing shown, all hidden: of any severity
		for _, clause := range m.clauses {
			severity, exact := b.severity(clause)
			r.count(severity, exact)
			best = best.or(candidate{clause, severity})
			last = severity
		}
		if m.hidden > 0 { // sorted: none of them weighs more than the last one shown
			r.Critical.Exact = r.Critical.Exact && last != drift.Critical
			r.Warning.Exact = r.Warning.Exact && !last.Weighs()
		}
	}
	r.First = best.clause.text
}

// severity is that of a clause's finding; "" for a clause that counts nothing.
func (b builder) severity(c clause) (s drift.Severity, exact bool) {
	switch {
	case c.finding == nil || c.waived:
		return "", true
	case c.info:
		return drift.Info, true
	default:
		return b.weigh(c.finding.Operation)
	}
}

func (r *Row) count(s drift.Severity, exact bool) {
	switch s {
	case drift.Critical:
		r.Critical.Findings++
	case drift.Warning:
		r.Warning.Findings++
	}
	r.Critical.Exact = r.Critical.Exact && exact
	r.Warning.Exact = r.Warning.Exact && exact
}

// candidate is a clause that might be the one to look at first.
type candidate struct {
	clause   clause
	severity drift.Severity
}

// rank is 0 for nothing to look at.
func (c candidate) rank() int {
	rank := map[drift.Severity]int{drift.Critical: 6, drift.Warning: 4}[c.severity]
	switch {
	case rank > 0 && c.clause.finding.State == drift.Pending:
		return rank - 1
	case c.clause.gap != nil:
		return 2
	case c.severity == drift.Info:
		return 1
	}
	return rank
}

func (c candidate) or(other candidate) candidate {
	if other.rank() > c.rank() {
		return other
	}
	return c
}
