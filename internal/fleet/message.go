package fleet

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// message is the text of a family's condition, taken apart again.
type message struct {
	clauses []clause // in the order of their weight
	hidden  int      // clauses that there was no room for
	digest  string   // of the state that may be accepted, or ""
}

// clause is a finding, a gap, or a remark.
type clause struct {
	text    string
	finding *drift.Finding
	waived  bool
	info    bool
	gap     *drift.Gap
}

// wording is how drift.Language puts it.
type wording struct {
	end            *regexp.Regexp // of a finding: operation, folded, pending, waived or info
	is, supported  string
	blind          string
	about, because string
	more, accept   *regexp.Regexp
}

const operationForm = `([a-z0-9-]+(?:\.[a-z0-9-]+)+)`

func wordings() []wording {
	return []wording{{
		end: regexp.MustCompile(` \(` + operationForm + `(?:, with (\d+) more changes)?(, pending)?(, waived|, info)?\)(?:; |$)`),
		is:  " is ", supported: ", supported ",
		blind: "cannot tell", about: " about ", because: ": ",
		more:   regexp.MustCompile(`(?:^| )\(\+(\d+) more\)$`),
		accept: regexp.MustCompile(`; to accept this state: (sha256:[0-9a-f]{64})$`),
	}, {
		end: regexp.MustCompile(`（` + operationForm + `(?:，连同另外 (\d+) 项变更)?(，待生效)?(，已豁免|，提示)?）(?:; |$)`),
		is:  " 为 ", supported: "，支持 ",
		blind: "无法判断", about: " ", because: "：",
		more:   regexp.MustCompile(`（另有 (\d+) 项）$`),
		accept: regexp.MustCompile(`；如接受此状态：(sha256:[0-9a-f]{64})$`),
	}}
}

// reader takes messages apart.
type reader []wording

// read never fails: what has no known form is a remark.
func (r reader) read(text string) message {
	for _, w := range r {
		if m, ok := w.read(text); ok {
			return m
		}
	}
	return message{clauses: []clause{{text: text}}}
}

func (w wording) read(text string) (m message, ok bool) {
	if found := w.accept.FindStringSubmatch(text); found != nil {
		m.digest, text = found[1], strings.TrimSuffix(text, found[0])
	}
	if found := w.more.FindStringSubmatch(text); found != nil {
		m.hidden, _ = strconv.Atoi(found[1])
		text = strings.TrimSuffix(text, found[0])
	}
	ok = m.hidden > 0
	for text != "" {
		var c clause
		c, text = w.next(text)
		m.clauses = append(m.clauses, c)
		ok = ok || c.finding != nil || c.gap != nil
	}
	return m, ok
}

// next reads the first clause and returns what follows it.
func (w wording) next(text string) (c clause, rest string) {
	if reason, blind := strings.CutPrefix(text, w.blind); blind {
		reason, rest = w.beforeNextGap(reason)
		return clause{text: w.blind + reason, gap: w.gap(reason)}, rest
	}
	at := w.end.FindStringSubmatchIndex(text)
	if at == nil {
		return clause{text: text}, ""
	}
	part := func(i int) string {
		if at[2*i] < 0 {
			return ""
		}
		return text[at[2*i]:at[2*i+1]]
	}
	f := w.finding(text[:at[0]])
	f.Operation = part(1)
	f.Folded, _ = strconv.Atoi(part(2))
	if part(3) != "" {
		f.State = drift.Pending
	}
	c = clause{text: strings.TrimSuffix(text[:at[1]], "; "), finding: &f}
	switch part(4) {
	case "":
	case ", waived", "，已豁免":
		c.waived = true
	default:
		c.info = true
	}
	return c, text[at[1]:]
}

// finding reads "SUBJECT is OBSERVED, supported SUPPORTED".
func (w wording) finding(text string) drift.Finding {
	f := drift.Finding{State: drift.Active}
	if i := strings.LastIndex(text, w.supported); i >= 0 {
		f.Supported, text = text[i+len(w.supported):], text[:i]
	}
	f.Subject, f.Observed, _ = strings.Cut(text, w.is)
	return f
}

// beforeNextGap splits where another gap begins; reasons hold semicolons, too.
func (w wording) beforeNextGap(text string) (reason, rest string) {
	reason, _, more := strings.Cut(text, "; "+w.blind)
	if !more {
		return text, ""
	}
	return reason, text[len(reason)+len("; "):]
}

// gap reads " about SUBJECT: REASON" or ": REASON".
func (w wording) gap(text string) *drift.Gap {
	if reason, all := strings.CutPrefix(text, w.because); all {
		return &drift.Gap{Reason: reason}
	}
	subject, reason, _ := strings.Cut(strings.TrimPrefix(text, w.about), w.because)
	return &drift.Gap{Subject: subject, Reason: reason}
}
