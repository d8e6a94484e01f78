package main

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func newBaselineDiff(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Print how this node differs from what was recorded",
		Long:  "Prints how this node differs from what was recorded.\n\nExit code: 0 no difference, 1 differences, 2 something could not be compared.",
		Args:  noArgs,
	}
	outputFlag(cmd, o, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := openBaseline(o)
		if err != nil {
			return err
		}
		defer s.host.Close()
		return s.diffBaseline(cmd.Context())
	}
	return cmd
}

// difference is a line of `baseline diff`.
type difference struct {
	Check    string `json:"check"`
	Subject  string `json:"subject"`
	Observed string `json:"observed"`
	Recorded string `json:"recorded"`
}

func (s *session) diffBaseline(ctx context.Context) error {
	seen, err := s.lookAnew(ctx)
	if err != nil {
		return err
	}
	differences, gaps := []difference{}, 0
	for _, check := range slices.Sorted(maps.Keys(seen)) {
		for _, f := range seen[check].Findings {
			if f.Baseline {
				differences = append(differences, difference{check, f.Subject, f.Observed, f.Supported})
			}
		}
		gaps += s.sayGaps(seen[check])
	}
	if err := s.printDifferences(differences); err != nil {
		return err
	}
	switch {
	case len(differences) > 0:
		return errDrift
	case gaps > 0:
		return errBlind
	default:
		return nil
	}
}

// sayGaps says on stderr what a check with a baseline could not look at, once for
// all operations that need it.
func (s *session) sayGaps(l drift.Look) int {
	if l.Facts == nil {
		return 0
	}
	said := map[string]bool{}
	for _, g := range l.Gaps {
		if text := s.language.Gap(drift.UnknownReport(g)); !said[text] {
			said[text] = true
			s.note("%s", text)
		}
	}
	return len(l.Gaps)
}

func (s *session) printDifferences(differences []difference) error {
	switch s.output {
	case "json":
		return text.JSON(s.stdout, differences)
	case "yaml":
		return text.YAML(s.stdout, differences)
	}
	if len(differences) == 0 {
		return nil
	}
	rows := [][]string{{"CHECK", "SUBJECT", "OBSERVED", "RECORDED"}}
	for _, d := range differences {
		rows = append(rows, []string{d.Check, d.Subject, d.Observed, d.Recorded})
	}
	return text.Columns(s.stdout, rows)
}
