package prom

import (
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	page       = "../../../docs/metrics.md"
	tableBegin = "<!-- table: go test ./internal/export/prom -update -->\n"
	tableEnd   = "<!-- end of table -->\n"
)

// docs/metrics.md has the table of the descriptors.
func TestDocs(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), tableBegin)
	_, after, closed := strings.Cut(rest, tableEnd)
	if !ok || !closed {
		t.Fatalf("%s has no place for the table", page)
	}
	want := before + tableBegin + table() + tableEnd + after
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, string(data)); diff != "" {
		t.Errorf("%s is not what -update writes (-want +got):\n%s", page, diff)
	}
}

func table() string {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, m := range newMetrics().all() {
		labels := "–"
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "` `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, m.help)
	}
	return b.String()
}

// No metric is forgotten in the list that is described and documented.
func TestAllMetricsAreListed(t *testing.T) {
	if n := reflect.TypeFor[metrics]().NumField(); n != len(newMetrics().all()) {
		t.Errorf("%d metrics, %d listed", n, len(newMetrics().all()))
	}
}
