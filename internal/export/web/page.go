package web

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's parts
	"encoding/base64"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/drift"
)

var (
	//go:embed page.html.tmpl
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// view is what the template is filled with.
type view struct {
	Status
	Say   words
	Other drift.Language
	CSS   template.CSS
	Pprof bool
}

// page shows the state of the node: one document, no script, nothing loaded from
// elsewhere.
func page(o Options) http.HandlerFunc {
	// the text is ours and was read before: a mistake in it fails every test
	t := template.Must(template.New("page").Funcs(template.FuncMap{"utc": utc, "lower": lower}).Parse(pageHTML))
	policy := pagePolicy(pageCSS)
	return func(w http.ResponseWriter, r *http.Request) {
		v := view{Status: o.Status(asked(r)), CSS: template.CSS(pageCSS), Pprof: o.Pprof} //nolint:gosec // it is ours
		v.Say, v.Other = wordsOf(v.Language)
		var body bytes.Buffer
		if err := t.Execute(&body, v); err != nil {
			http.Error(w, "the page cannot be made", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Language", string(v.Language))
		w.Header().Set("Content-Security-Policy", policy)
		_, _ = w.Write(body.Bytes())
	}
}

// pagePolicy lets the page's own style apply, and nothing else.
func pagePolicy(css string) string {
	sum := sha256.Sum256([]byte(css))
	return strings.Replace(contentPolicy, ";", "; style-src 'sha256-"+base64.StdEncoding.EncodeToString(sum[:])+"';", 1)
}

// asked is the language that a request names, "" for none that is known.
func asked(r *http.Request) drift.Language {
	for _, l := range drift.Languages {
		if r.URL.Query().Get("lang") == string(l) {
			return l
		}
	}
	return ""
}

// Support answers the question of the page in one word, as the aggregate does.
func (v view) Support() string {
	for _, c := range v.Report.Conditions {
		if c.Type != drift.NodeOutOfSupport {
			continue
		}
		switch {
		case c.Status == drift.True:
			return v.Say.Out
		case c.Status == drift.Unknown:
			return v.Say.CannotTell
		case c.Reason != drift.ReasonInSupport:
			return v.Say.In + " (" + c.Reason + ")"
		}
	}
	return v.Say.In
}

// Verdict is the class of the answer: it says by colour what Support says in words.
func (v view) Verdict() string {
	for _, c := range v.Report.Conditions {
		if c.Type == drift.NodeOutOfSupport {
			return strings.ToLower(string(c.Status))
		}
	}
	return "unknown"
}

// Findings are in the report's order, but what is waived comes last.
func (v view) Findings() []drift.FindingReport {
	waived := func(f drift.FindingReport) int {
		if f.Waiver != nil {
			return 1
		}
		return 0
	}
	return slices.SortedStableFunc(slices.Values(v.Report.Findings), func(a, b drift.FindingReport) int { return waived(a) - waived(b) })
}

// tally is how many findings there are of a severity.
type tally struct {
	Class, What string
	Count       int
}

// Tally counts what is not waived, the worst first, and then what is.
func (v view) Tally() (out []tally) {
	counts := map[string]int{}
	for _, f := range v.Report.Findings {
		if f.Waiver != nil {
			counts["waived"]++
		} else {
			counts[lower(f.Severity)]++
		}
	}
	for _, t := range []tally{{"critical", "critical", 0}, {"warning", "warning", 0}, {"info", "info", 0}, {"waived", v.Say.Waived, 0}} {
		if t.Count = counts[t.Class]; t.Count > 0 {
			out = append(out, t)
		}
	}
	return out
}

// By says who did it.
func (v view) By(a *drift.Actor) string {
	if a == nil {
		return ""
	}
	return v.Language.Actor(*a)
}

func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05 UTC")
}

func lower(s any) string {
	switch s := s.(type) {
	case drift.Severity:
		return strings.ToLower(string(s))
	case drift.Status:
		return strings.ToLower(string(s))
	case drift.Mode:
		return strings.ToLower(string(s))
	default:
		return ""
	}
}
