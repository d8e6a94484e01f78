package components

import (
	"strings"
	"time"
)

// state says whether there was anything to look at.
type state string

const (
	running state = "running" // a process
	present state = "present" // a file
	absent  state = "absent"
)

// grace is how long after its start a process may still have read a file: the
// start is known to a second only, and start scripts write a file and then become
// the component.
const grace = 2 * time.Second

// area is a part of a component's configuration that is looked at, recorded and
// compared as one.
type area struct {
	component Component
	name      string // subject of the fact that it was looked at: "kubelet config"
	prefix    string // of the subjects of its keys
	owns      func(key string) bool
	state     state // "" where it was not looked at
	values    map[string]value
	fault     *fault    // why it could not be looked at
	place     string    // path, or directory, that it is read from; "" for a command line
	changed   time.Time // when anything there last changed: the time of what is gone
	started   time.Time // of the process that reads it; zero where none runs
	// loaded tells whether the process runs with what the file now says of a key;
	// nil where only times can tell.
	loaded func(key string, now value, set bool) bool

	listing bool // of files: its keys are their names
	local   bool // its values are this machine's alone
}

// fault is why something could not be looked at. It never holds file content.
type fault struct{ reason, hint string }

func (a *area) subject(key string) string { return a.prefix + " " + key }

// key is the area's key that a recorded subject is about.
func (a *area) key(subject string) (string, bool) {
	key, ok := strings.CutPrefix(subject, a.prefix+" ")
	return key, ok && a.owns(key)
}

func isFlag(key string) bool { return strings.HasPrefix(key, "--") }

func anyKey(string) bool { return true }

// pending tells whether the key's present setting waits for a restart.
func (a *area) pending(key string, now value, set bool) bool {
	switch {
	case a.started.IsZero() || a.place == "":
		return false
	case a.loaded != nil && (!set || isFlag(key)):
		return !a.loaded(key, now, set)
	case set:
		return a.later(now.changed)
	default:
		return a.later(a.changed)
	}
}

func (a *area) later(changed time.Time) bool { return changed.After(a.started.Add(grace)) }
