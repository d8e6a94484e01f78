package consumers

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// marked finds the code blocks of the page that have a name.
var marked = regexp.MustCompile("(?s)<!-- snippet: ([a-z-]+) -->\n```[a-z]+\n(.*?)```\n")

func page(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/consumers.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func snippets(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, m := range marked.FindAllStringSubmatch(page(t), -1) {
		if _, twice := out[m[1]]; twice {
			t.Fatalf("two snippets are named %s", m[1])
		}
		out[m[1]] = m[2]
	}
	return out
}

func snippet(t *testing.T, name string) string {
	t.Helper()
	text, ok := snippets(t)[name]
	if !ok {
		t.Fatalf("docs/consumers.md has no snippet named %s", name)
	}
	return text
}
