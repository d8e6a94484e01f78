package drift

import (
	"context"
	"slices"
	"strings"
	"time"
)

// State says when a finding takes effect.
type State string

const (
	// Active findings are in force now.
	Active State = "active"
	// Pending findings take effect at the next restart of the component or the
	// next boot of the host.
	Pending State = "pending"
)

// Finding is one thing that a check saw out of support. It is unique by
// Operation, Subject and State.
type Finding struct {
	Operation string // catalogue id: "ack.net.ip-forward"
	Subject   string // printable, see Printable: "net.ipv4.ip_forward"
	Tier      string // catalogue tier that gives severity and wording; "" where there is one
	Observed  string // "0"; never file content, never a secret
	Supported string // "1"
	State     State
	Baseline  bool              // differs from the baseline, so accepting the baseline clears it
	Args      map[string]string // further values for the recovery: {file}, {line}, {unit}

	Package string // as this one installed it: a change of the package's version explains it
	Version string // of that package, when it was looked for
	Altered bool   // a package's file that is not as installed: no upgrade explains it

	Explains bool // an upgrade: what changed together with it is part of it
	Absorb   bool // the agent accepts it once the node has been still
	Folded   int  // further differences that it stands for
}

// Gap is something a check could not look at. An empty Subject means all of the
// operation, an empty Operation all that the check looks at.
type Gap struct {
	Operation, Subject string
	Reason             string // "the reader's network namespace is not the host's"
	Hint               string // what to do about it: "set hostNetwork: true"
}

// Covers tells whether the subject lies behind the gap: it is the gap's own, or
// goes on from it after a slash or a space.
func (g Gap) Covers(subject string) bool {
	return g.Subject == "" || subject == g.Subject || strings.HasPrefix(subject, g.Subject+"/") || strings.HasPrefix(subject, g.Subject+" ")
}

// Fact is what a baseline keeps of one subject.
type Fact struct {
	Value string
	Local bool // true of this machine alone (inode, host name, certificate): not in a digest that nodes share
	Fresh bool // of an area that the baseline has not recorded yet: to be added to it, not drift
	// Renewal is set where it took the place of what was recorded in the ordinary course
	// of things: to be recorded instead, not drift.
	Renewal *Renewal
}

// Renewal is how a fact took another one's place.
type Renewal struct {
	Of   string // the value that was recorded
	Told string // what became of it, for the journal
}

// Observation is what one look of a check saw of its whole area.
type Observation struct {
	Findings []Finding
	Gaps     []Gap
	Facts    map[string]Fact // by subject, what a baseline would record of this look; nil for a check without one
}

// Look is an observation with how the looking went.
type Look struct {
	Observation
	Took  time.Duration
	Error string // the check itself failed: its deadline passed, it panicked
	// Along are subjects of other checks, with what is observed of them, that its
	// findings stand for: accepting its state accepts them, too.
	Along map[string]string
}

// Check looks at one area of the host. It is immutable: a reload builds a new one.
type Check interface {
	// Name is lower-kebab-case: configuration key, metric label, docs page.
	Name() string
	// Observe sees the whole area and changes nothing on the host. It may reuse
	// what it knows of subjects that are not in only; with nil it trusts nothing
	// and looks at all of them.
	Observe(ctx context.Context, only []string) Observation
}

// Bound is a check's rule together with the operation that it detects.
type Bound[R any] struct {
	Operation string
	Rule      R
}

// Sorted returns the observation with findings and gaps in a stable order, and
// each gap once.
func (o Observation) Sorted() Observation {
	slices.SortFunc(o.Findings, func(a, b Finding) int {
		return strings.Compare(a.Operation+"\x00"+a.Subject+"\x00"+string(a.State), b.Operation+"\x00"+b.Subject+"\x00"+string(b.State))
	})
	slices.SortFunc(o.Gaps, func(a, b Gap) int {
		return strings.Compare(a.Operation+"\x00"+a.Subject+"\x00"+a.Reason, b.Operation+"\x00"+b.Subject+"\x00"+b.Reason)
	})
	o.Gaps = slices.Compact(o.Gaps)
	return o
}
