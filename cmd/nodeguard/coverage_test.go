package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
)

var updateDetected = flag.Bool("update-detected", false, "write which operations the scripts have shown")

// shown collects which operations the scripts have shown: raised in one report, and
// looked for in vain in another one of the same script.
type shown struct {
	mu            sync.Mutex
	raised, clean map[string]map[string]bool // by script
	last          map[string]outcome         // by script
	traps         map[string]bool            // operations whose false alarms a script has
}

// outcome is what a report says of each operation.
type outcome map[string]string

func newShown() *shown {
	return &shown{raised: map[string]map[string]bool{}, clean: map[string]map[string]bool{}, last: map[string]outcome{}, traps: map[string]bool{}}
}

// add takes a report of `check -o json`.
func (s *shown) add(script string, report []byte) error {
	var r drift.Report
	if err := json.Unmarshal(report, &r); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	c, err := catalog.Load()
	if err != nil {
		return err
	}
	p, err := c.Profile(r.Profile)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.raised[script] == nil {
		s.raised[script], s.clean[script] = map[string]bool{}, map[string]bool{}
	}
	found, of := map[string]bool{}, outcome{}
	s.last[script] = of
	for _, u := range r.Unknown {
		found[u.Operation], of[u.Operation] = true, "unknown" // nobody could look
	}
	for _, f := range r.Findings {
		found[f.Operation], s.raised[script][f.Operation] = true, true
		of[f.Operation] = worse(of[f.Operation], string(f.Severity))
	}
	if found[""] {
		return nil
	}
	judged := map[string]bool{}
	for _, check := range r.Checks {
		judged[check.Name] = check.Error == ""
	}
	for _, o := range p.Operations {
		for check := range o.Rules {
			if judged[check] && !found[o.ID] {
				s.clean[script][o.ID], of[o.ID] = true, "quiet"
			}
		}
	}
	return nil
}

// both are the operations with a pair.
func (s *shown) both() []string {
	out := map[string]bool{}
	for script, raised := range s.raised {
		for id := range raised {
			if s.clean[script][id] {
				out[id] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(out))
}

// live is what tests on a real kernel have shown, for what no tree of files can show.
const live = "testdata/live"

// showLive compares what a live test's reports show with its golden file.
func showLive(t *testing.T, name string, reports ...[]byte) {
	t.Helper()
	s := newShown()
	for _, r := range reports {
		if err := s.add(name, r); err != nil {
			t.Fatal(err)
		}
	}
	got, file := strings.Join(s.both(), "\n")+"\n", filepath.Join(live, name+".txt")
	if os.Getenv("NODEGUARD_UPDATE") != "" { // flags do not reach a test in namespaces
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != got {
		t.Errorf("%s is not what the test shows, which is %q (NODEGUARD_UPDATE=1 writes it)", file, got)
	}
}

// shownLive reads the golden files of live tests.
func shownLive(t *testing.T) (ids []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(live, "*.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, strings.Fields(string(data))...)
	}
	return ids
}

// compare checks that the list is what the tests show.
func (s *shown) compare(t *testing.T) {
	t.Helper()
	file := filepath.Join("..", "..", "internal", "catalog", "detected.txt")
	want := "# Operations that the tests have seen raised and not raised. Written by\n# go test ./cmd/nodeguard -run TestScripts -update-detected\n"
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	all := append(s.both(), shownLive(t)...)
	slices.Sort(all)
	for _, id := range slices.Compact(all) {
		if _, documented := c.Find(id); documented {
			want += id + "\n"
		}
	}
	if *updateDetected {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, err := os.ReadFile(file); err != nil || string(got) != want {
		t.Errorf("%s is not what the scripts show: go test ./cmd/nodeguard -run TestScripts -update-detected", file)
	}
}

// notShown are operations whose rules run in the tests of their package only, and why.
var notShown = map[string]string{
	"ack.storage.nas-deleted":    "it takes an NFS server that stops to answer; volumes.TestAnswers has its answers",
	"upstream.host.api-endpoint": "the agent asks three times in 90 s; hostconfig.TestProbesCountFailures has it",
	"upstream.host.cluster-dns":  "the agent asks three times in 90 s; hostconfig.TestClusterDNSIsAsked has it",
}

// Every known operation is in the catalogue, with rules that the tests have shown
// or with the reason why a node cannot tell; and the page says how many.
func TestCoverage(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	list, err := coverageOf(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, of := range list {
		for _, id := range of.Untested {
			if notShown[id] == "" {
				t.Errorf("%s: no script shows %s", of.Profile, id)
			}
		}
	}
	data, err := os.ReadFile(filepath.Join("..", "..", "internal", "catalog", "testdata", "operations.txt"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if id, _, _ := strings.Cut(line, " "); !strings.HasPrefix(id, "#") {
			if _, ok := c.Find(id); !ok {
				t.Errorf("%s is not in the catalogue", id)
			}
		}
	}
}

// What a node sees of an operation that it cannot tell is an operation, too.
func TestSymptomsAreOperations(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range c.Names() {
		p, err := c.Own(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Operations {
			if o.Unseen == nil || o.Unseen.Symptom == "" {
				continue
			}
			if s, ok := c.Find(o.Unseen.Symptom); !ok || s.Unseen != nil {
				t.Errorf("%s: the symptom %s is no operation that a node can tell", o.ID, o.Unseen.Symptom)
			}
		}
	}
}

// docs/coverage.md says how much of each provider's documents a node can tell, and of
// the rest why not.
func TestCoveragePage(t *testing.T) {
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	list, err := coverageOf(c)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("# Coverage\n\nWhat the providers document and nodeguard tells. *Detected* means that the tests have seen it raised on a host out of\n" +
		"support and not raised on one in support; *by symptom*, that the node sees what follows from it; *not visible*, that only\n" +
		"the API of the cluster or of the cloud shows it. *Not shown* has rules whose tests stand in their package alone.\n" +
		"`nodeguard operations --coverage` prints the same table.\n\n" +
		"| profile | documented | detected | by symptom | not visible | not shown |\n|---|---|---|---|---|---|\n")
	for _, of := range list {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d |\n", of.Profile, of.Documented, of.Detected, of.BySymptom, of.NotVisible, len(of.Untested))
	}
	b.WriteString("\n## What a node cannot tell\n\n| operation | what was done | why a node cannot tell | what the node sees |\n|---|---|---|---|\n")
	for _, name := range c.Names() {
		p, err := c.Own(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range p.Operations {
			if u := o.Unseen; u != nil {
				symptom := ""
				if u.Symptom != "" {
					symptom = "`" + u.Symptom + "`"
				}
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", o.ID, o.Title.En, u.Reason.En, symptom)
			}
		}
	}
	b.WriteString("\n## Not shown\n\n| operation | why |\n|---|---|\n")
	for _, id := range slices.Sorted(maps.Keys(notShown)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", id, notShown[id])
	}
	file := filepath.Join("..", "..", "docs", "coverage.md")
	if *updateDocs {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got, err := os.ReadFile(file); err != nil || string(got) != b.String() {
		t.Errorf("%s is not what the catalogue says: go test ./cmd/nodeguard -run TestCoveragePage -update-docs", file)
	}
}
