package monitoring

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	operationsBegin = "<!-- operations -->\n"
	operationsEnd   = "<!-- /operations -->\n"
)

// Every alert has its page and every page its alert, and none is empty.
func TestRunbooks(t *testing.T) {
	var pages []string
	files, err := filepath.Glob(runbooks + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".md")
		pages = append(pages, name)
		page := read(t, file)
		if !strings.HasPrefix(page, "# "+name+"\n") {
			t.Errorf("%s begins with something else than its name", file)
		}
		for _, section := range []string{"Meaning", "Impact", "Diagnosis", "Recovery"} {
			_, text, ok := strings.Cut(page, "\n## "+section+"\n")
			text, _, _ = strings.Cut(text, "\n## ")
			if least := map[string]int{"Meaning": 80, "Impact": 80, "Diagnosis": 200, "Recovery": 150}[section]; !ok || len(strings.TrimSpace(text)) < least {
				t.Errorf("%s says next to nothing of %s", file, section)
			}
		}
	}
	want := alerts(t)
	slices.Sort(want)
	if diff := cmp.Diff(want, pages); diff != "" {
		t.Errorf("pages (-alerts +docs/runbooks):\n%s", diff)
	}
}

// Every condition has its page.
func TestConditionPages(t *testing.T) {
	for _, condition := range catalogued(t).Conditions {
		if page := read(t, "../../docs/conditions/"+condition+".md"); len(page) < 1000 {
			t.Errorf("the page of %s is nearly empty", condition)
		}
	}
}

// The page of a condition's alert lists the operations as the catalogue has them.
func TestRunbookOperations(t *testing.T) {
	for _, condition := range catalogued(t).Conditions {
		file := runbooks + "NodeGuard" + condition + ".md"
		before, rest, begun := strings.Cut(read(t, file), operationsBegin)
		_, after, ended := strings.Cut(rest, operationsEnd)
		if !begun || !ended {
			t.Errorf("%s has no place for the operations", file)
			continue
		}
		made(t, file, before+operationsBegin+operationsOf(t, condition)+operationsEnd+after)
	}
}

// operationsOf is a table for who is on call: what it breaks, and what to type.
func operationsOf(t *testing.T, condition string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("| operation | severity | impact | recovery | commands |\n|---|---|---|---|---|\n")
	for _, o := range catalogued(t).Operations {
		if o.Condition != condition {
			continue
		}
		var commands []string
		for _, command := range o.commands {
			commands = append(commands, "`"+strings.ReplaceAll(placeholder.ReplaceAllString(command, "<$1>"), "|", `\|`)+"`")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s (%s) | %s |\n", o.Operation, o.Severity, o.Impact, strings.ReplaceAll(o.Recovery, "<", `\<`), o.Class, strings.Join(commands, "<br>"))
	}
	return b.String()
}

// What a page shows as the output of nodeguard is what a test of nodeguard has seen
// it print; what it links to is there.
func TestRunbooksShowRealOutput(t *testing.T) {
	var printed strings.Builder
	scripts, err := filepath.Glob("../../cmd/nodeguard/testdata/script/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range scripts {
		printed.WriteString(read(t, file))
	}
	outputs := 0
	files, err := filepath.Glob(runbooks + "*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		page := read(t, file)
		for _, block := range regexp.MustCompile("(?s)```text\n(.*?)```").FindAllStringSubmatch(page, -1) {
			outputs++
			if !strings.Contains(printed.String(), "\n"+block[1]) {
				t.Errorf("%s: no test of cmd/nodeguard prints\n%s", file, block[1])
			}
		}
		for _, link := range regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(page, -1) {
			if _, err := os.Stat(filepath.Join(runbooks, link[1])); err != nil {
				t.Errorf("%s links to %v", file, err)
			}
		}
	}
	if outputs < 8 {
		t.Errorf("only %d pages show what nodeguard prints", outputs)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
