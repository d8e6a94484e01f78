package agent

import (
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// Attributor tells who did it, as far as the kernel does. Its methods never block.
type Attributor interface {
	// Seen is told of the process behind an event at once, because it may be gone at
	// the next moment. It is called from anywhere.
	Seen(pid int, at time.Time)
	// Actor is who had that pid then; nil where nobody can tell.
	Actor(pid int, at time.Time) *drift.Actor
}

// trace is what an event left behind: who touched what.
type trace struct {
	subject string
	path    string // of the file
	pid     int
	at      time.Time
}

// A finding is the work of somebody who was seen shortly before it.
const (
	traceLife = 5 * time.Second
	maxTraces = 256
)

// traced remembers who hinted; the runner's lock is held.
func (r *runner) traced(h drift.Hint) {
	if h.PID == 0 {
		return
	}
	r.traces = slices.DeleteFunc(r.traces, func(t trace) bool {
		return h.At.Sub(t.at) > traceLife || t.pid == h.PID && t.subject == h.Subject && t.path == h.Path
	})
	if len(r.traces) >= maxTraces {
		r.traces = slices.Delete(r.traces, 0, 1)
	}
	r.traces = append(r.traces, trace{subject: h.Subject, path: h.Path, pid: h.PID, at: h.At})
}

// suspect is the trace that belongs to a subject, or to the file that a finding about
// it was read from: the latest of exactly it, else of what is closest above or below.
// Where an event named neither, or an area that holds the subject, there must be one
// process only.
func (r *runner) suspect(subject, file string, now time.Time) (trace, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var best []trace
	closest := -1
	for _, t := range r.traces {
		c := t.closeness(subject, file)
		if c < 0 || c < closest || now.Sub(t.at) > traceLife {
			continue
		}
		if c > closest {
			best, closest = nil, c
		}
		best = append(best, t)
	}
	if len(best) == 0 {
		return trace{}, false
	}
	last := best[len(best)-1]
	alone := !slices.ContainsFunc(best, func(t trace) bool { return t.pid != last.pid })
	return last, alone || last.subject == subject || last.path == file && file != ""
}

// closeness of what an event touched to a finding; negative: unrelated. An event of a
// file that no subject is named after belongs to what was read from that file.
func (t trace) closeness(subject, file string) int {
	switch {
	case t.subject != "" || t.path == "":
		return closeness(t.subject, subject)
	case file == "":
		return -1
	default:
		return closeness(t.path, file)
	}
}

// closeness of what an event named to a finding's subject; negative: unrelated.
func closeness(named, subject string) int {
	switch {
	case named == "":
		return 0
	case named == subject:
		return len(subject) + 1
	case below(subject, named):
		return len(named)
	case below(named, subject):
		return len(subject)
	default:
		return -1
	}
}

// below tells whether a subject goes on from another one.
func below(subject, above string) bool {
	rest, ok := strings.CutPrefix(subject, above)
	return ok && (rest[0] == '/' || rest[0] == ' ' || rest[0] == '.')
}

// attribute names who did what is new, or has another value than before; the event
// that says who may come after the look that saw it. It keeps nobody's name for what
// somebody else may have done since.
func (a *Agent) attribute(report drift.Report, now time.Time) {
	if a.config.Who == nil {
		return
	}
	was := byID(a.before.Findings)
	for i := range report.Findings {
		f := &report.Findings[i]
		known, ok := was[f.ID]
		if ok && known.Observed == f.Observed && (known.Actor != nil || now.Sub(f.Since) > traceLife) {
			continue
		}
		f.Actor = nil
		if r := a.runnerOf(f.Condition); r != nil {
			file := ""
			if f.Of != nil {
				file = f.Of.Args["file"]
			}
			if t, ok := r.suspect(f.Subject, file, now); ok {
				f.Actor = a.config.Who.Actor(t.pid, t.at)
			}
		}
	}
}

// runnerOf is the check behind a condition.
func (a *Agent) runnerOf(condition string) *runner {
	for _, c := range a.config.Set.Policy.Checks {
		if c.Condition != condition {
			continue
		}
		for _, r := range a.runners {
			if r.check.Name() == c.Name {
				return r
			}
		}
	}
	return nil
}
