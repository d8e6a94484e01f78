package drift

import "unicode/utf8"

// Glob matches s as a whole, * standing for any characters, ? for one. Unlike
// path.Match a * also covers slashes: a waiver for /etc/kubernetes/* means all below.
func Glob(pattern, s string) bool {
	after, from := -1, 0 // the last * is before pattern[after], and what follows it is tried at s[from]
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			p++
			after, from = p, i
		case p < len(pattern) && pattern[p] == '?':
			p++
			i += widthOf(s[i:])
		case p < len(pattern) && pattern[p] == s[i]:
			p++
			i++
		case after >= 0:
			from += widthOf(s[from:])
			p, i = after, from
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// widthOf is how many bytes the first character has.
func widthOf(s string) int {
	_, n := utf8.DecodeRuneInString(s)
	return n
}
