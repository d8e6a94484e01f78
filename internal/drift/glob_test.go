package drift_test

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// FuzzGlob compares with what a regular expression of the same meaning says.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"", ""}, {"*", ""}, {"*", "a/b\n"}, {"**", "x"}, {"?", ""}, {"?", "日"}, {"*?", "a"}, {"a*b*c", "aXbXbc"}, {"a*b*c", "aXbXb"},
		{"/etc/kubernetes/*", "/etc/kubernetes/pki/ca.crt"}, {"*.conf", "a.conf.bak"}, {"--*", "--v"}, {"[a]", "a"}, {"*ab*ab", "abab"}, {"?*?", "ab"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if !utf8.ValidString(pattern) || !utf8.ValidString(s) || len(pattern) > 1000 {
			return
		}
		quoted := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
		if want := regexp.MustCompile(`^(?s:` + quoted + `)$`).MatchString(s); drift.Glob(pattern, s) != want {
			t.Errorf("Glob(%q, %q) = %t", pattern, s, !want)
		}
	})
}
