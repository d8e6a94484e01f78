package hostconfig

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// schedule are files of cron or of a timer's service in which one line has all the
// words: what runs by the clock, wherever it was put.
func (l *look) schedule(r Rule, glob string) *table {
	t := byPath("schedule of "+strings.Join(r.Words, " "), glob)
	names, err := l.expand(glob)
	if err != nil {
		t.fault = faultOf(glob, err)
		return t
	}
	for _, name := range names {
		if editorFile(name) || path.Base(name) == ".placeholder" || isDirectory(l, name) {
			continue
		}
		data, at, err := l.read(name)
		if gone(err) {
			continue
		}
		if err != nil {
			t.fault = faultOf(name, err)
			return t
		}
		if mentions(data, r.Words) {
			t.entries[drift.Printable(name)] = entry{value: "runs " + strings.Join(r.Words, " "), changed: at, args: pathArgs(name)}
		}
	}
	return t
}

// scheduledStill tells whether what was scheduled runs from some file, whatever that
// is called now.
func (l *look) scheduledStill(r Rule) bool {
	return r.Look == "schedule" && slices.ContainsFunc(r.places(), func(glob string) bool { return len(l.table(r, glob).entries) > 0 })
}

// mentions tells whether a line that is no comment has all the words.
func mentions(data []byte, words []string) bool {
	for line := range bytes.Lines(data) {
		text := strings.TrimSpace(string(line))
		if text == "" || text[0] == '#' || text[0] == ';' {
			continue
		}
		all := true
		for _, w := range words {
			all = all && strings.Contains(text, w)
		}
		if all {
			return true
		}
	}
	return false
}
