package main

import (
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/export/web"
)

// agentOptions are the agent's own flags.
type agentOptions struct {
	*options
	standalone     bool
	nodeName       string
	kubeconfig     string
	once           bool
	listen         []string
	webConfig      string
	pprof          bool
	baselineSettle time.Duration
	settleNamed    bool // --baseline-settle was given
	deadline       time.Duration
}

func newAgent(o *options) *cobra.Command {
	a := &agentOptions{options: o}
	cmd := &cobra.Command{
		Use:   "agent",
		Short: "Watch this host and keep the Node's conditions, metrics and report true",
		Long: `Watches the host: events make it look at once, and what it says is always what it
last saw, whole. It keeps the conditions of its Node, sends events, and serves
metrics and the JSON report; standalone it does without a cluster.`,
		Example: "  nodeguard agent --standalone\n  nodeguard agent --standalone --once\n  nodeguard agent --root /host --node-name n1",
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			a.settleNamed = cmd.Flags().Changed("baseline-settle")
			return runAgent(cmd.Context(), a)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&a.standalone, "standalone", false, "run without a cluster")
	flags.StringVar(&a.nodeName, "node-name", os.Getenv("NODE_NAME"), "name of the own Node (default $NODE_NAME)")
	flags.StringVar(&a.kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, ~/.kube/config or the pod's service account)")
	flags.BoolVar(&a.once, "once", false, "end after the first full pass, with the exit code of check")
	flags.StringSliceVar(&a.listen, "web.listen-address", []string{web.DefaultAddress}, "addresses to serve metrics and report on; empty: none")
	flags.StringVar(&a.webConfig, "web.config.file", "", "TLS and authentication, as exporter-toolkit has it; without it the report answers on loopback only")
	flags.BoolVar(&a.pprof, "web.pprof", false, "serve /debug/pprof")
	flags.DurationVar(&a.baselineSettle, "baseline-settle", 10*time.Minute, "how long the node must look the same before it is recorded")
	flags.DurationVar(&a.deadline, "check-deadline", 30*time.Second, "when a check that does not answer becomes Unknown")
	return cmd
}

func (a *agentOptions) validate() error {
	switch {
	case !a.standalone && a.nodeName == "":
		return usage(errors.New("--node-name is missing"), "set it, or NODE_NAME by the downward API; without a cluster use --standalone")
	case a.baselineSettle < 0:
		return usage(errors.New("--baseline-settle is negative"), "10m is the default")
	case a.deadline <= 0:
		return usage(errors.New("--check-deadline is not positive"), "30s is the default")
	}
	return nil
}
