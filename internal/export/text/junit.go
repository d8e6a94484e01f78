package text

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
)

// The parts of JUnit's XML that test reporters agree on: a suite for each check,
// a case for each operation, failures for drift, errors for what could not be
// looked at.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Time     string      `xml:"time,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		Failure *junitMessage `xml:"failure,omitempty"`
		Error   *junitMessage `xml:"error,omitempty"`
		Skipped *junitMessage `xml:"skipped,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitMessage struct {
		Message string `xml:"message,attr"`
		Type    string `xml:"type,attr,omitempty"`
		Text    string `xml:",chardata"`
	}
)

func junit(w io.Writer, r drift.Report, o Options) error {
	suites := junitSuites{Name: "nodeguard " + r.Profile}
	for _, policy := range o.Checks {
		s := suiteOf(r, policy, o.Language)
		suites.Tests += s.Tests
		suites.Failures += s.Failures
		suites.Errors += s.Errors
		suites.Suites = append(suites.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(suites); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w)
	return err
}

func suiteOf(r drift.Report, policy drift.CheckPolicy, l drift.Language) junitSuite {
	s := junitSuite{Name: policy.Condition}
	for _, c := range r.Checks {
		if c.Name == policy.Name {
			s.Time = fmt.Sprintf("%.6f", c.DurationSeconds)
			if c.Error != "" {
				s.add(junitCase{Name: "check", Class: policy.Condition, Error: &junitMessage{Message: c.Error, Type: "CannotObserve"}})
			}
		}
	}
	for _, id := range policy.Operations {
		s.add(caseOf(r, policy, id, l))
	}
	return s
}

func (s *junitSuite) add(c junitCase) {
	s.Cases = append(s.Cases, c)
	s.Tests++
	switch {
	case c.Failure != nil:
		s.Failures++
	case c.Error != nil:
		s.Errors++
	case c.Skipped != nil:
		s.Skipped++
	}
}

// caseOf judges one operation: drift is a failure, else a gap an error, else a
// waived drift skipped; info goes to the output.
func caseOf(r drift.Report, policy drift.CheckPolicy, id string, l drift.Language) junitCase {
	c := junitCase{Name: id, Class: policy.Condition}
	var failures, waived, info []string
	for _, f := range r.Findings {
		if f.Operation != id || f.Condition != policy.Condition {
			continue
		}
		text := l.Finding(f)
		switch {
		case f.Counts():
			failures = append(failures, text+"\n"+strings.Join(append([]string{f.Recovery.Text}, f.Recovery.Commands...), "\n"))
		case f.Waiver != nil:
			waived = append(waived, text+": "+f.Waiver.Reason)
		default:
			info = append(info, text)
		}
	}
	gaps := gapsOf(r, id, l)
	switch {
	case len(failures) > 0:
		c.Failure = message(failures, drift.ReasonOutOfSupport)
	case len(gaps) > 0:
		c.Error = message(gaps, drift.ReasonCannotObserve)
	case len(waived) > 0:
		c.Skipped = message(waived, "")
	}
	c.Out = strings.Join(info, "\n")
	return c
}

func gapsOf(r drift.Report, id string, l drift.Language) []string {
	var out []string
	for _, g := range r.Unknown {
		if g.Operation == id {
			out = append(out, l.Gap(g)+"\n"+g.Hint)
		}
	}
	return out
}

func message(texts []string, kind string) *junitMessage {
	first, _, _ := strings.Cut(texts[0], "\n")
	return &junitMessage{Message: first, Type: kind, Text: strings.Join(texts, "\n\n")}
}
