package text

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// table prints what is wrong first, each finding with its recovery under it.
func table(w io.Writer, r drift.Report, o Options, wide bool) error {
	p := printer{w: w, o: o, wide: wide}
	p.summary(r)
	p.findings(r.Findings)
	p.unknown(r.Unknown)
	if wide {
		p.checks(r)
	}
	return p.err
}

type printer struct {
	w    io.Writer
	o    Options
	wide bool
	err  error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format+"\n", args...)
	}
}

func (p *printer) columns(rows [][]string) {
	if p.err == nil {
		p.err = Columns(p.w, rows)
	}
}

// summary is one row about the node.
func (p *printer) summary(r drift.Report) {
	count := map[drift.Severity]int{}
	waived := 0
	for _, f := range r.Findings {
		if f.Waiver != nil {
			waived++
		} else {
			count[f.Severity]++
		}
	}
	rows := align([][]string{
		{"NODE", "PROFILE", "SUPPORT", "CRITICAL", "WARNING", "INFO", "WAIVED", "UNKNOWN"},
		{r.Node, r.Profile, support(r), strconv.Itoa(count[drift.Critical]), strconv.Itoa(count[drift.Warning]),
			strconv.Itoa(count[drift.Info]), strconv.Itoa(waived), strconv.Itoa(len(r.Unknown))},
	})
	p.line("%s", rows[0])
	p.line("%s", rows[1])
}

// support answers the question in one word.
func support(r drift.Report) string {
	switch {
	case r.Drifted():
		return "No"
	case r.Blind():
		return "Unknown"
	default:
		return "Yes"
	}
}

func (p *printer) findings(findings []drift.FindingReport) {
	if len(findings) == 0 {
		return
	}
	rows := [][]string{p.header()}
	for _, f := range findings {
		rows = append(rows, p.row(f))
	}
	lines := align(rows)
	p.line("\n%s", lines[0])
	for i, f := range findings {
		p.line("%s", p.paint(f, lines[i+1]))
		p.advice(f)
	}
}

func (p *printer) header() []string {
	if p.wide {
		return []string{"SEVERITY", "STATE", "OPERATION", "SUBJECT", "OBSERVED", "SUPPORTED", "CONDITION", "CLASS", "SINCE", "ID"}
	}
	return []string{"SEVERITY", "STATE", "OPERATION", "SUBJECT", "OBSERVED", "SUPPORTED"}
}

func (p *printer) row(f drift.FindingReport) []string {
	row := []string{string(f.Severity), string(f.State), f.Operation, f.Subject, f.Observed, f.Supported}
	if f.Waiver != nil {
		row[0] = "waived"
	}
	if p.wide {
		row = append(row, f.Condition, string(f.Recovery.Class), f.Since.UTC().Format(time.RFC3339), f.ID)
	}
	return row
}

const indent = "  "

// advice says under a finding what it breaks and how to recover.
func (p *printer) advice(f drift.FindingReport) {
	p.line(indent+"%s: %s", f.Title, f.Impact)
	if f.Folded > 0 {
		p.line(indent+p.say("Changed together with it: %d, as nodeguard baseline diff lists them", "随之变更：%d 项，可用 nodeguard baseline diff 查看"), f.Folded)
	}
	p.actor(f.Actor)
	if f.Waiver != nil {
		p.line(indent+p.say("Waived: %s", "已豁免：%s"), waived(f.Waiver))
		return
	}
	p.line(indent+p.say("Recovery: %s", "恢复：%s"), f.Recovery.Text)
	for _, c := range f.Recovery.Commands {
		p.line(indent+indent+"%s", p.bold("$ "+c))
	}
	if p.wide {
		p.line(indent+p.say("Source: %s, %s", "出处：%s，%s"), f.Source.Document, f.Source.Section)
	}
}

// actor says who did it and with what, where that is known.
func (p *printer) actor(a *drift.Actor) {
	if a == nil {
		return
	}
	p.line(indent+p.say("By: %s at %s", "操作者：%s，%s"), p.o.Language.Actor(*a), a.At.UTC().Format(time.RFC3339))
	if a.Command != "" && a.Command != a.Comm {
		p.line(indent+indent+p.say("command: %s", "命令：%s"), a.Command)
	}
}

func waived(w *drift.WaiverReport) string {
	parts := []string{w.Reason}
	if w.Owner != "" {
		parts = append(parts, w.Owner)
	}
	if w.Expires != nil {
		parts = append(parts, w.Expires.UTC().Format(time.RFC3339))
	}
	return strings.Join(parts, ", ")
}

func (p *printer) unknown(gaps []drift.UnknownReport) {
	if len(gaps) == 0 {
		return
	}
	rows := [][]string{{"UNKNOWN", "SUBJECT", "REASON", "HINT"}}
	for _, g := range gaps {
		rows = append(rows, []string{none(g.Operation), none(g.Subject), g.Reason, g.Hint})
	}
	p.line("")
	p.columns(rows)
}

func none(s string) string {
	if s == "" {
		return "<all>"
	}
	return s
}

func (p *printer) checks(r drift.Report) {
	rows := [][]string{{"CHECK", "STATUS", "TOOK", "ERROR"}}
	for _, c := range r.Checks {
		took := time.Duration(c.DurationSeconds * float64(time.Second)).Round(time.Microsecond)
		rows = append(rows, []string{c.Name, string(c.Status), took.String(), c.Error})
	}
	p.line("")
	p.columns(rows)
}

func (p *printer) say(en, zh string) string {
	if p.o.Language == drift.Chinese {
		return zh
	}
	return en
}

const (
	red, yellow, dim, bold, reset = "\x1b[31m", "\x1b[33m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
)

func (p *printer) paint(f drift.FindingReport, line string) string {
	switch {
	case !p.o.Color:
		return line
	case f.Waiver != nil || f.Severity == drift.Info:
		return dim + line + reset
	case f.Severity == drift.Critical:
		return red + line + reset
	default:
		return yellow + line + reset
	}
}

func (p *printer) bold(s string) string {
	if !p.o.Color {
		return s
	}
	return bold + s + reset
}
