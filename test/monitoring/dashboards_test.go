package monitoring

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// dashboard is what the tests read of one.
type dashboard struct {
	UID, Title string
	Templating struct {
		List []struct {
			Name  string
			Type  string
			Query any
		}
	}
	Panels []panel
}

type panel struct {
	ID                       int
	Type, Title, Description string
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []struct {
		RefID, Expr    string
		Instant, Range bool
	}
	Transformations []struct {
		ID      string
		Options struct{ Include struct{ Names []string } }
	}
}

// dashboards are the committed ones, by the name of the file.
func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	out := map[string]dashboard{}
	files, err := filepath.Glob(deployed + "grafana/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(file)] = d
	}
	return out
}

// Grafana's own types are the judge: hack/grafana-schema.sh makes the schema of them.
func TestDashboardsAreValid(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/dashboard.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(deployed + "grafana/*.json")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := validates(schema, text); err != nil {
			t.Errorf("%s: %.3000v", file, err)
		}
		for _, typo := range [][2]string{ // the schema sees what is wrong, to the end of a panel
			{`"graphMode": "none"`, `"graphMode": "nothing"`}, {`"cellHeight"`, `"cellHight"`}, {`"drawStyle"`, `"drawnStyle"`},
			{`"legendFormat"`, `"legend_format"`}, {`"schemaVersion": 41`, `"schemaVersion": "41"`}, {`"mode": "absolute"`, `"mode": "abs"`},
		} {
			wrong := bytes.ReplaceAll(text, []byte(typo[0]), []byte(typo[1]))
			if bytes.Equal(wrong, text) || validates(schema, wrong) == nil {
				t.Errorf("%s is valid with %s for %s", file, typo[1], typo[0])
			}
		}
	}
}

func validates(schema *jsonschema.Schema, text []byte) error {
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// What the schema does not say: panels have ids and places of their own and say
// what they show, and every query is of the chosen data source and cluster.
func TestDashboardsAreComplete(t *testing.T) {
	for name, d := range dashboards(t) {
		variables := map[string]bool{}
		for _, v := range d.Templating.List {
			variables[v.Name] = true
		}
		if !variables["datasource"] || !variables["cluster"] {
			t.Errorf("%s has variables %v", name, variables)
		}
		ids := map[int]string{}
		taken := map[[2]int]string{}
		for _, p := range d.Panels {
			if other, ok := ids[p.ID]; ok {
				t.Errorf("%s: %s has the id of %s", name, p.Title, other)
			}
			ids[p.ID] = p.Title
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other, ok := taken[[2]int{x, y}]; ok || x > 23 {
						t.Fatalf("%s: %s lies on %q or beyond the edge", name, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Title == "" || p.Description == "" || len(p.Targets) == 0 {
				t.Errorf("%s: panel %d %q has no title, description or query", name, p.ID, p.Title)
			}
			for _, q := range p.Targets {
				if !strings.Contains(q.Expr, `=~"$cluster"`) {
					t.Errorf("%s: %s is of all clusters: %s", name, p.Title, q.Expr)
				}
			}
		}
	}
}

// What rules and dashboards ask for is what the agent has, or what a rule records.
func TestMetricsAreDocumented(t *testing.T) {
	known := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(nodeguard_\\w+)`").FindAllStringSubmatch(read(t, "../../docs/metrics.md"), -1) {
		known[m[1]] = true
	}
	var exprs []string
	for _, r := range rules(t) {
		if r.Record != "" {
			known[r.Record] = true
		}
		exprs = append(exprs, r.Expr)
	}
	for _, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			exprs = append(exprs, fmt.Sprint(v.Query))
		}
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				exprs = append(exprs, q.Expr)
			}
		}
	}
	for _, expr := range exprs {
		for _, name := range regexp.MustCompile(`nodeguard[_:][\w:]+`).FindAllString(expr, -1) {
			if !known[name] && !known[strings.TrimSuffix(name, "_bucket")] {
				t.Errorf("there is no metric %s, which is asked for: %s", name, expr)
			}
		}
	}
}
