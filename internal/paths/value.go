package paths

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
)

// absent is the value of a path that is not there.
const absent = "absent"

// value is what a baseline keeps of an entry: a type and attributes, as text that
// people read too: "file mode=0644 owner=0:0 links=1 sha256=…".
type value struct {
	kind  string
	attrs []attr
}

type attr struct{ name, text string }

// String is the recorded form.
func (v value) String() string {
	parts := []string{v.kind}
	for _, a := range v.attrs {
		parts = append(parts, a.name+"="+quoted(a.text))
	}
	return strings.Join(parts, " ")
}

// quoted keeps a text with spaces, quotes or an equals sign in one piece.
func quoted(s string) string {
	if s == "" || strings.ContainsAny(s, " \"=") {
		return strconv.Quote(s)
	}
	return s
}

// parseValue reads the recorded form; what it does not understand is left out and
// so differs from everything.
func parseValue(s string) value {
	kind, rest, _ := strings.Cut(s, " ")
	v := value{kind: kind}
	for rest != "" {
		name, after, ok := strings.Cut(rest, "=")
		if !ok {
			break
		}
		var text string
		text, rest = unquoted(after)
		v.attrs = append(v.attrs, attr{name, text})
	}
	return v
}

func unquoted(s string) (text, rest string) {
	if prefix, err := strconv.QuotedPrefix(s); err == nil {
		text, _ = strconv.Unquote(prefix)
		return text, strings.TrimPrefix(s[len(prefix):], " ")
	}
	text, rest, _ = strings.Cut(s, " ")
	return text, rest
}

func (v value) get(name string) string {
	for _, a := range v.attrs {
		if a.name == name {
			return a.text
		}
	}
	return ""
}

func (v *value) add(name, text string) { v.attrs = append(v.attrs, attr{name, text}) }

// describe is what the metadata of an entry alone tells.
func describe(e host.Entry) value {
	v := value{kind: string(e.Type)}
	if e.Type != host.Link {
		v.add("mode", fmt.Sprintf("%04o", e.Mode))
	}
	v.add("owner", fmt.Sprintf("%d:%d", e.UID, e.GID))
	if e.Type == host.File {
		v.add("links", strconv.FormatUint(uint64(e.Links), 10))
	}
	if e.MountRoot {
		v.add("mounted", "yes")
	}
	return v
}

// difference names, attribute by attribute, how now differs from the recorded, in
// the aspects that count; nothing is observed where they do not differ. What is shown
// is cut, so that two different values may look the same.
func difference(recorded, now string, counts func(aspect string) bool) (observed, supported string) {
	whole := recorded == absent || now == absent || kindOf(recorded) != kindOf(now)
	switch {
	case whole && !counts(onlyPresence):
		return "", ""
	case now == absent:
		return "missing", "present"
	case recorded == absent:
		return "new", absent
	}
	was, is := parseValue(recorded), parseValue(now)
	if was.kind != is.kind {
		return is.kind, was.kind
	}
	if a, b := phrase("mounted", is.get("mounted")), phrase("mounted", was.get("mounted")); a != b && counts(onlyPresence) {
		return a, b // whatever else differs is the other's
	}
	var o, s []string
	for _, name := range attributeNames(was, is) {
		if a, b := was.get(name), is.get(name); a != b && name != "mounted" && counts(aspectOf(name)) {
			o, s = append(o, phrase(name, b)), append(s, phrase(name, a))
		}
	}
	return strings.Join(o, ", "), strings.Join(s, ", ")
}

func kindOf(recorded string) string {
	kind, _, _ := strings.Cut(recorded, " ")
	return kind
}

// aspectOf is what a rule can be narrowed to that the attribute belongs to.
func aspectOf(attribute string) string {
	switch attribute {
	case "mode", "owner":
		return onlyPermissions
	case "mounted":
		return onlyPresence
	default:
		return ""
	}
}

func attributeNames(vs ...value) []string {
	var names []string
	seen := map[string]bool{}
	for _, v := range vs {
		for _, a := range v.attrs {
			if !seen[a.name] {
				seen[a.name] = true
				names = append(names, a.name)
			}
		}
	}
	return names
}

// shownDigest is how much of a digest tells two contents apart for people.
const shownDigest = 12

func phrase(name, text string) string {
	switch name {
	case "sha256":
		if text == "" {
			return "no content"
		}
		return "content sha256:" + text[:min(len(text), shownDigest)]
	case "links":
		if text == "1" {
			return "1 hard link"
		}
		return text + " hard links"
	case "mounted":
		if text == "" {
			return "not mounted over"
		}
		return "mounted over"
	case "to":
		return "link to " + text
	case "authority", "signer":
		if text == "" || text == notSigned {
			return name + " unknown"
		}
		return name + " key " + shownKeys(text)
	case "from", "until":
		return "valid " + name + " " + text
	default:
		if text == "" {
			return "no " + name
		}
		return name + " " + text
	}
}

// fact is a baseline's view of a value.
func fact(v value, local bool) drift.Fact {
	return drift.Fact{Value: v.String(), Local: local}
}

// shownKeys shows every key of a bundle, for one more is another bundle.
func shownKeys(text string) string {
	keys := strings.Split(text, "+")
	for i, key := range keys {
		keys[i] = key[:min(len(key), shownDigest)]
	}
	return strings.Join(keys, "+")
}
