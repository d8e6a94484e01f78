package hostconfig

import "slices"

// matchesAny tells whether one of the globs matches s as a whole: * stands for any
// characters, slashes too, and ? for one.
func matchesAny(globs []string, s string) bool {
	return slices.ContainsFunc(globs, func(glob string) bool { return like(glob, s) })
}

// like goes back to the last star only, which is enough.
func like(glob, s string) bool {
	g, i, star, from := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case g < len(glob) && glob[g] == '*':
			star, from = g, i
			g++
		case g < len(glob) && (glob[g] == '?' || glob[g] == s[i]):
			g++
			i++
		case star >= 0:
			from++
			g, i = star+1, from
		default:
			return false
		}
	}
	for g < len(glob) && glob[g] == '*' {
		g++
	}
	return g == len(glob)
}
