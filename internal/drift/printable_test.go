package drift_test

import (
	"os/exec"
	"testing"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
)

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"/etc/kubernetes":    "/etc/kubernetes",
		"中文 name":            "中文 name",
		"a\nb":               `a\x0ab`,
		"\x1b[31mred":        `\x1b[31mred`,
		"bad\xff":            `bad\xff`,
		`back\slash`:         `back\\slash`,
		"\u202egnp.exe":      `\xe2\x80\xaegnp.exe`,
		"zero\u200bwidth":    `zero\xe2\x80\x8bwidth`,
		"replacement\ufffd!": "replacement\ufffd!",
	} {
		if got := drift.Printable(in); got != want {
			t.Errorf("Printable(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("a\x00b", "a\\x00b")
	f.Fuzz(func(t *testing.T, a, b string) {
		p := drift.Printable(a)
		if !utf8.ValidString(p) {
			t.Errorf("%q is not valid UTF-8", p)
		}
		if a != b && p == drift.Printable(b) {
			t.Errorf("%q and %q both become %q", a, b, p)
		}
	})
}

// A shell must see one word, and the very bytes.
func TestShellQuoteSurvivesAShell(t *testing.T) {
	for _, name := range []string{"plain", "two words", "it's", "$(reboot)", "`id`", "a\nb", "tab\t", "bad\xff", `back\slash`, "", "-n", "*", "\u202e", "'\n'"} {
		out, err := exec.Command("bash", "-c", "printf '%s|' "+drift.ShellQuote(drift.Printable(name))).Output()
		if err != nil {
			t.Fatal(err)
		}
		if string(out) != name+"|" {
			t.Errorf("%q became %q", name, out)
		}
	}
}

func TestGlobCoversSlashes(t *testing.T) {
	for _, c := range []struct {
		pattern, s string
		want       bool
	}{
		{"/etc/kubernetes/*", "/etc/kubernetes/pki/ca.crt", true},
		{"ack.net.*", "ack.net.firewall", true},
		{"ack.net.*", "tke.ack.net.x", false},
		{"net?ipv4", "net.ipv4", true},
		{"a.c", "abc", false},
		{"*", "a\nb", true},
	} {
		if got := drift.Glob(c.pattern, c.s); got != c.want {
			t.Errorf("Glob(%q, %q) = %t", c.pattern, c.s, got)
		}
	}
}
