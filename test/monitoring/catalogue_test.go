package monitoring

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
)

var update = flag.Bool("update", false, "write the files that are made: the catalogue of the mixin, what it renders, tables of docs/runbooks")

const (
	deployed = "../../deploy/monitoring/"
	runbooks = "../../docs/runbooks/"
)

// documented is what the mixin knows of the catalogue.
type documented struct {
	Conditions []string    `json:"conditions"`
	Operations []operation `json:"operations"`
}

// operation is what an alert says of one.
type operation struct {
	Operation string `json:"operation"`
	Condition string `json:"condition"`
	Severity  string `json:"severity"`
	Title     string `json:"title"`
	Impact    string `json:"impact"`
	Recovery  string `json:"recovery"`
	Class     string `json:"class"`

	commands []string
}

// placeholder stands for what only the finding knows.
var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// catalogued are the conditions and the operations that a node can tell, of all profiles.
func catalogued(t *testing.T) documented {
	t.Helper()
	c, err := catalog.Load()
	if err != nil {
		t.Fatal(err)
	}
	out := documented{Conditions: catalog.Conditions[:]}
	for _, name := range c.Names() {
		own, err := c.Own(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range own.Operations {
			if o.Unseen != nil {
				continue
			}
			said := o.In(drift.English)
			out.Operations = append(out.Operations, operation{
				Operation: o.ID, Condition: o.Condition, Severity: string(said.Severity), Title: said.Title, Impact: said.Impact,
				Recovery: placeholder.ReplaceAllString(said.Recovery.Text, "<$1>"), Class: string(said.Recovery.Class),
				commands: said.Recovery.Commands,
			})
		}
	}
	slices.SortFunc(out.Operations, func(a, b operation) int { return strings.Compare(a.Operation, b.Operation) })
	return out
}

// made compares a file that is made with what it should be, or writes it.
func made(t *testing.T, file, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("%s is not what it is made from (-want +got); go test ./monitoring -update writes it:\n%.2000s", file, diff)
	}
}

// The mixin says of every operation what the catalogue says.
func TestCatalogue(t *testing.T) {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(catalogued(t)); err != nil {
		t.Fatal(err)
	}
	made(t, deployed+"mixin/catalogue.json", out.String())
}
