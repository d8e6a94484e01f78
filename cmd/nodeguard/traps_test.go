package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/nodeguard/nodeguard/internal/catalog"
)

// trap wants that the report before it looked for the operation and found no more than
// said: nothing, something that is only info, or that nobody can know. The script says
// in a comment what looks like the operation there and is not.
func trap(ts *testscript.TestScript, seen *shown, args []string) {
	want := "quiet"
	if len(args) == 2 {
		want = args[1]
	}
	if len(args) == 0 || len(args) > 2 || (want != "quiet" && want != "info" && want != "unknown") {
		ts.Fatalf("usage: trap OPERATION [info|unknown]")
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if got := seen.last[ts.Name()][args[0]]; got != want {
		ts.Fatalf("%s is %q in the last report, want %q", args[0], got, want)
	}
	seen.traps[args[0]] = true
}

// worse is the graver one of what two findings of an operation say.
func worse(a, b string) string {
	for _, grave := range []string{"critical", "warning", "info"} {
		if a == grave || b == grave {
			return grave
		}
	}
	return b
}

// trapped checks that each operation that is known for false alarms has a case: a
// script with `trap`, or the test that testdata/traps names, which takes more than
// the tree of a host.
func (s *shown) trapped(t *testing.T) {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	tests := trapTests(t)
	for _, id := range listed(t, filepath.Join("..", "..", "internal", "catalog", "testdata", "traps.txt")) {
		switch o, ok := c.Find(id); {
		case !ok || o.Unseen != nil:
			t.Errorf("%s has traps, and no rules", id)
		case !s.traps[id] && tests[id] == "":
			t.Errorf("%s: no script and no test has a case of what looks like it and is not", id)
		}
	}
}

// trapTests are the tests that testdata/traps names, by operation; each of them is there.
func trapTests(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", "traps", "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, file := range files {
		for _, line := range listed(t, file) {
			id, test, _ := strings.Cut(line, " ")
			out[id] = test
			if !testStands(t, test) {
				t.Errorf("%s: there is no test %s", file, test)
			}
		}
	}
	return out
}

// testStands tells whether a test like internal/volumes.TestRenewed, or one of its
// cases like internal/volumes.TestRenewed/the_name, is in the tree.
func testStands(t *testing.T, test string) bool {
	t.Helper()
	dir, name, _ := strings.Cut(test, ".")
	name, part, _ := strings.Cut(name, "/")
	files, err := filepath.Glob(filepath.Join("..", "..", filepath.FromSlash(dir), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	head := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(t \*testing\.T\)`)
	for _, file := range files {
		if data, err := os.ReadFile(file); err == nil && name != "" && head.Match(data) && strings.Contains(string(data), strings.ReplaceAll(part, "_", " ")) {
			return true
		}
	}
	return false
}

// listed are those of the file that are no comment.
func listed(t *testing.T, file string) (out []string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		if line := scanner.Text(); line != "" && !strings.HasPrefix(line, "#") {
			out = append(out, line)
		}
	}
	return out
}
