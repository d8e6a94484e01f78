package paths

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"sync"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/packages"
)

// target is one protected path with its rule.
type target struct {
	operation string
	rule      Rule
	path      string   // as the rule names it
	subject   string   // printable
	also      []string // other subjects that lead to the same place
	now, was  *part    // was: nil where nothing is trusted
}

// key is the target's own: a narrowed one can have the subject of another.
func (t *target) key() string { return narrowed(t.subject, t.rule.Only) }

func narrowed(subject, aspect string) string {
	if aspect == "" {
		return subject
	}
	return subject + " only " + aspect
}

// look is one look at all protected paths.
type look struct {
	ctx      context.Context
	root     *host.Root
	mounts   []*mountinfo.Info
	boot     string
	targets  []*target
	recorded baseline.Scope
	digests  *digests
	entries  int
	start    time.Time
	own      map[string]bool // the targets' subjects, but for narrowed ones
	narrowed map[string]bool // subjects with the aspect that a narrowed target has of them
	rules    []drift.Bound[Rule]

	inventory *packages.Inventory
	former    map[string]string
	runtime   func() string
	database  packages.State // the package manager's, when the look began
	busy      bool           // the package manager is at work, and it matters

	mountsBefore *part
	only         []string // the subjects to look at; none: all

	mu    sync.Mutex // the digest workers write parts, too
	parts map[string]*part
	facts map[string]drift.Fact // of all parts, at the end
	gaps  []drift.Gap
}

func newLook(ctx context.Context, c *Check) *look {
	l := &look{ctx: ctx, root: c.root, recorded: c.recorded, boot: c.root.BootID(), start: time.Now(), parts: map[string]*part{}, inventory: c.inventory, former: c.former}
	if c.runtime != nil {
		l.runtime = sync.OnceValue(c.runtime)
	}
	if c.inventory != nil {
		l.database = packages.StateOf(c.root)
	}
	progress := c.progress
	if progress == nil {
		progress = &Progress{}
	}
	l.targets = targets(c.root, c.rules)
	l.own, l.narrowed, l.rules = make(map[string]bool, len(l.targets)), map[string]bool{}, c.rules
	for _, t := range l.targets {
		if t.rule.Only != "" {
			l.narrowed[t.key()] = true
		} else {
			l.own[t.subject] = true
		}
	}
	l.digests = newDigests(ctx, progress)
	return l
}

// trust lets the look reuse what the one before it saw.
func (l *look) trust(before *memory, only []string) {
	for _, t := range l.targets {
		t.was = before.parts[t.key()]
	}
	l.mountsBefore = before.parts[mountsPart]
	if !everywhere(only, l.targets) {
		l.only = only
	}
}

// targets lists the paths of all rules; of several that lead to one place, like
// /lib and /usr/lib, the first.
func targets(root *host.Root, rules []drift.Bound[Rule]) []*target {
	var out []*target
	led := map[string]int{}
	for _, r := range rules {
		if !r.Rule.recorded() {
			continue
		}
		for _, p := range r.Rule.Paths {
			if real, err := root.Resolve(p); err == nil {
				real = narrowed(real, r.Rule.Only)
				if first, twice := led[real]; twice {
					out[first].also = append(out[first].also, drift.Printable(p))
					continue
				}
				led[real] = len(out)
			}
			out = append(out, &target{operation: r.Operation, rule: r.Rule, path: p, subject: drift.Printable(p)})
		}
	}
	return out
}

// all looks at every target and returns when every content has been read.
func (l *look) all() {
	mounts, err := l.root.Mounts()
	l.mounts = mounts
	var looked []*target
	for _, t := range l.targets {
		if l.reuse(t) {
			continue
		}
		t.now = newPart(t.was)
		if err != nil {
			l.gap(t, mountSubject(t.subject), err, "")
		}
		before := l.entries
		l.target(t)
		t.now.entries = l.entries - before
		looked = append(looked, t)
	}
	l.digests.wait()
	for _, t := range looked {
		l.parts[t.key()] = t.now.finish(t.was, l.recorded)
	}
	l.blockMounts(mounts, err)
}

// conclude compares what was seen with what was recorded. Where it is in nothing
// different from before, so is what comes of it.
func (l *look) conclude(before *memory) *memory {
	installed := packages.StateOf(l.root)
	if before != nil && l.ctx.Err() == nil && !before.busy && installed == before.installed && maps.Equal(l.parts, before.parts) {
		return before
	}
	l.join()
	out := l.compare().Sorted()
	return &memory{l.parts, out, installed, l.busy}
}

// join makes one picture of all parts.
func (l *look) join() {
	size := 0
	for _, p := range l.parts {
		size += len(p.facts) + len(p.files)
	}
	l.facts = make(map[string]drift.Fact, size)
	for _, t := range l.targets {
		p := l.parts[t.key()]
		maps.Copy(l.facts, p.facts)
		for _, f := range p.files {
			l.facts[f.subject] = f.fact
		}
		l.gaps = append(l.gaps, p.gaps...)
	}
	if p := l.parts[mountsPart]; p != nil {
		maps.Copy(l.facts, p.facts)
		l.gaps = append(l.gaps, p.gaps...)
	}
	if err := l.ctx.Err(); err != nil {
		l.gaps = append(l.gaps, drift.Gap{Reason: "the look was cut short: " + err.Error(), Hint: "raise the check's deadline"})
	}
}

// target looks at one protected path and what is static below it.
func (l *look) target(t *target) {
	v, entry, err := l.identity(t)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		l.set(t, t.subject, drift.Fact{Value: absent})
		return
	case err != nil:
		l.gap(t, t.subject, err, "")
		return
	}
	if m, known := l.mount(t); known {
		l.set(t, mountSubject(t.subject), fact(m, true))
		if host.Remote(m.kind) {
			l.gap(t, t.subject, errRemote, "keep this path on a local disk")
			return
		}
	}
	if v.kind == string(host.Link) {
		t.now.led = v.String()
	}
	if t.was != nil && t.was.led != t.now.led {
		t.was = nil
	}
	switch entry.Type {
	case host.File:
		if !l.known(t, t.subject, entry) {
			f, err := l.root.OpenFile(t.path)
			l.read(t, entry, v, f, err)
		}
	case host.Directory:
		l.set(t, t.subject, fact(v, false))
		l.directory(t)
	default:
		l.set(t, t.subject, fact(v, false))
	}
}

var errRemote = errors.New("it lies on a network or FUSE file system, which may never answer")

// set records a fact.
func (l *look) set(t *target, subject string, f drift.Fact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.now.facts[subject] = f
}

// gap records that a subject could not be looked at.
func (l *look) gap(t *target, subject string, err error, hint string) {
	if hint == "" && errors.Is(err, fs.ErrPermission) {
		hint = "run as root (CAP_DAC_READ_SEARCH)"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	t.now.gaps = append(t.now.gaps, drift.Gap{Operation: t.operation, Subject: subject, Reason: reason(err), Hint: hint})
}

// reason is what failed, without the path that the subject names already.
func reason(err error) string {
	var errno unix.Errno
	var path *fs.PathError
	switch {
	case errors.As(err, &errno):
		err = errno
	case errors.As(err, &path):
		err = path.Err
	}
	return drift.Printable(err.Error())
}

// isTarget tells whether a path is protected by a rule of its own.
func (l *look) isTarget(subject string) bool {
	return l.own[subject]
}
