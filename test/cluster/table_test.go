//go:build e2e

package cluster

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"
)

// row is what was seen of one change.
type row struct {
	scenario, what, condition string
	raised, cleared           time.Duration
}

var table []*row

// note adds a row and returns it, for what comes later.
func note(t testing.TB, what, condition string, raised, cleared time.Duration) *row {
	scenario, _, _ := strings.Cut(strings.TrimPrefix(t.Name(), "Test"), "/")
	r := &row{scenario, what, condition, raised, cleared}
	table = append(table, r)
	return r
}

// printTable prints each change with the time from its command to the condition
// at a watcher of the API.
func printTable(w io.Writer) {
	if len(table) == 0 {
		return
	}
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(out, "SCENARIO\tCHANGE\tCONDITION\tDETECTED\tCLEARED")
	var raised []time.Duration
	for _, r := range table {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", r.scenario, r.what, r.condition, rounded(r.raised), rounded(r.cleared))
		if r.raised > 0 {
			raised = append(raised, r.raised)
		}
	}
	_ = out.Flush()
	slices.Sort(raised)
	if len(raised) > 0 {
		fmt.Fprintf(w, "%d changes detected, median %v, slowest %v, the command itself included\n", len(raised), rounded(raised[len(raised)/2]), rounded(raised[len(raised)-1]))
	}
}

func rounded(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return strings.TrimSuffix(d.Round(time.Millisecond).String(), "0s")
}
