package attribute

import (
	"bytes"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
)

const (
	maxCommand = 200
	ellipsis   = "…"
)

// arguments are what a process was started with, or what it made of it.
type arguments struct {
	text []byte // each ends with a zero byte
	cut  bool   // there may be more
}

// command is a command line as it may be shown to anybody.
func command(a arguments) string {
	words := a.words()
	if len(words) == 0 {
		return ""
	}
	line := drift.Printable(strings.Join(mask(words), " "))
	if a.cut {
		line += " " + ellipsis
	}
	return shorten(line, maxCommand)
}

// words leaves out a last one that is not whole: it may be the start of a secret.
func (a arguments) words() []string {
	text := a.text
	if a.cut {
		text = text[:max(bytes.LastIndexAny(text, "\x00 \t\n"), 0)]
	}
	text = bytes.TrimRight(text, "\x00")
	if len(text) == 0 {
		return nil
	}
	return strings.Split(string(text), "\x00")
}

// shorten cuts printable text between runes, and not in an escape.
func shorten(line string, limit int) string {
	if len(line) <= limit {
		return line
	}
	end := 0
	for end < len(line) {
		size := unit(line[end:])
		if end+size > limit-len(ellipsis) {
			break
		}
		end += size
	}
	return line[:end] + ellipsis
}

// unit is the size of the rune or of the escape that s begins with.
func unit(s string) int {
	switch {
	case strings.HasPrefix(s, `\\`):
		return 2
	case strings.HasPrefix(s, `\x`):
		return min(len(`\x00`), len(s))
	default:
		_, size := utf8.DecodeRuneInString(s)
		return size
	}
}

func program(word string) string { return path.Base(word) }
