package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	namedTest    = regexp.MustCompile("`((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)`")
	declaredTest = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)[A-Z][A-Za-z0-9]*)\(`)
)

// Every test that the pages about faults and security promise is there, and every row of
// their tables that names none says why.
func TestPromisedTestsExist(t *testing.T) {
	top := filepath.Join("..", "..")
	files, err := exec.Command("find", top, "-name", "*_test.go", "-not", "-path", "*/node_modules/*").Output()
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, name := range strings.Fields(string(files)) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range declaredTest.FindAllSubmatch(data, -1) {
			there[string(m[1])] = true
		}
	}
	for _, page := range []string{"faults.md", "security.md"} {
		data, err := os.ReadFile(filepath.Join(top, "docs", page))
		if err != nil {
			t.Fatal(err)
		}
		named := namedTest.FindAllSubmatch(data, -1)
		if len(named) < 20 {
			t.Errorf("%s names %d tests", page, len(named))
		}
		for _, m := range named {
			if !there[string(m[1])] {
				t.Errorf("%s promises %s, which there is not", page, m[1])
			}
		}
		for line := range strings.Lines(string(data)) {
			if strings.HasPrefix(line, "| ") && !namedTest.MatchString(line) && !strings.Contains(line, "not tested:") && !strings.Contains(line, "| test") {
				t.Errorf("%s: no test and no reason in %s", page, line)
			}
		}
	}
}
