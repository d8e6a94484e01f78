package drift

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Printable returns s so that it can be shown on any terminal, log or condition:
// control characters, invalid UTF-8 and invisible or direction-changing runes
// become \xNN, a backslash becomes two. Different inputs stay different.
func Printable(s string) string {
	if strings.IndexFunc(s, needsEscape) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case needsEscape(r) || r == utf8.RuneError && size == 1:
			for _, c := range []byte(s[i : i+size]) {
				fmt.Fprintf(&b, `\x%02x`, c)
			}
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

func needsEscape(r rune) bool { return r == '\\' || !unicode.IsPrint(r) }

// ShellQuote returns a word of a POSIX shell (with $'…' of bash, ksh, zsh and
// POSIX 2024 where there are escapes) that stands for the printable s.
func ShellQuote(s string) string {
	switch {
	case s != "" && strings.IndexFunc(s, needsQuote) < 0:
		return s
	case strings.Contains(s, `\`):
		return "$'" + strings.ReplaceAll(s, "'", `\'`) + "'"
	default:
		return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
	}
}

func needsQuote(r rune) bool {
	return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./-_", r))
}
