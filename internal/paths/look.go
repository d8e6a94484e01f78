package paths

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"sync"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// target is one protected path with its rule.
type target struct {
	operation string
	rule      Rule
	path      string // as the rule names it
	subject   string // printable
}

// look is one look at all protected paths.
type look struct {
	ctx     context.Context
	root    *host.Root
	mounts  []*mountinfo.Info
	boot    string
	targets []target
	digests *digests
	entries int

	mu    sync.Mutex // the digest workers write, too
	facts map[string]drift.Fact
	gaps  []drift.Gap
}

func newLook(ctx context.Context, root *host.Root, rules []drift.Bound[Rule], progress *Progress) *look {
	l := &look{ctx: ctx, root: root, boot: root.BootID(), facts: map[string]drift.Fact{}}
	if progress == nil {
		progress = &Progress{}
	}
	l.targets = targets(root, rules)
	l.digests = startDigests(ctx, progress)
	return l
}

// targets lists the paths of all rules; of several that lead to one place, like
// /lib and /usr/lib, the first.
func targets(root *host.Root, rules []drift.Bound[Rule]) []target {
	var out []target
	led := map[string]bool{}
	for _, r := range rules {
		for _, p := range r.Rule.Paths {
			if real, err := root.Resolve(p); err == nil {
				if led[real] {
					continue
				}
				led[real] = true
			}
			out = append(out, target{operation: r.Operation, rule: r.Rule, path: p, subject: drift.Printable(p)})
		}
	}
	return out
}

// all looks at every target and returns when every content has been read.
func (l *look) all() {
	mounts, err := l.root.Mounts()
	if err != nil {
		for _, t := range l.targets {
			l.gap(t, mountSubject(t.subject), err, "")
		}
	}
	l.mounts = mounts
	for _, t := range l.targets {
		l.target(t)
	}
	l.digests.wait()
	if err := l.ctx.Err(); err != nil {
		l.gaps = append(l.gaps, drift.Gap{Reason: "the look was cut short: " + err.Error(), Hint: "raise the check's deadline"})
	}
}

// target looks at one protected path and what is static below it.
func (l *look) target(t target) {
	v, entry, err := l.identity(t)
	switch {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR):
		l.set(t.subject, drift.Fact{Value: absent})
		return
	case err != nil:
		l.gap(t, t.subject, err, "")
		return
	}
	if m, known := l.mount(t); known {
		l.set(mountSubject(t.subject), fact(m, true))
		if host.Remote(m.kind) {
			l.gap(t, t.subject, errRemote, "keep this path on a local disk")
			return
		}
	}
	switch entry.Type {
	case host.File:
		f, err := l.root.OpenFile(t.path)
		l.content(t, t.subject, v, f, err, entry)
	case host.Directory:
		l.set(t.subject, fact(v, false))
		l.directory(t)
	default:
		l.set(t.subject, fact(v, false))
	}
}

var errRemote = errors.New("it lies on a network or FUSE file system, which may never answer")

// set records a fact.
func (l *look) set(subject string, f drift.Fact) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.facts[subject] = f
}

// gap records that a subject could not be looked at.
func (l *look) gap(t target, subject string, err error, hint string) {
	if hint == "" && errors.Is(err, fs.ErrPermission) {
		hint = "run as root (CAP_DAC_READ_SEARCH)"
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gaps = append(l.gaps, drift.Gap{Operation: t.operation, Subject: subject, Reason: reason(err), Hint: hint})
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
	return slices.ContainsFunc(l.targets, func(t target) bool { return t.subject == subject })
}
