package text

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/fleet"
)

const (
	// lineHead is how much of a line everybody shows: node-problem-detector cuts the
	// output of a plug-in there.
	lineHead = 80
	lineMax  = 1024
)

// Line writes the report as one line whose first 80 bytes say the most severe finding.
func Line(w io.Writer, r drift.Report, o Options) error {
	_, err := fmt.Fprintln(w, o.line(r))
	return err
}

func (o Options) line(r drift.Report) string {
	p := printer{o: o}
	counting := slices.DeleteFunc(slices.Clone(r.Findings), func(f drift.FindingReport) bool { return !f.Counts() })
	slices.SortStableFunc(counting, func(a, b drift.FindingReport) int { return urgency(a) - urgency(b) })
	var said []string
	switch {
	case len(counting) > 0:
		said = append(said, p.head(counting[0]))
		for _, f := range counting[1:] {
			said = append(said, p.short(f))
		}
		said = append(said, p.gaps(r)...)
	case r.Blind():
		said = p.gaps(r)
		said[0] = fit("unknown: "+said[0], lineHead)
	default:
		return fmt.Sprintf(p.say("in support (profile %s)", "在支持范围内（规则集 %s）"), r.Profile)
	}
	return joined(said, p.say(" (+%d more)", "（另有 %d 项）"))
}

// gaps are what could not be looked at.
func (p *printer) gaps(r drift.Report) (out []string) {
	for _, g := range r.Unknown {
		out = append(out, fleet.Neutral(p.o.Language.Gap(g)))
	}
	if len(out) == 0 && r.Blind() {
		out = append(out, p.say("cannot tell", "无法判断"))
	}
	return out
}

func urgency(f drift.FindingReport) int {
	rank := map[drift.Severity]int{drift.Critical: 0, drift.Warning: 2}[f.Severity]
	if f.State == drift.Pending {
		rank++
	}
	return rank
}

// short is a finding in one clause that begins with what counts.
func (p *printer) short(f drift.FindingReport) string {
	return p.upToSupported(f, f.Subject) + p.supported(f)
}

func (p *printer) upToSupported(f drift.FindingReport, subject string) string {
	state := ""
	if f.State == drift.Pending {
		state = p.say(" (pending)", "（待生效）")
	}
	return fleet.Neutral(fmt.Sprintf(p.say("%s %s%s: %s is %s", "%s %s%s：%s 为 %s"), f.Severity, f.Operation, state, subject, f.Observed))
}

func (p *printer) supported(f drift.FindingReport) string {
	if f.Supported == "" {
		return ""
	}
	return fleet.Neutral(fmt.Sprintf(p.say(", supported %s", "，支持 %s"), f.Supported))
}

// head is the clause in the bytes that everybody shows: rather without what is
// supported, and then with less of the subject, than cut off.
func (p *printer) head(f drift.FindingReport) string {
	if whole := p.short(f); len(whole) <= lineHead {
		return whole
	}
	whole := p.upToSupported(f, f.Subject)
	if excess := len(whole) - lineHead; excess > 0 {
		whole = p.upToSupported(f, elided(f.Subject, len(f.Subject)-excess))
	}
	return fit(whole, lineHead)
}

const ellipsis = "..."

// elided leaves out the middle: a path says most at its ends.
func elided(s string, limit int) string {
	keep := max(limit-len(ellipsis), 8)
	if len(s) <= keep+len(ellipsis) {
		return s
	}
	end := len(s) - (keep - keep/2)
	for end < len(s) && !utf8.RuneStart(s[end]) {
		end++
	}
	return fit(s, keep/2) + ellipsis + s[end:]
}

// fit cuts between characters.
func fit(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

// joined is as many clauses as there is room for.
func joined(clauses []string, more string) string {
	all := strings.Join(clauses, "; ")
	for kept := len(clauses) - 1; kept > 0 && len(all) > lineMax; kept-- {
		all = strings.Join(clauses[:kept], "; ") + fmt.Sprintf(more, len(clauses)-kept)
	}
	return all
}
