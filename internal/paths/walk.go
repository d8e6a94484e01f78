package paths

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// Bounds of a walk. Static directories of a node hold some hundred files.
const (
	maxEntries = 200_000
	maxDepth   = 64
)

var errTooDeep = fmt.Errorf("more than %d directories deep", maxDepth)
var errTooMany = fmt.Errorf("more than %d entries", maxEntries)

// directory walks what is static below a protected directory.
func (l *look) directory(t target) {
	if len(t.rule.Content) == 0 {
		return
	}
	d, err := l.root.OpenDir(t.path)
	if err != nil {
		l.gap(t, t.subject, err, "")
		return
	}
	defer d.Close()
	l.walk(t, d, "", 1)
}

// walk looks at the entries of a directory; rel is its path below the target.
func (l *look) walk(t target, d *host.Dir, rel string, depth int) {
	here := t.subject
	if rel != "" {
		here += "/" + drift.Printable(rel)
	}
	if depth > maxDepth {
		l.gap(t, here, errTooDeep, "")
		return
	}
	names, err := d.Names(maxEntries)
	if err != nil {
		l.gap(t, here, err, "")
		return
	}
	if l.entries += len(names); l.entries > maxEntries {
		l.gap(t, here, errTooMany, "exclude what is not static")
		return
	}
	for _, name := range names {
		if l.ctx.Err() != nil {
			return
		}
		l.entry(t, d, join(rel, name), name, depth)
	}
}

func join(rel, name string) string {
	if rel == "" {
		return name
	}
	return rel + "/" + name
}

// entry looks at one entry. One that vanishes meanwhile was not there.
func (l *look) entry(t target, d *host.Dir, rel, name string, depth int) {
	subject := t.subject + "/" + drift.Printable(rel)
	static := t.rule.static(rel)
	if !static && !matchAny(t.rule.Rotating, rel) && !t.rule.below(rel) || l.isTarget(subject) {
		return
	}
	e, err := d.Lstat(name)
	if err == nil {
		err = l.entryOf(t, d, e, entryName{subject, rel, name, static}, depth)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.gap(t, subject, err, "")
	}
}

// entryName is an entry in a finding, below its target and in its directory.
type entryName struct {
	subject, rel, name string
	static             bool
}

func (l *look) entryOf(t target, d *host.Dir, e host.Entry, n entryName, depth int) error {
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

func (l *look) subdirectory(t target, d *host.Dir, e host.Entry, n entryName, depth int) error {
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
	l.walk(t, sub, n.rel, depth+1)
	return nil
}

func (l *look) link(t target, d *host.Dir, e host.Entry, n entryName) error {
	to, err := d.Readlink(n.name)
	if err != nil {
		return err
	}
	v, rotates := describe(e), matchAny(t.rule.Rotating, n.rel)
	switch {
	case rotates:
		if v, err = rotating(d, relativeTo(path.Join(t.path, path.Dir(n.rel)), to)); err != nil {
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
func (l *look) file(t target, d *host.Dir, e host.Entry, n entryName) {
	if e.MountRoot {
		l.set(t, n.subject, fact(describe(e), false))
		return
	}
	l.content(t, n.subject, e, func() (value, *os.File, error) {
		f, err := d.OpenFile(n.name)
		return describe(e), f, err
	})
}

// content sets the fact of a file: at once where it is what the last look saw, else
// once its digest is known.
func (l *look) content(t target, subject string, e host.Entry, open func() (value, *os.File, error)) {
	s := l.stamp(e)
	f, same := t.now.unchanged(t.was, subject, s)
	if same = same && s != (stamp{}); !same {
		f = drift.Fact{}
	}
	t.now.files = append(t.now.files, file{subject, f, s})
	if !same {
		l.read(t, len(t.now.files)-1, e.Size, e.Modified, open)
	}
}

// read sets the fact of the file at a position of the part.
func (l *look) read(t target, position int, size uint64, modified time.Time, open func() (value, *os.File, error)) {
	subject := t.now.files[position].subject
	v, f, err := open()
	done := func(sum string, err error) {
		switch {
		case errors.Is(err, host.ErrTooLarge):
			v.add("size", strconv.FormatUint(size, 10))
			v.add("modified", modified.UTC().Format(time.RFC3339Nano))
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
	case size > maxContent:
		_ = f.Close()
		done("", host.ErrTooLarge)
	default:
		l.digests.add(f, done)
	}
}
