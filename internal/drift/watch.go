package drift

import (
	"context"
	"time"
)

// Mode says how a source notices.
type Mode string

const (
	Event Mode = "event" // at once
	Poll  Mode = "poll"  // at the next look
	Off   Mode = "off"   // not at all: a capability, a kernel feature or a bus is missing
)

// Hint says that a check should look again now. It is never evidence: a lost hint
// costs latency, never truth.
type Hint struct {
	Source  string // lower-kebab-case: "netconf"
	Subject string // in the terms of findings; "" is all of the check
	PID     int    // who did it; 0 is unknown
	Path    string // of the file that changed, printable; "" is unknown
	At      time.Time
	Early   bool // the event comes before the change: look again a moment later, too
	Armed   bool // the source listens from now on, or again: look at all, reusing what is still as it was
	Lost    bool // a queue overflowed; what else happened is unknown
}

// Sink takes what the sources of one check have to say. Its methods never block.
type Sink interface {
	Hint(Hint)
	// Mode says how a source notices from now on, and why not better.
	Mode(source string, m Mode, why string)
	// Failed counts an error of a source that goes on all the same.
	Failed(source string, err error)
}

// Watcher is a check with sources of its own.
type Watcher interface {
	// Watch arms the sources, says their modes, hints once for all of the check,
	// so that nothing is missed between the first look and the arming, and goes
	// on until ctx ends, which is no error. A source that cannot be armed falls
	// back to the next one and is tried again by and by.
	Watch(ctx context.Context, to Sink) error
}

// Poller is a check with a source that has to be asked. All of them share the
// agent's wake-ups.
type Poller interface {
	// PollEvery is how often, for now.
	PollEvery() time.Duration
	// Poll asks, which takes microseconds and never blocks, and hints for what changed.
	Poll(to Sink)
}

// Resyncer is a check that says how often it has to look at all of its area
// though nothing hints: the safety net under its sources.
type Resyncer interface{ ResyncEvery() time.Duration }
