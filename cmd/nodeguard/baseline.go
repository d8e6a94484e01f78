package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func newBaseline(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "baseline",
		Short: "Show, compare or accept what this node should look like",
		Args:  noArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBaselineShow(o), newBaselineDiff(o), newBaselineAccept(o))
	return cmd
}

func newBaselineShow(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Print what was recorded",
		Args:  noArgs,
	}
	outputFlag(cmd, o, "table", "json", "yaml")
	cmd.RunE = func(*cobra.Command, []string) error {
		s, err := openHost(o)
		if err != nil {
			return err
		}
		defer s.host.Close()
		if s.baseErr != nil {
			return usage(s.baseErr, "%s", baseline.Hint(s.baseErr))
		}
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

func newBaselineDiff(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Print how this node differs from what was recorded",
		Long:  "Prints how this node differs from what was recorded.\n\nExit code: 0 no difference, 1 differences, 2 something could not be compared.",
		Args:  noArgs,
	}
	outputFlag(cmd, o, "table", "json", "yaml")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, err := openHost(o)
		if err != nil {
			return err
		}
		defer s.host.Close()
		if s.baseErr != nil {
			return usage(s.baseErr, "%s", baseline.Hint(s.baseErr))
		}
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
	seen, err := s.look(ctx)
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

func newBaselineAccept(o *options) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept [PATH…] --reason TEXT",
		Short: "Make what this node looks like now what is recorded",
		Long: `Accepts the node as it is now: all that differs, or only the named subjects and
what is below them. Absolute rules cannot be accepted, only waived.`,
		Example: `  nodeguard baseline accept /etc/kubernetes/manifests --reason "CHG-1234: new audit sidecar"
  nodeguard baseline accept --reason "node rebuilt"`,
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why; kept with the baseline")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return usage(errors.New("--reason is missing"), "say why, as a later reader needs it")
		}
		s, err := openHost(o)
		if err != nil {
			return err
		}
		defer s.host.Close()
		return s.acceptBaseline(cmd.Context(), args, reason)
	}
	return cmd
}

func (s *session) acceptBaseline(ctx context.Context, subjects []string, reason string) error {
	if s.baseline == nil && (len(subjects) > 0 || s.store.AgentOwns()) {
		return usage(s.baseErr, "accept all of it, without naming subjects, to record anew")
	}
	release, err := s.store.Lock()
	if err != nil {
		return usage(err, "an agent on this host accepts by annotation, or by its own baseline accept")
	}
	return errors.Join(s.acceptLocked(ctx, subjects, reason), release())
}

func (s *session) acceptLocked(ctx context.Context, subjects []string, reason string) error {
	damaged := s.unusable() != nil
	if damaged {
		s.baseErr = baseline.ErrNone
	}
	seen, err := s.look(ctx)
	if err != nil {
		return err
	}
	if s.baseline == nil {
		s.baseline = s.newBaseline()
	}
	for i := range subjects {
		subjects[i] = strings.TrimSuffix(subjects[i], "/")
	}
	changed, err := s.accept(seen, subjects)
	if err != nil {
		return err
	}
	if damaged {
		archived, err := s.store.Archive(now())
		if err != nil {
			return err
		}
		s.note("the former baseline is kept as %s", archived)
	}
	s.baseline.Machine = s.machine()
	s.baseline.Note(baseline.Acceptance{At: now(), Reason: reason, Subjects: subjects, Changed: changed})
	if err := s.store.Save(s.baseline); err != nil {
		return usage(err, "run as root, with %s writable", s.store.Path())
	}
	fmt.Fprintf(s.stdout, "accepted %d subjects\n", changed)
	return nil
}

// accept takes the facts of the accepted subjects over. What could not be looked
// at cannot be accepted.
func (s *session) accept(seen map[string]drift.Look, subjects []string) (changed int, err error) {
	matched := map[string]bool{}
	for check, l := range seen {
		if l.Facts == nil {
			continue
		}
		if l.Error != "" {
			return 0, fmt.Errorf("the %s check could not look: %s", check, l.Error)
		}
		if s.baseline.Scopes[check] == nil {
			s.baseline.Scopes[check] = baseline.Scope{}
		}
		changed += s.baseline.Scopes[check].Accept(l.Facts, func(subject string) bool {
			return !behindGap(l, subject) && accepted(subjects, subject, matched)
		})
	}
	for _, subject := range subjects {
		if !matched[subject] {
			return 0, usage(fmt.Errorf("nothing here is called %q", subject), "nodeguard baseline diff lists what differs")
		}
	}
	return changed, nil
}

func accepted(subjects []string, subject string, matched map[string]bool) bool {
	if len(subjects) == 0 {
		return true
	}
	for _, s := range subjects {
		if subject == s || strings.HasPrefix(subject, s+"/") || strings.HasPrefix(subject, s+" ") {
			matched[s] = true
			return true
		}
	}
	return false
}

func behindGap(l drift.Look, subject string) bool {
	return slices.ContainsFunc(l.Gaps, func(g drift.Gap) bool { return g.Subject != "" && g.Covers(subject) })
}
