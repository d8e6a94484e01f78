package drift

import "time"

// Status is a Kubernetes condition status.
type Status string

const (
	True    Status = "True"
	False   Status = "False"
	Unknown Status = "Unknown"
)

// Reasons of a condition, one CamelCase word each.
const (
	ReasonOutOfSupport  = "OutOfSupport"
	ReasonInSupport     = "InSupport"
	ReasonCannotObserve = "CannotObserve"
	ReasonSettling      = "BaselineSettling"
)

// The aggregate conditions beside the family of each check.
const (
	NodeOutOfSupport   = "NodeOutOfSupport"
	NodeRebuildAdvised = "NodeRebuildAdvised"
)

// CheckStatus sums up one check.
type CheckStatus string

const (
	CheckDrifted   CheckStatus = "Drifted"
	CheckInSupport CheckStatus = "InSupport"
	CheckUnknown   CheckStatus = "Unknown"
)

// APIVersion and Kind of the report.
const (
	APIVersion = "nodeguard.io/v1"
	Kind       = "Report"
)

// Report is what nodeguard says about a node; `check -o json` prints it.
type Report struct {
	APIVersion  string          `json:"apiVersion"`
	Kind        string          `json:"kind"`
	Node        string          `json:"node"`
	Profile     string          `json:"profile"`
	GeneratedAt time.Time       `json:"generatedAt"`
	Conditions  []Condition     `json:"conditions"`
	Checks      []CheckReport   `json:"checks"`
	Findings    []FindingReport `json:"findings"`
	Unknown     []UnknownReport `json:"unknown"`
}

// Condition is a node condition. Problem polarity: True is bad.
type Condition struct {
	Type               string    `json:"type"`
	Status             Status    `json:"status"`
	Reason             string    `json:"reason"`
	Message            string    `json:"message"`
	LastTransitionTime time.Time `json:"lastTransitionTime"`
	AcceptDigest       string    `json:"acceptDigest,omitempty"`
}

// CheckReport says how a check's look went.
type CheckReport struct {
	Name            string        `json:"name"`
	Status          CheckStatus   `json:"status"`
	DurationSeconds float64       `json:"durationSeconds"`
	Error           string        `json:"error"`
	Sources         []EventSource `json:"sources"`
}

// EventSource is where a check's hints come from, and how: "event", "poll" or "off".
type EventSource struct {
	Name string `json:"name"`
	Mode string `json:"mode"`
}

// FindingReport is a finding with all that is documented about it.
type FindingReport struct {
	ID        string         `json:"id"` // the same for the same operation, subject and state
	Operation string         `json:"operation"`
	Condition string         `json:"condition"`
	Subject   string         `json:"subject"`
	Observed  string         `json:"observed"`
	Supported string         `json:"supported"`
	State     State          `json:"state"`
	Folded    int            `json:"folded,omitempty"` // further differences that are part of this one
	Severity  Severity       `json:"severity"`
	Since     time.Time      `json:"since"`
	Title     string         `json:"title"`
	Impact    string         `json:"impact"`
	Recovery  RecoveryReport `json:"recovery"`
	Source    Source         `json:"source"`
	Actor     *Actor         `json:"actor"`
	Waiver    *WaiverReport  `json:"waiver"`

	// Of is what the check saw, for another wording of the same; nil where it is
	// remembered only.
	Of *Finding `json:"-"`
}

// RecoveryReport is the documented way back, for this finding.
type RecoveryReport struct {
	Text     string   `json:"text"`
	Commands []string `json:"commands"`
	Class    Class    `json:"class"`
}

// Source cites the document by title and section.
type Source struct {
	Document string `json:"document"`
	Section  string `json:"section"`
}

// NoLogin is the login uid of a process that no login session began.
const NoLogin = ^uint32(0)

// Actor is who caused a finding, where the kernel could tell. What it could not
// tell is empty.
type Actor struct {
	PID       int        `json:"pid"` // in the host's pid namespace
	Comm      string     `json:"comm"`
	Command   string     `json:"command,omitempty"` // with its arguments, secrets masked, cut at 200 bytes
	Exe       string     `json:"exe"`
	UID       uint32     `json:"uid"`
	LoginUID  uint32     `json:"loginUid"`          // NoLogin where there was no login
	Parents   []Ancestor `json:"parents,omitempty"` // the nearest first, three at most
	Pod       string     `json:"pod"`               // namespace/name
	Container string     `json:"container"`
	At        time.Time  `json:"at"` // of the event
}

// Ancestor is a process above an actor.
type Ancestor struct {
	PID  int    `json:"pid"`
	Comm string `json:"comm"`
}

// WaiverReport is the waiver that holds a finding back.
type WaiverReport struct {
	Reason  string     `json:"reason"`
	Owner   string     `json:"owner"`
	Expires *time.Time `json:"expires"`
}

// UnknownReport is something that could not be looked at.
type UnknownReport struct {
	Operation string `json:"operation"`
	Subject   string `json:"subject"`
	Reason    string `json:"reason"`
	Hint      string `json:"hint"`
}

// Counts tells whether the finding makes the node drift: of weight and not waived.
func (f FindingReport) Counts() bool { return f.Severity.Weighs() && f.Waiver == nil }

// Drifted tells whether any finding counts.
func (r Report) Drifted() bool {
	for _, f := range r.Findings {
		if f.Counts() {
			return true
		}
	}
	return false
}

// Blind tells whether something of weight could not be looked at.
func (r Report) Blind() bool {
	for _, c := range r.Checks {
		if c.Status == CheckUnknown {
			return true
		}
	}
	for _, c := range r.Conditions {
		if c.Status == Unknown {
			return true
		}
	}
	return false
}
