package watch

import (
	"errors"
	"io/fs"
	"path"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/nodeguard/nodeguard/internal/host"
)

// Bounds of what is looked at below one path.
const (
	maxLinks = 40
	maxDepth = 64
	maxNames = 250_000
)

// tree is a Tree as it lies on the host now. Paths are real: free of links.
type tree struct {
	Tree
	way     map[string]*mark // directories that lead to it
	hops    map[string]bool  // entries on the way: whatever happens to one moves the tree
	end     string           // what Path leads to; "" while it is missing
	content map[string]*mark // directories in it
	err     error            // why it is not watched whole

	nameless error // why changes in it come without names
}

// armTree finds out what the path leads to and watches the way and the content.
// Marks it held before are given up last, so that none is lost in between.
func (w *Watcher) armTree(t *tree) {
	way, content := t.way, t.content
	t.way, t.hops, t.content = map[string]*mark{}, map[string]bool{}, map[string]*mark{}
	t.end, t.err, t.nameless = "", nil, nil
	if t.end = w.follow(t); t.end != "" {
		w.enter(t, t.end, 1)
	}
	w.releaseAll(way)
	w.releaseAll(content)
}

func (w *Watcher) abandon(t *tree) {
	w.releaseAll(t.way)
	w.releaseAll(t.content)
	t.way, t.content = nil, nil
}

func (w *Watcher) releaseAll(held map[string]*mark) {
	for place, m := range held {
		w.release(m, place)
	}
}

// follow walks to what the path leads to, as if chrooted, and watches each
// directory before it looks into it. It returns "" where the way ends early.
func (w *Watcher) follow(t *tree) string {
	at, rest, links := "/", components(t.Path), 0
	for len(rest) > 0 {
		next := rest[0]
		if rest = rest[1:]; next == ".." {
			at = path.Dir(at)
			continue
		}
		if !w.holdWay(t, at) {
			return ""
		}
		name := path.Join(at, next)
		t.hops[name] = true
		e, err := w.root.Lstat(name)
		if err != nil {
			t.fail(err)
			return ""
		}
		if e.Type != host.Link {
			at = name
			continue
		}
		to, err := w.root.Readlink(name)
		if links++; err != nil || links > maxLinks {
			t.fail(err)
			return ""
		}
		if path.IsAbs(to) {
			at = "/"
		}
		rest = append(components(to), rest...)
	}
	return at
}

func components(name string) []string {
	var out []string
	for c := range strings.SplitSeq(name, "/") {
		if c != "" && c != "." {
			out = append(out, c)
		}
	}
	return out
}

// holdWay watches a directory on the way. It tells whether the way goes on there;
// that a limit left it unwatched does not end it.
func (w *Watcher) holdWay(t *tree, dir string) bool {
	if t.way[dir] != nil {
		return true
	}
	if w.remote != nil && w.remote(dir) {
		t.fail(errRemote)
		return false
	}
	m, err := w.hold(dir)
	if err != nil {
		t.fail(err)
		return !vanished(err)
	}
	t.way[dir] = m
	t.noteName(dir, m)
	return true
}

// fail keeps the first reason why the tree is not watched whole.
func (t *tree) fail(err error) {
	if t.err == nil && err != nil && !vanished(err) && !errors.Is(err, fs.ErrNotExist) {
		t.err = err
	}
}

// enter watches a directory of the content and all below it that counts. The watch
// comes first: what is made before it is listed, what is made after it is an event.
func (w *Watcher) enter(t *tree, dir string, depth int) {
	e, err := w.root.Lstat(dir)
	switch {
	case err != nil, e.Type != host.Directory, e.MountRoot && dir != t.end, depth > maxDepth, !t.enters(dir):
		w.prune(t, dir)
		return
	case w.remote != nil && depth == 1 && w.remote(dir):
		t.fail(errRemote)
		return
	}
	if !w.holdContent(t, dir) {
		return
	}
	for _, below := range w.subdirectories(t, dir) {
		w.enter(t, below, depth+1)
	}
}

// holdContent watches a directory of the content. Another one under the same name
// takes the old one's place, and whatever was below that is over.
func (w *Watcher) holdContent(t *tree, dir string) bool {
	m, err := w.hold(dir)
	if err != nil {
		t.fail(err)
		w.prune(t, dir)
		return false
	}
	if was := t.content[dir]; was == m {
		w.release(m, dir) // held already
	} else {
		w.prune(t, dir)
		t.content[dir] = m
	}
	t.noteName(dir, m)
	return true
}

// subdirectories are those to be watched, too.
func (w *Watcher) subdirectories(t *tree, dir string) []string {
	d, err := w.root.OpenDir(dir)
	if err != nil {
		t.fail(err)
		return nil
	}
	defer func() { _ = d.Close() }()
	names, err := d.Names(maxNames)
	t.fail(err)
	var out []string
	for _, name := range names {
		below := path.Join(dir, name)
		if !t.enters(below) {
			continue
		}
		if e, err := d.Lstat(name); err == nil && e.Type == host.Directory {
			out = append(out, below)
		}
	}
	return out
}

// prune gives up a directory of the content with all below it.
func (w *Watcher) prune(t *tree, dir string) {
	if t.content[dir] == nil {
		return
	}
	for place, m := range t.content {
		if within(dir, place) {
			delete(t.content, place)
			w.release(m, place)
		}
	}
}

func (t *tree) enters(dir string) bool {
	return t.Enter != nil && t.Enter(t.rel(dir))
}

// rel is the path of something in the tree, relative to its end.
func (t *tree) rel(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, t.end), "/")
}

// named is the path of something in the tree in terms of Tree.Path.
func (t *tree) named(name string) string { return path.Join(t.Path, t.rel(name)) }

func within(dir, name string) bool {
	return name == dir || strings.HasPrefix(name, strings.TrimSuffix(dir, "/")+"/")
}

// withMounts lets do know which paths lie on file systems that may never answer.
func (w *Watcher) withMounts(do func()) {
	mounts, err := w.root.Mounts()
	if err != nil && !errors.Is(err, unix.ENOENT) {
		mounts = nil
	}
	w.remote = func(name string) bool {
		m := host.MountOf(mounts, name)
		return m != nil && host.Remote(m.FSType)
	}
	do()
	w.remote = nil
}
