package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/export/kube"
)

func newPrune(o *options) *cobra.Command {
	var kubeconfig string
	var nodes []string
	var all bool
	cmd := &cobra.Command{
		Use:   "prune {--node N… | --all}",
		Short: "Take nodeguard's conditions and annotations off Nodes",
		Long:  "Takes every trace of nodeguard off Nodes, as after its removal from the cluster. An\nagent that still runs writes its conditions again.",
		Args:  noArgs,
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig file (default: $KUBECONFIG, ~/.kube/config or the pod's service account)")
	cmd.Flags().StringSliceVar(&nodes, "node", nil, "Nodes by name")
	cmd.Flags().BoolVar(&all, "all", false, "all Nodes that have a trace")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if all == (len(nodes) > 0) {
			return usage(errors.New("prune which Nodes?"), "name them with --node, or say --all")
		}
		config, err := kube.Connect(kubeconfig)
		if err != nil {
			return usage(err, "name a kubeconfig with --kubeconfig")
		}
		client, err := kube.NewClient(config)
		if err != nil {
			return usage(err, "look at the kubeconfig")
		}
		if !all {
			return kube.Prune(cmd.Context(), client, nodes...)
		}
		pruned, err := kube.PruneAll(cmd.Context(), client)
		for _, n := range pruned {
			fmt.Fprintln(o.stdout, n)
		}
		return err
	}
	return cmd
}
