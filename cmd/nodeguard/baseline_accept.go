package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/drift"
)

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
	seen, err := s.lookAnew(ctx)
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
