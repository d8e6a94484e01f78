package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/control"
)

func newBaselineAccept(o *options) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "accept [PATH…] --reason TEXT",
		Short: "Make what this node looks like now what is recorded",
		Long: `Accepts the node as it is now: all that differs, or only the named subjects and
what is below them. Absolute rules cannot be accepted, only waived. Where an agent
keeps this host's state, the agent does it.`,
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

// acceptBaseline accepts here, or has the agent accept that holds the state.
func (s *session) acceptBaseline(ctx context.Context, subjects []string, reason string) error {
	for i := range subjects {
		subjects[i] = strings.TrimSuffix(subjects[i], "/")
	}
	release, err := s.store.Lock()
	if errors.Is(err, baseline.ErrLocked) {
		return s.acceptByAgent(ctx, control.AcceptRequest{Subjects: subjects, Reason: reason})
	}
	if err != nil {
		return usage(err, "run as root, with %s writable", s.store.Path())
	}
	return errors.Join(s.acceptLocked(ctx, subjects, reason), release())
}

func (s *session) acceptByAgent(ctx context.Context, ask control.AcceptRequest) error {
	answer, err := control.Accept(ctx, s.host, ask)
	switch {
	case err != nil:
		return usage(err, "another nodeguard holds the state of this host; try again when it has ended, or accept by annotation")
	case answer.Error != "":
		return usage(errors.New(answer.Error), "%s", answer.Hint)
	}
	fmt.Fprintf(s.stdout, "the agent accepted %d subjects\n", answer.Changed)
	return nil
}

func (s *session) acceptLocked(ctx context.Context, subjects []string, reason string) error {
	if s.baseline == nil && len(subjects) > 0 {
		return nothingToAcceptInto(s.baseErr)
	}
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
	after, changed, err := accepting(s.baseline, seen, subjects)
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
	after.Machine = s.machine().On(s.baseline.Machine.NodeUID)
	after.Note(baseline.Acceptance{At: now(), Reason: reason, Subjects: subjects, Changed: changed})
	if err := s.store.Save(after); err != nil {
		return usage(err, "run as root, with %s writable", s.store.Path())
	}
	fmt.Fprintf(s.stdout, "accepted %d subjects\n", changed)
	return nil
}
