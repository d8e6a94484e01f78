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
		l.entry(t, d, path.Join(rel, name), name, depth)
	}
}

// entry looks at one entry. One that vanishes meanwhile was not there.
func (l *look) entry(t target, d *host.Dir, rel, name string, depth int) {
	subject := t.subject + "/" + drift.Printable(rel)
	static, rotates, below := t.rule.static(rel), matchAny(t.rule.Rotating, rel), t.rule.below(rel)
	if !static && !rotates && !below || l.isTarget(subject) {
		return
	}
	e, err := d.Lstat(name)
	if err == nil {
		err = l.entryOf(t, d, e, rel, name, depth)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.gap(t, subject, err, "")
	}
}

func (l *look) entryOf(t target, d *host.Dir, e host.Entry, rel, name string, depth int) error {
	subject, v := t.subject+"/"+drift.Printable(rel), describe(e)
	static := t.rule.static(rel)
	switch e.Type {
	case host.Link:
		return l.link(t, d, v, rel, name)
	case host.Directory:
		below := t.rule.below(rel)
		if static || below {
			l.set(subject, fact(v, false))
		}
		if !below || e.MountRoot {
			return nil
		}
		sub, err := d.OpenDir(name)
		if err != nil {
			return err
		}
		defer sub.Close()
		l.walk(t, sub, rel, depth+1)
	case host.File:
		if static {
			l.file(t, d, v, e, rel, name)
		}
	default:
		if static {
			l.set(subject, fact(v, false))
		}
	}
	return nil
}

func (l *look) link(t target, d *host.Dir, v value, rel, name string) error {
	to, err := d.Readlink(name)
	if err != nil {
		return err
	}
	rotates := matchAny(t.rule.Rotating, rel)
	switch {
	case rotates:
		if v, err = rotating(d, relativeTo(path.Join(t.path, path.Dir(rel)), to)); err != nil {
			return err
		}
	case t.rule.static(rel):
		v.add("to", drift.Printable(to))
	default:
		return nil
	}
	l.set(t.subject+"/"+drift.Printable(rel), fact(v, rotates))
	return nil
}

// file hands a static file over to be read. What is mounted over it is another's
// content: the mount itself is the finding.
func (l *look) file(t target, d *host.Dir, v value, e host.Entry, rel, name string) {
	subject := t.subject + "/" + drift.Printable(rel)
	if e.MountRoot {
		l.set(subject, fact(v, false))
		return
	}
	f, err := d.OpenFile(name)
	l.content(t, subject, v, f, err, e)
}

// content sets the fact of a file once its digest is known.
func (l *look) content(t target, subject string, v value, f *os.File, err error, e host.Entry) {
	local := matchAny(t.rule.PerNode, relativeTo(t.subject, subject))
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
		l.set(subject, fact(v, local))
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
