package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/export/kube"
)

// Every rule of the catalogue belongs to a check, and an operation to the
// condition of one of the checks that detect it.
func TestCatalogueFitsTheChecks(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range areas() {
		if !slices.Contains(catalog.Conditions[:], a.condition) {
			t.Errorf("the catalogue does not know %s", a.condition)
		}
	}
	for _, condition := range conditions() {
		if !slices.Contains(kube.ConditionTypes(), condition) {
			t.Errorf("the exporter would not take %s off a Node", condition)
		}
	}
	for _, name := range c.Names() {
		p, err := c.Profile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := &session{profile: p}
		if err := p.CheckRules(conditions()); err != nil {
			t.Error(err)
		}
		if _, err := s.checks(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// forbidden says which package may not import which, and why.
var forbidden = []struct{ from, to, why string }{
	{"internal/drift", "", "the vocabulary imports the standard library only"},
	{"internal/node", "", "the Node as plain values"},
	{"internal/upgrade", "check", "what an upgrade is, the findings say"},
	{"internal/upgrade", "internal/catalog", "what an upgrade is, the findings say"},
	{"internal/host", "internal/catalog", "the host knows nothing of what is documented"},
	{"internal/baseline", "internal/catalog", "a baseline knows nothing of what is documented"},
	{"internal/catalog", "check", "the catalogue knows no check"},
	{"check", "check", "checks do not know each other"},
	{"check", "internal/catalog", "a check owns its rules; cmd hands them over"},
	{"check", "internal/config", "a check is built from values"},
	{"check", "internal/agent", "the agent drives checks"},
	{"check", "internal/journal", "the agent journals, checks observe"},
	{"internal/armed", "check", "sources that checks share know none of them"},
	{"internal/watch", "check", "sources that checks share know none of them"},
	{"internal/units", "check", "sources that checks share know none of them"},
	{"internal/probe", "check", "sources that checks share know none of them"},
	{"internal/bpf", "check", "sources that checks share know none of them"},
	{"internal/agent", "check", "the loop drives whatever it is given"},
	{"internal/agent", "internal/export", "the loop hands reports to whoever asked for them"},
	{"check", "internal/export", "a check reports observations, not output"},
	{"internal/export", "check", "exporters see reports only"},
	{"internal/export", "internal/catalog", "exporters see reports only"},
}

var checkPackages = []string{"internal/sysctl", "internal/paths", "internal/firewall", "internal/components", "internal/volumes", "internal/identity", "internal/hostconfig"}

const module = "github.com/nodeguard/nodeguard/"

// TestDependencyDirection holds the house together.
func TestDependencyDirection(t *testing.T) {
	imports := importsOf(t)
	for _, rule := range forbidden {
		for pkg, list := range imports {
			if !matches(pkg, rule.from) {
				continue
			}
			for _, imported := range list {
				if imported != pkg && violates(imported, rule.to) {
					t.Errorf("%s imports %s: %s", pkg, imported, rule.why)
				}
			}
		}
	}
	for _, pkg := range checkPackages {
		for _, imported := range imports[pkg] {
			for _, kubernetes := range []string{"k8s.io/client-go", "k8s.io/api", "k8s.io/apimachinery"} {
				if strings.HasPrefix(imported, kubernetes) {
					t.Errorf("%s imports %s: what a check needs of the cluster comes through internal/node", pkg, imported)
				}
			}
		}
	}
}

func matches(pkg, pattern string) bool {
	if pattern == "check" {
		return slices.Contains(checkPackages, pkg)
	}
	return pkg == pattern || strings.HasPrefix(pkg, pattern+"/")
}

// violates tells of an import that the rule forbids; "" forbids all but the
// standard library, whose paths have no dot.
func violates(imported, to string) bool {
	if to == "" {
		first, _, _ := strings.Cut(imported, "/")
		return strings.HasPrefix(imported, "internal/") || strings.Contains(first, ".")
	}
	return matches(imported, to)
}

// importsOf lists the imports of every package, those of the module without its path.
func importsOf(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	imports := map[string][]string{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		for _, imported := range p.Imports {
			pkg := strings.TrimPrefix(p.ImportPath, module)
			imports[pkg] = append(imports[pkg], strings.TrimPrefix(imported, module))
		}
	}
	return imports
}

func TestDependencyDirectionSeesViolations(t *testing.T) {
	for _, c := range []struct {
		imported, to string
		want         bool
	}{
		{"github.com/spf13/cobra", "", true}, {"internal/host", "", true}, {"encoding/json", "", false},
		{"internal/sysctl", "check", true}, {"internal/export/text", "internal/export", true}, {"internal/exporter", "internal/export", false},
	} {
		if got := violates(c.imported, c.to); got != c.want {
			t.Errorf("violates(%q, %q) = %t", c.imported, c.to, got)
		}
	}
}

var fuzzTarget = regexp.MustCompile(`(?m)^func (Fuzz\w+)\(`)

// Each fuzz target starts from inputs that fuzzing found before: hack/corpus.sh keeps them.
func TestEveryFuzzTargetHasACorpus(t *testing.T) {
	files, err := filepath.Glob("../../internal/*/*_test.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files: %v", len(files), err)
	}
	targets := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range fuzzTarget.FindAllSubmatch(text, -1) {
			targets++
			corpus := filepath.Join(filepath.Dir(file), "testdata/fuzz", string(target[1]))
			if inputs, err := os.ReadDir(corpus); err != nil || len(inputs) == 0 {
				t.Errorf("%s is empty: run make fuzz and hack/corpus.sh", corpus)
			}
		}
	}
	if targets < 39 {
		t.Errorf("%d targets: some are elsewhere", targets)
	}
}
