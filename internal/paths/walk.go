package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Bounds of a walk. Static directories of a node hold some hundred files; 200,000 are
// promised, with the directories that they are in.
const (
	maxEntries = 250_000
	maxDepth   = 64
)

var errTooDeep = fmt.Errorf("more than %d directories deep", maxDepth)
var errTooMany = fmt.Errorf("more than %d entries", maxEntries)

// directory walks what is static below a protected directory.
func (l *look) directory(t *target) {
	if len(t.rule.Content) == 0 {
		return
	}
	d, err := l.root.OpenDir(t.path)
	if err != nil {
		l.gap(t, t.subject, err, "")
		return
	}
	defer d.Close()
	l.walk(t, d, entryName{subject: t.subject}, 1)
}

// walk looks at the entries of a directory.
func (l *look) walk(t *target, d *host.Dir, here entryName, depth int) {
	if depth > maxDepth {
		l.gap(t, here.subject, errTooDeep, "")
		return
	}
	names, err := d.Names(maxEntries)
	if err != nil {
		l.gap(t, here.subject, err, "")
		return
	}
	if l.entries += len(names); l.entries > maxEntries {
		l.gap(t, here.subject, errTooMany, "exclude what is not static")
		return
	}
	for _, name := range names {
		if l.ctx.Err() != nil {
			return
		}
		l.entry(t, d, here.entry(name, t), depth)
	}
}

// entry looks at one entry. One that vanishes meanwhile was not there.
func (l *look) entry(t *target, d *host.Dir, n entryName, depth int) {
	n.static = t.rule.static(n.rel)
	if !n.static && !matchAny(t.rule.Rotating, n.rel) && !t.rule.below(n.rel) || l.isTarget(n.subject) {
		return
	}
	e, err := d.Lstat(n.name)
	if err == nil {
		err = l.entryOf(t, d, e, n, depth)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.gap(t, n.subject, err, "")
	}
}

// entryName is an entry in a finding, below its target and in its directory.
type entryName struct {
	subject, rel, name string
	static             bool
}

// entry names one of a directory's entries. Most are the file that is expected next,
// whose subject is known, and most need no escapes, so that the subject ends with
// the path below the target.
func (n entryName) entry(name string, t *target) entryName {
	out := entryName{name: name, subject: t.now.expected(t.was)}
	if !isBelow(out.subject, n.subject, name) {
		out.subject = n.subject + "/" + drift.Printable(name)
	}
	switch out.rel = out.subject[len(t.subject)+1:]; {
	case !strings.Contains(out.rel, `\`):
	case n.rel == "":
		out.rel = name
	default:
		out.rel = n.rel + "/" + name
	}
	return out
}

// isBelow tells whether a subject is that of the name in the directory; of a name
// that has to be escaped it does not know.
func isBelow(subject, dir, name string) bool {
	return len(subject) == len(dir)+1+len(name) && strings.HasPrefix(subject, dir) && subject[len(dir)] == '/' &&
		subject[len(dir)+1:] == name && !strings.Contains(name, `\`)
}

func (l *look) entryOf(t *target, d *host.Dir, e host.Entry, n entryName, depth int) error {
	switch e.Type {
	case host.Link:
		return l.link(t, d, e, n)
	case host.Directory:
		return l.subdirectory(t, d, e, n, depth)
	case host.File:
		if n.static {
			l.file(t, d, e, n)
		}
	default:
		if n.static {
			l.set(t, n.subject, fact(describe(e), false))
		}
	}
	return nil
}

func (l *look) subdirectory(t *target, d *host.Dir, e host.Entry, n entryName, depth int) error {
	below := t.rule.below(n.rel)
	if n.static || below {
		l.set(t, n.subject, fact(describe(e), false))
	}
	if !below || e.MountRoot {
		return nil
	}
	sub, err := d.OpenDir(n.name)
	if err != nil {
		return err
	}
	defer sub.Close()
	l.walk(t, sub, n, depth+1)
	return nil
}

func (l *look) link(t *target, d *host.Dir, e host.Entry, n entryName) error {
	to, err := d.Readlink(n.name)
	if err != nil {
		return err
	}
	v, rotates := describe(e), matchAny(t.rule.Rotating, n.rel)
	switch {
	case rotates:
		if v, err = l.rotating(t, d, relativeTo(path.Join(t.path, path.Dir(n.rel)), to)); err != nil {
			return err
		}
	case n.static:
		v.add("to", drift.Printable(to))
	default:
		return nil
	}
	l.set(t, n.subject, fact(v, rotates))
	return nil
}

// file hands a static file over to be read. What is mounted over it is another's
// content: the mount itself is the finding.
func (l *look) file(t *target, d *host.Dir, e host.Entry, n entryName) {
	if e.MountRoot {
		l.set(t, n.subject, fact(describe(e), false))
		return
	}
	if matchAny(t.rule.Renewed, n.rel) {
		l.renewed(t, d, e, n)
		return
	}
	if !l.known(t, n.subject, e) {
		f, err := d.OpenFile(n.name)
		l.read(t, e, describe(e), f, err)
	}
}

// known adds a file to the part and tells whether its fact is: it is what the last
// look saw.
func (l *look) known(t *target, subject string, e host.Entry) bool {
	s := l.stamp(e)
	f, same := t.now.unchanged(t.was, subject, s)
	t.now.files = append(t.now.files, file{subject, f, s})
	return same
}

// read sets the fact of the part's last file once its digest is known.
func (l *look) read(t *target, e host.Entry, v value, f *os.File, err error) {
	position := len(t.now.files) - 1
	subject := t.now.files[position].subject
	done := func(sum string, err error) {
		switch {
		case errors.Is(err, host.ErrTooLarge):
			v.add("size", strconv.FormatUint(e.Size, 10))
			v.add("modified", e.Modified.UTC().Format(time.RFC3339Nano))
		case errors.Is(err, fs.ErrNotExist):
			return
		case err != nil:
			l.gap(t, subject, err, "")
			return
		default:
			v.add("sha256", sum)
		}
		now := fact(v, matchAny(t.rule.PerNode, relativeTo(t.subject, subject)))
		l.mu.Lock()
		defer l.mu.Unlock()
		t.now.read = append(t.now.read, digested{position, now})
	}
	switch {
	case err != nil:
		done("", err)
	case e.Size > maxContent:
		_ = f.Close()
		done("", host.ErrTooLarge)
	default:
		l.digests.add(f, done)
	}
}
