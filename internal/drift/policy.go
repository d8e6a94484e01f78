package drift

import "time"

// Severity says how much a finding weighs.
type Severity string

const (
	Critical Severity = "critical" // support or workloads are lost
	Warning  Severity = "warning"  // out of support, works for now
	Info     Severity = "info"     // worth knowing; changes no condition and no exit code
)

// rank sorts the most severe first.
func (s Severity) rank() int {
	switch s {
	case Critical:
		return 0
	case Warning:
		return 1
	default:
		return 2
	}
}

// Weighs tells whether a finding of this severity counts as drift.
func (s Severity) Weighs() bool { return s == Critical || s == Warning }

// Class says what kind of recovery the document asks for.
type Class string

const (
	Revert        Class = "revert"        // put the setting back
	Restart       Class = "restart"       // put it back and restart the component
	Reboot        Class = "reboot"        // put it back and reboot the node
	Rejoin        Class = "rejoin"        // remove the node from the cluster and add it again
	Rebuild       Class = "rebuild"       // replace the node
	Irrecoverable Class = "irrecoverable" // the document says that there is none
	Undocumented  Class = "undocumented"  // the document says nothing
)

// Classes are all of them, mildest first.
var Classes = [...]Class{Revert, Restart, Reboot, Rejoin, Rebuild, Irrecoverable, Undocumented}

// needsNewNode tells whether the way back leads over another node.
func (c Class) needsNewNode() bool {
	return c == Rejoin || c == Rebuild || c == Irrecoverable
}

// Recovery is the documented way back. Text and commands may hold {subject},
// {observed}, {supported} and the finding's Args in braces.
type Recovery struct {
	Text            string
	Commands        []string // while the finding is active
	PendingCommands []string // while it is pending; nil: Commands
	Class           Class
}

// Tier is one degree of an operation: enforcing, enabled, installed. What it
// leaves empty is the operation's.
type Tier struct {
	Severity Severity
	Title    string
	Impact   string
	Recovery *Recovery
}

// Operation is a documented operation in one language.
type Operation struct {
	ID       string
	Title    string
	Impact   string
	Severity Severity
	Recovery Recovery
	Source   Source
	Tiers    map[string]Tier
}

// Waiver says that a drift is known and allowed for a time.
type Waiver struct {
	Operation string // id or glob
	Subject   string // glob; "" is any
	Reason    string
	Owner     string
	Expires   time.Time // zero: never
}

// CheckPolicy says what a check stands for.
type CheckPolicy struct {
	Name       string
	Condition  string
	Operations []string // ids that it has rules for
	Gaps       []Gap    // what it cannot judge whatever it sees: its baseline is damaged
	Settling   bool     // its baseline is still to be recorded
}

// Policy is all that Judge knows besides what was seen.
type Policy struct {
	Node       string
	Profile    string
	Checks     []CheckPolicy // the enabled ones
	Operations map[string]Operation
	Waivers    []Waiver
	Language   Language
}

// at returns the operation as its tier words and weighs it.
func (o Operation) at(tier string) Operation {
	t := o.Tiers[tier]
	if t.Severity != "" {
		o.Severity = t.Severity
	}
	if t.Title != "" {
		o.Title = t.Title
	}
	if t.Impact != "" {
		o.Impact = t.Impact
	}
	if t.Recovery != nil {
		o.Recovery = *t.Recovery
	}
	return o
}

// weight is the heaviest severity that a finding of the operation can have.
func (o Operation) weight() Severity {
	heaviest := o.Severity
	for _, t := range o.Tiers {
		if t.Severity != "" && t.Severity.rank() < heaviest.rank() {
			heaviest = t.Severity
		}
	}
	return heaviest
}

// operation returns the operation of a finding. One that the policy does not
// know is an error of the program, and rather shown than dropped.
func (p Policy) operation(id string) Operation {
	if o, ok := p.Operations[id]; ok {
		return o
	}
	return Operation{ID: id, Title: id, Severity: Warning, Recovery: Recovery{Class: Undocumented}}
}
