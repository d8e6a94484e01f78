package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/export/text"
	"github.com/nodeguard/nodeguard/internal/fleet"
)

func newNodes(o *options) *cobra.Command {
	n := &nodesCommand{options: o}
	cmd := &cobra.Command{
		Use:   "nodes [NODE]",
		Short: "List the Nodes of a cluster: which are out of support, and what first",
		Long: `Lists the Nodes of a cluster by the conditions that the agents keep on them, those
to look at first in front. With a Node's name, prints its findings with their
recovery: from its agent where the agent answers through the API server, else from
the conditions.

STALE is a Node whose agent was not heard of for 15 minutes, none one that no agent
wrote to. ~ marks a count that the conditions do not tell exactly. PROFILE is the
Node's annotation nodeguard.io/profile. --config names the agents' configuration, for
severities and operations of your own.

Exit code: 0 all in support (or in maintenance), 1 a Node is out of support, 2 of some
Node nobody knows, or the cluster could not be asked.`,
		Example: `  nodeguard nodes -l pool=gpu
  nodeguard nodes node-17
  nodeguard nodes -o json | jq -r '.nodes[] | select(.support == "OutOfSupport").node'`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage(fmt.Errorf("nodes takes one Node, not %d", len(args)), "or --selector for several")
			}
			return nil
		},
	}
	outputFlag(cmd, o, "table", "wide", "json", "yaml")
	cmd.Flags().StringVarP(&n.selection.Labels, "selector", "l", "", "Nodes by label, as in kubectl get nodes -l")
	cmd.Flags().StringVar(&n.selection.Fields, "field-selector", "", "Nodes by field, as in kubectl get nodes --field-selector")
	n.access = kube.BindFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open(o)
		if err != nil {
			return err
		}
		n.session = s
		if len(args) == 1 {
			return n.one(cmd.Context(), args[0])
		}
		return n.list(cmd.Context())
	}
	return cmd
}

// nodesCommand is `nodes` with its flags.
type nodesCommand struct {
	*options
	session   *session
	access    *kube.Access
	selection kube.Selection
}

// nodeList is `nodes -o json`.
type nodeList struct {
	APIVersion  string      `json:"apiVersion"`
	Kind        string      `json:"kind"`
	GeneratedAt time.Time   `json:"generatedAt"`
	Nodes       []fleet.Row `json:"nodes"`
}

func (n *nodesCommand) list(ctx context.Context) error {
	reader, err := n.reader()
	if err != nil {
		return err
	}
	nodes, err := reader.Nodes(ctx, n.selection)
	if err != nil {
		return usage(err, "kubectl get nodes with the same flags shows whether the cluster answers you")
	}
	if len(nodes) == 0 {
		return usage(errors.New("there is no such Node"), "look at --selector, --field-selector and --context")
	}
	at := now()
	rows := fleet.Rows(nodes, n.session.weigh(), at)
	switch n.output {
	case "json":
		err = text.JSON(n.stdout, nodeList{drift.APIVersion, "Fleet", at, rows})
	case "yaml":
		err = text.YAML(n.stdout, nodeList{drift.APIVersion, "Fleet", at, rows})
	default:
		err = text.Fleet(n.stdout, rows, n.output == "wide", at)
	}
	if err != nil {
		return err
	}
	return fleetVerdict(rows)
}

func (n *nodesCommand) reader() (*kube.Reader, error) {
	reader, err := n.access.Reader()
	if err != nil {
		return nil, usage(err, "name a kubeconfig with --kubeconfig and one of its contexts with --context")
	}
	return reader, nil
}

// fleetVerdict is the exit code as an error: drift beats blindness.
func fleetVerdict(rows []fleet.Row) error {
	blind := false
	for _, r := range rows {
		if r.Drifted() {
			return errDrift
		}
		blind = blind || r.Blind()
	}
	if blind {
		return errBlind
	}
	return nil
}

// weigh tells what operations weigh by the catalogue and the configuration.
func (s *session) weigh() fleet.Weigh {
	known := map[string]weight{}
	return func(id string) (drift.Severity, bool) {
		w, ok := known[id]
		if !ok {
			w = s.weightOf(id)
			known[id] = w
		}
		return w.severity, w.always
	}
}

type weight struct {
	severity drift.Severity
	always   bool // whatever the tier
}

// weightOf takes an operation that is nowhere documented for a warning, as agents do.
func (s *session) weightOf(id string) weight {
	o, err := s.find(id)
	if err != nil {
		return weight{drift.Warning, false}
	}
	if own, said := s.config.Severities[id]; said {
		return weight{own, true}
	}
	out := weight{o.Severity, true}
	for _, tier := range o.Tiers {
		// An info finding says so in its message.
		if tier.Severity.Weighs() && tier.Severity != o.Severity {
			out.always = false
		}
	}
	return out
}

// documented is what an operation says in the session's language.
func (s *session) documented(id string) drift.Operation {
	o, err := s.find(id)
	if err != nil {
		return s.undocumented(id)
	}
	said := o.In(s.language)
	if own, ok := s.config.Severities[id]; ok {
		said.Severity = own
	}
	return said
}

// undocumented stands for an operation of the agents' configuration, or of another
// release.
func (s *session) undocumented(id string) drift.Operation {
	return drift.Operation{
		ID: id, Title: id, Severity: drift.Warning, Impact: s.say("this catalogue does not know it", "此目录中没有该操作"),
		Recovery: drift.Recovery{Class: drift.Undocumented, Text: s.say("name the agents' configuration with --config", "请用 --config 指定 agent 的配置文件")},
		Source:   drift.Source{Document: "-", Section: "-"},
	}
}
