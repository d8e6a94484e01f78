package main

import (
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func newBaselineShow(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print what was recorded",
		Args:  noArgs,
	}
	outputFlag(cmd, o, "table", "json", "yaml")
	cmd.RunE = func(*cobra.Command, []string) error {
		s, err := openBaseline(o)
		if err != nil {
			return err
		}
		defer s.host.Close()
		return s.showBaseline()
	}
	return cmd
}

// recordedSubject is a line of `baseline show`.
type recordedSubject struct {
	Check   string `json:"check"`
	Subject string `json:"subject"`
	Value   string `json:"value"`
}

// shownBaseline is `baseline show -o json`.
type shownBaseline struct {
	baseline.Header
	Accepted []baseline.Acceptance `json:"accepted"`
	Subjects []recordedSubject     `json:"subjects"`
}

func (s *session) showBaseline() error {
	shown := shownBaseline{Header: s.baseline.Header, Accepted: s.baseline.Accepted, Subjects: []recordedSubject{}}
	for _, check := range slices.Sorted(maps.Keys(s.baseline.Scopes)) {
		for _, subject := range slices.Sorted(maps.Keys(s.baseline.Scopes[check])) {
			shown.Subjects = append(shown.Subjects, recordedSubject{check, subject, s.baseline.Scopes[check][subject]})
		}
	}
	switch s.output {
	case "json":
		return text.JSON(s.stdout, shown)
	case "yaml":
		return text.YAML(s.stdout, shown)
	}
	rows := [][]string{{"CHECK", "SUBJECT", "VALUE"}}
	for _, r := range shown.Subjects {
		rows = append(rows, []string{r.Check, r.Subject, r.Value})
	}
	return text.Columns(s.stdout, rows)
}
