package hostconfig

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

const (
	maxFile  = 1 << 20
	maxNames = 8192
)

// look is one look at the host. Each table is read once.
type look struct {
	ctx      context.Context
	root     *host.Root
	recorded baseline.Scope
	memory   *memory
	prober   *prober
	now      time.Time
	tables   map[string]*table
	dirs     map[string]bool // where was looked
	logins   []login         // of the host, once asked for
	asked    bool            // logins were asked for
	keeper   *keeper         // of the clock; nil until asked for
}

func (l *look) table(r Rule, in string) *table {
	if len(r.OS) > 0 && !slices.Contains(r.OS, l.osID()) {
		return skipped()
	}
	id := strings.Join(append([]string{r.Look, r.Compare, in}, r.Words...), "\x00")
	if r.Look == "memory" { // whose containers count is the rule's
		id += joined(r.Except)
	}
	t := l.tables[id]
	if t == nil {
		kind, known := tableOf(r.Look)
		if !known {
			return skipped()
		}
		t = kind.read(l, r, in)
		l.tables[id] = t
	}
	return t
}

// osID names the operating system: "ubuntu".
func (l *look) osID() string {
	for _, name := range []string{"/etc/os-release", "/usr/lib/os-release"} {
		if data, err := l.root.ReadFile(name, maxFile); err == nil {
			return strings.Trim(parseSettings(data)["ID"], `"'`)
		}
	}
	return ""
}

// read reads a file and tells when it last changed.
func (l *look) read(name string) ([]byte, int64, error) {
	l.noteFile(name)
	e, err := l.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	data, err := l.root.ReadFile(name, maxFile)
	return data, e.Changed.Unix(), err
}

// list returns the names in a directory; one that is not there has none.
func (l *look) list(dir string) ([]string, error) {
	l.dirs[path.Clean(dir)] = true
	names, err := l.root.ReadDir(dir, maxNames)
	if gone(err) {
		return nil, nil
	}
	return names, err
}

// expand returns the paths that a glob matches, sorted. A path without a wildcard
// is itself, where it is there.
func (l *look) expand(glob string) ([]string, error) {
	found := []string{"/"}
	for _, part := range strings.Split(strings.Trim(glob, "/"), "/") {
		var next []string
		for _, dir := range found {
			names := []string{part}
			if strings.ContainsAny(part, "*?[{") {
				all, err := l.list(dir)
				if err != nil {
					return nil, &fileError{dir, err}
				}
				names = slices.DeleteFunc(all, func(n string) bool { return !onPath(part, n) })
			}
			for _, name := range names {
				next = append(next, path.Join(dir, name))
			}
		}
		found = next
	}
	var out []string
	for _, name := range found {
		l.dirs[path.Dir(name)] = true
		if _, err := l.root.Lstat(name); err == nil {
			out = append(out, name)
		} else if !gone(err) {
			return nil, &fileError{name, err}
		}
	}
	return out, nil
}

// unwatched is expand for places where so much happens that only the look of every
// minute is worth it.
func (l *look) unwatched(glob string) ([]string, error) {
	before := maps.Clone(l.dirs)
	names, err := l.expand(glob)
	l.dirs = before
	return names, err
}

// noteFile notes where a file is looked for and, where it is a link, where it leads.
func (l *look) noteFile(name string) {
	l.dirs[path.Dir(path.Clean(name))] = true
	if at, err := l.root.Readlink(name); err == nil {
		if !path.IsAbs(at) {
			at = path.Join(path.Dir(name), at)
		}
		l.dirs[path.Dir(at)] = true
	}
}

// directories are those of files; what the kernel makes up tells nobody of changes.
func (l *look) directories() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(l.dirs)), func(dir string) bool {
		return dir == "/" || dir == "/proc" || dir == "/sys" || strings.HasPrefix(dir, "/proc/") || strings.HasPrefix(dir, "/sys/")
	})
}

// fault is why something could not be looked at. It never holds file content.
type fault struct{ reason, hint string }

// fileError is the error of one file among several.
type fileError struct {
	name string
	err  error
}

func (e *fileError) Error() string { return e.name + ": " + e.err.Error() }
func (e *fileError) Unwrap() error { return e.err }

// faultOf says why a file could not be looked at.
func faultOf(name string, err error) *fault {
	if at, ok := errors.AsType[*fileError](err); ok {
		name, err = at.name, at.err
	}
	name = drift.Printable(name)
	var at *os.PathError
	switch {
	case errors.Is(err, fs.ErrPermission):
		return &fault{name + ": permission denied", "run as root, or with CAP_DAC_READ_SEARCH"}
	case errors.Is(err, host.ErrNotRegular):
		return &fault{name + ": not a regular file", "put the file back"}
	case errors.Is(err, host.ErrTooLarge):
		return &fault{name + ": too large", "a configuration of this size is not one"}
	case errors.As(err, &at):
		return &fault{name + ": " + at.Err.Error(), ""}
	default:
		return &fault{drift.Printable(fmt.Sprintf("%s: %v", name, err)), ""}
	}
}

func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// onPath tells whether a path matches the glob. There is no error to tell: Validate
// has seen every glob of a rule.
func onPath(glob, name string) bool {
	ok, err := doublestar.Match(glob, name)
	return ok && err == nil
}

func joined(words []string) string { return strings.Join(words, ", ") }
