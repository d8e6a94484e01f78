package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// historyPrinter prints happenings, all at once or as they come.
type historyPrinter struct {
	w      io.Writer
	format string
	follow bool
	rows   *text.Stream
	headed bool
}

func newHistoryPrinter(w io.Writer, format string, follow bool) *historyPrinter {
	return &historyPrinter{w: w, format: format, follow: follow, rows: text.NewStream(w)}
}

func (p *historyPrinter) print(batch []happening) error {
	switch p.format {
	case "json", "yaml":
		return p.data(batch)
	}
	var rows [][]string
	if !p.headed {
		rows, p.headed = append(rows, historyHeader(p.format)), true
	}
	for _, h := range batch {
		rows = append(rows, h.row(p.format))
	}
	return p.rows.Rows(rows...)
}

// data prints one list, or what comes one by one: JSON lines, YAML documents.
func (p *historyPrinter) data(batch []happening) error {
	if !p.follow {
		if batch == nil {
			batch = []happening{}
		}
		if p.format == "yaml" {
			return text.YAML(p.w, batch)
		}
		return text.JSON(p.w, batch)
	}
	lines := json.NewEncoder(p.w)
	lines.SetEscapeHTML(false)
	for _, h := range batch {
		if p.format == "json" {
			if err := lines.Encode(h); err != nil {
				return err
			}
			continue
		}
		if _, err := io.WriteString(p.w, "---\n"); err != nil {
			return err
		}
		if err := text.YAML(p.w, h); err != nil {
			return err
		}
	}
	return nil
}

func historyHeader(format string) []string {
	if format == "wide" {
		return []string{"WHEN", "EVENT", "SEVERITY", "STATE", "OPERATION", "SUBJECT", "OBSERVED", "SUPPORTED", "LASTED", "BY", "ID", "DETAIL"}
	}
	return []string{"WHEN", "EVENT", "OPERATION", "SUBJECT", "OBSERVED", "BY", "DETAIL"}
}

func (h happening) row(format string) []string {
	f := drift.FindingReport{}
	if h.Finding != nil {
		f = *h.Finding
	} else if h.AboutBlindness() {
		f.Subject = h.Condition()
	}
	row := []string{h.At.UTC().Format(time.RFC3339), string(h.Event), f.Operation, f.Subject, f.Observed, h.by(false), h.detail()}
	if format == "wide" {
		row = []string{h.At.UTC().Format(time.RFC3339), string(h.Event), string(f.Severity), string(f.State), f.Operation, f.Subject,
			f.Observed, f.Supported, h.lasted(), h.by(true), f.ID, h.detail()}
	}
	for i, cell := range row[:len(row)-1] {
		row[i] = cmp.Or(visible(cell), "-")
	}
	row[len(row)-1] = visible(row[len(row)-1])
	return row
}

// visible is text that a journal should hold already as it can be shown: whatever is in
// the file, no terminal is told what to do.
func visible(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return drift.Printable(s)
}

func (h happening) lasted() string {
	if h.LastedSeconds == nil {
		return ""
	}
	return time.Duration(*h.LastedSeconds * float64(time.Second)).Round(time.Second).String()
}

// by names who did what is told: that of a finding's end is nobody who is known.
func (h happening) by(wide bool) string {
	if h.Finding == nil || h.Finding.Actor == nil || h.Event != journal.Raised && h.Event != journal.Attributed && h.Event != journal.Carried {
		return ""
	}
	a := *h.Finding.Actor
	if !wide {
		return strings.TrimSpace(fmt.Sprintf("%s(%d) %s", a.Comm, a.PID, a.Pod))
	}
	parts := []string{fmt.Sprintf("%s (pid %d, uid %d%s)", cmp.Or(a.Command, a.Exe, a.Comm), a.PID, a.UID, login(a))}
	if len(a.Parents) > 0 {
		parts = append(parts, "under "+ancestry(a))
	}
	if a.Pod != "" || a.Container != "" {
		parts = append(parts, "in "+strings.Trim(a.Pod+"/"+a.Container, "/"))
	}
	return strings.Join(parts, " ")
}

func login(a drift.Actor) string {
	if a.LoginUID == drift.NoLogin {
		return ""
	}
	return fmt.Sprintf(", login %d", a.LoginUID)
}

// detail is what there is to say beside the finding.
func (h happening) detail() string {
	switch {
	case h.Finding != nil && h.Finding.Waiver != nil && h.Event != journal.Cleared:
		w := h.Finding.Waiver
		parts := []string{"waived: " + w.Reason}
		if w.Owner != "" {
			parts = append(parts, w.Owner)
		}
		if w.Expires != nil {
			parts = append(parts, "until "+w.Expires.UTC().Format(time.RFC3339))
		}
		return strings.Join(parts, ", ")
	case h.AboutBlindness():
		_, why, _ := strings.Cut(h.Detail, ": ")
		return why
	default:
		return h.Detail
	}
}
