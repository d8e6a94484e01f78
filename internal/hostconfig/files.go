package hostconfig

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// byPath is a table whose settings are paths that the glob matches.
func byPath(area, glob string) *table {
	t := newTable("")
	t.area = area + " " + glob
	t.owns = func(subject string) bool { return onPath(glob, subject) }
	return t
}

// files are files by the digest of what they say: comments, blank lines and
// spacing do not count.
func (l *look) files(_ Rule, glob string) *table {
	t := byPath("files", glob)
	names, err := l.expand(glob)
	for _, name := range names {
		if editorFile(name) {
			continue
		}
		var digest string
		l.noteFile(name)
		digest, err = remembered(l, name, maxFile, func(data []byte) (string, error) { return digestOf(data), nil })
		if gone(err) || isDirectory(l, name) {
			err = nil
			continue
		}
		if err != nil {
			err = &fileError{name, err}
			break
		}
		var at int64
		if e, err := l.root.Stat(name); err == nil {
			at = e.Changed.Unix()
		}
		t.entries[drift.Printable(name)] = entry{value: digest, changed: at, args: pathArgs(name)}
	}
	if err != nil {
		t.fault = faultOf(glob, err)
	}
	return t
}

func isDirectory(l *look, name string) bool {
	e, err := l.root.Stat(name)
	return err == nil && e.Type == host.Directory
}

func pathArgs(name string) map[string]string {
	return map[string]string{"path": drift.Printable(name), "file": drift.Printable(name)}
}

// editorFile tells what no program reads.
func editorFile(name string) bool {
	base := path.Base(name)
	return strings.HasSuffix(base, "~") || strings.HasPrefix(base, ".#") || slices.Contains([]string{".swp", ".swo", ".swx", ".bak"}, path.Ext(base))
}

func digestOf(data []byte) string {
	sum := sha256.New()
	for line := range bytes.Lines(data) {
		words := bytes.Fields(line)
		if len(words) == 0 || words[0][0] == '#' || words[0][0] == ';' {
			continue
		}
		sum.Write(bytes.Join(words, []byte(" ")))
		sum.Write([]byte("\n"))
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil))
}

// names are what is there of a glob, by name alone.
func (l *look) names(_ Rule, glob string) *table {
	found, err := l.expand(glob)
	return l.named(glob, found, err)
}

func (l *look) named(glob string, found []string, err error) *table {
	t := byPath("names", glob)
	if err != nil {
		t.fault = faultOf(glob, err)
		return t
	}
	for _, name := range found {
		if editorFile(name) {
			continue
		}
		e, err := l.root.Lstat(name)
		if err == nil {
			t.entries[drift.Printable(name)] = entry{changed: e.Changed.Unix(), args: pathArgs(name)}
		}
	}
	return t
}

var versionSuffix = regexp.MustCompile(`-\d+(\.\d+)+$`)

// versioned is the same for what has its version at the end of the name: an update
// is no change. Who updates by itself writes there all the time.
func (l *look) versioned(_ Rule, glob string) *table {
	found, err := l.unwatched(glob)
	t := l.named(glob, found, err)
	entries := maps.Clone(t.entries)
	clear(t.entries)
	for name, e := range entries {
		if plain := versionSuffix.ReplaceAllString(name, ""); plain != name {
			t.entries[plain] = e
		}
	}
	t.area = "versioned " + glob
	prefix, _, _ := strings.Cut(glob, "*")
	t.owns = func(subject string) bool {
		return strings.HasPrefix(subject, prefix) && !strings.Contains(subject, " ")
	}
	return t
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
