package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/baseline"
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

// openBaseline opens a host whose baseline can be used.
func openBaseline(o *options) (*session, error) {
	s, err := openHost(o)
	if err != nil {
		return nil, err
	}
	if s.baseErr != nil {
		return nil, errors.Join(usage(s.baseErr, "%s", baseline.Hint(s.baseErr)), s.host.Close())
	}
	return s, nil
}
