package text

import (
	"io"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/duration"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/fleet"
)

// Fleet writes a row for each Node, in the order given.
func Fleet(w io.Writer, rows []fleet.Row, wide bool, now time.Time) error {
	header := []string{"NODE", "SUPPORT", "CRITICAL", "WARNING", "SINCE", "PROFILE"}
	if wide {
		header = append(header, "REBUILD", "HEARTBEAT", "CONDITIONS")
	}
	table := [][]string{append(header, "FIRST")}
	for _, r := range rows {
		table = append(table, fleetRow(r, wide, now))
	}
	return Columns(w, table)
}

func fleetRow(r fleet.Row, wide bool, now time.Time) []string {
	row := []string{r.Node, string(r.Support), r.Critical.String(), r.Warning.String(), ago(r.Since, now), dash(r.Profile)}
	if r.Support == fleet.None {
		row[2], row[3] = "-", "-"
	}
	if wide {
		advised := "-"
		if r.RebuildAdvised {
			advised = "advised"
		}
		row = append(row, advised, ago(r.Heartbeat, now), dash(strings.Join(drifted(r.Conditions), ",")))
	}
	return append(row, dash(r.First))
}

// drifted are the families that are True.
func drifted(conditions []fleet.Condition) (out []string) {
	for _, c := range conditions {
		if c.Status == drift.True && c.Type != drift.NodeOutOfSupport && c.Type != drift.NodeRebuildAdvised {
			out = append(out, c.Type)
		}
	}
	return out
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration.HumanDuration(now.Sub(t))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// Node writes the conditions of one Node, and the findings with their recovery.
func Node(w io.Writer, row fleet.Row, r drift.Report, o Options, wide bool, now time.Time) error {
	p := printer{w: w, o: o, wide: wide}
	p.columns([][]string{
		{"NODE", "SUPPORT", "SINCE", "PROFILE", "HEARTBEAT"},
		{row.Node, string(row.Support), ago(row.Since, now), dash(r.Profile), ago(row.Heartbeat, now)},
	})
	if len(r.Conditions) > 0 {
		conditions := [][]string{{"CONDITION", "STATUS", "REASON", "SINCE"}}
		for _, c := range r.Conditions {
			conditions = append(conditions, []string{c.Type, string(c.Status), c.Reason, ago(c.LastTransitionTime, now)})
		}
		p.line("")
		p.columns(conditions)
	}
	p.findings(r.Findings)
	p.unknown(r.Unknown)
	return p.err
}
