package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
)

// options are the flags that all commands share.
type options struct {
	root    string
	profile string
	lang    string
	config  string
	output  string

	stdout, stderr io.Writer
}

// run executes the command line and returns the exit code: 0 in support, 1 drift,
// 2 could not look or bad usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o := &options{stdout: stdout, stderr: stderr}
	root := newRoot(o)
	displayed(root, os.Args[0])
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return exitCode(stderr, root.ExecuteContext(ctx))
}

func newRoot(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "nodeguard",
		Short: "Detects operations on a Kubernetes node that its provider does not support",
		Long: `nodeguard finds what on this node is out of support: kernel parameters, protected
paths, firewalls and component configuration, each with the documented operation,
what it breaks and how to recover.`,
		Example:       "  nodeguard check\n  nodeguard explain ack.net.ip-forward",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          noArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	flags := cmd.PersistentFlags()
	flags.StringVar(&o.root, "root", "/", "the host as a directory: / on the host, /host in a pod, or any tree")
	flags.StringVar(&o.profile, "profile", "", `what is documented: "auto" or a profile's name (default auto)`)
	flags.StringVar(&o.lang, "lang", "", "language of titles, impacts and recoveries: en or zh (default en)")
	flags.StringVar(&o.config, "config", "", "configuration file")
	cmd.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage(err, "see %s --help", c.CommandPath())
	})
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(newCheck(o), newOperations(o), newExplain(o), newBaseline(o), newHistory(o), newAgent(o), newNodes(o), newPrune(o), newVersion(o))
	return cmd
}

// outputFlag adds -o with the formats that the command knows, the first the default.
func outputFlag(cmd *cobra.Command, o *options, formats ...string) {
	cmd.Flags().StringVarP(&o.output, "output", "o", formats[0], fmt.Sprintf("output format: %s", list(formats)))
	cmd.PreRunE = func(c *cobra.Command, _ []string) error {
		return oneOf(c, "--output", o.output, formats)
	}
}

func noArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if cmd.HasSubCommands() {
		return usage(fmt.Errorf("there is no command %q", args[0]), "see %s --help", cmd.CommandPath())
	}
	return usage(fmt.Errorf("%s takes no arguments, not %q", cmd.CommandPath(), args[0]), "see %s --help", cmd.CommandPath())
}
