package main

import (
	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/prom"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func newCheck(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look at this host once and print what is out of support",
		Long: `Looks at the host once. The first run records what protected paths and components
look like; later runs compare with that.

Exit code: 0 in support, 1 drift, 2 something could not be looked at.`,
		Example: `  nodeguard check
  nodeguard check --profile ack --lang zh
  nodeguard check -o json | jq '.findings[].recovery.commands[]'`,
		Args: noArgs,
	}
	outputFlag(cmd, o, append(text.Formats[:], "line", "openmetrics")...)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return check(cmd, o) }
	return cmd
}

func check(cmd *cobra.Command, o *options) error {
	s, err := openHost(o)
	if err != nil {
		return err
	}
	defer s.host.Close()
	if o.output == "wide" {
		s.note("profile %s: %s", s.profile.Name, s.because)
	}
	s.setForeignAside()
	checks, err := s.checks()
	if err != nil {
		return err
	}
	seen, err := s.look(cmd.Context(), checks)
	if err != nil {
		return err
	}
	policy := s.policy(checks)
	s.record(seen)
	if s.acceptFleet(seen) {
		if seen, err = s.lookAnew(cmd.Context()); err != nil {
			return err
		}
	}
	judged, _ := s.fold(drift.Report{}, seen, s.store.AgentOwns(), now())
	report := drift.Judge(policy, drift.Report{}, judged, now())
	s.remember(cmd.Context(), report)
	options := text.Options{Language: s.language, Color: wantsColor(o.stdout), Checks: policy.Checks}
	if err := printReport(o, report, options); err != nil {
		return err
	}
	return verdict(report)
}

// printReport is text.Print with the formats that other programs on the host read.
func printReport(o *options, r drift.Report, options text.Options) error {
	switch o.output {
	case "line":
		return text.Line(o.stdout, r, options)
	case "openmetrics":
		return prom.WriteLook(o.stdout, r, prom.ThisBuild(versionString()))
	default:
		return text.Print(o.stdout, o.output, r, options)
	}
}

// verdict is the exit code as an error: drift beats blindness.
func verdict(r drift.Report) error {
	switch {
	case r.Drifted():
		return errDrift
	case r.Blind():
		return errBlind
	default:
		return nil
	}
}
