package paths

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func FuzzParseValue(f *testing.F) {
	for _, s := range []string{"file mode=0644 owner=0:0 links=1 sha256=aa", `link to="a b" owner=0:0`, "absent", `x a="`, `x a="\x`, "x =", "x a=b=c", " "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v := parseValue(s)
		if again := parseValue(v.String()); !cmp.Equal(v, again, cmp.AllowUnexported(value{}, attr{})) && v.kind != "" {
			t.Errorf("%q: %+v, then %+v", s, v, again)
		}
		difference("file mode=0644", s, func(string) bool { return true })
		mountDifference("ext4 point=/ inode=1 boot=x", s)
	})
}

func TestRuleReachesWhatItMatches(t *testing.T) {
	r := Rule{Content: []string{"config.yaml", "pki/*", "config.d/**"}, Exclude: []string{"config.d/tmp/**"}}
	for dir, want := range map[string]bool{"pki": true, "pki/x": false, "pods": false, "config.d": true, "config.d/a/b": true, "config.d/tmp": false, "config.yaml": false} {
		if got := r.below(dir); got != want {
			t.Errorf("below(%q) = %t", dir, got)
		}
	}
	for entry, want := range map[string]bool{"config.yaml": true, "pki/ca.crt": true, "pki": false, "pods/config.yaml": false, "config.d/tmp/x": false} {
		if got := r.static(entry); got != want {
			t.Errorf("static(%q) = %t", entry, got)
		}
	}
}

func TestRuleValidate(t *testing.T) {
	for name, r := range map[string]Rule{
		"no paths":        {},
		"relative path":   {Paths: []string{"etc"}},
		"unclean path":    {Paths: []string{"/etc/../x"}},
		"broken glob":     {Paths: []string{"/etc"}, Content: []string{"[a"}},
		"unknown aspect":  {Paths: []string{"/etc"}, Only: "owner"},
		"narrow and deep": {Paths: []string{"/etc"}, Only: onlyPresence, Content: []string{"*"}},
		"no demand":       {Paths: []string{"/etc"}, Must: &Must{}},
		"two demands":     {Paths: []string{"/etc"}, Must: &Must{Unmounted: true, Grant: "0555"}},
		"no octal":        {Paths: []string{"/etc"}, Must: &Must{Grant: "0888"}},
		"count of what":   {Paths: []string{"/etc"}, Must: &Must{AtMost: 3}},
		"or what":         {Paths: []string{"/etc"}, Must: &Must{Unmounted: true, OrDirectory: true}},
		"unknown runtime": {Paths: []string{"/etc"}, Runtime: "rkt"},
		"unknown appear":  {Paths: []string{"/etc"}, Appears: "ignore"},
	} {
		if r.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What is shown of a digest is its beginning; the rest differs all the same.
func TestDifferenceBeyondWhatIsShown(t *testing.T) {
	all := func(string) bool { return true }
	same := "file sha256=0123456789abcdef"
	if observed, supported := difference(same, same+"0", all); observed == "" || observed != supported {
		t.Errorf("%q, supported %q", observed, supported)
	}
	if observed, _ := difference(same, same, all); observed != "" {
		t.Errorf("%q of the same", observed)
	}
}
