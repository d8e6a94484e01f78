package main

import (
	"context"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/kube"
	"github.com/nodeguard/nodeguard/internal/export/text"
	"github.com/nodeguard/nodeguard/internal/fleet"
)

// one prints the findings of a Node.
func (n *nodesCommand) one(ctx context.Context, name string) error {
	reader, err := n.reader()
	if err != nil {
		return err
	}
	node, err := reader.Node(ctx, name)
	if err != nil {
		return usage(err, "nodeguard nodes lists them")
	}
	report := n.report(ctx, reader, name, node)
	rows := fleet.Rows([]fleet.Node{node}, n.session.weigh(), now())
	switch n.output {
	case "json":
		err = text.JSON(n.stdout, report)
	case "yaml":
		err = text.YAML(n.stdout, report)
	default:
		options := text.Options{Language: n.session.language, Color: wantsColor(n.stdout)}
		err = text.Node(n.stdout, rows[0], report, options, n.output == "wide", now())
	}
	if err != nil {
		return err
	}
	return fleetVerdict(rows)
}

// report is the agent's, else what the conditions tell of it.
func (n *nodesCommand) report(ctx context.Context, reader *kube.Reader, name string, node fleet.Node) drift.Report {
	report, err := reader.Report(ctx, n.access.Namespace(), name)
	if err == nil {
		return report
	}
	report, hidden := node.Report(n.session.documented, n.session.language)
	n.session.note("this is what the conditions tell: %s", fleet.Neutral(err.Error()))
	if hidden > 0 {
		n.session.note("the conditions have no room for %d more; on the node: curl -s 127.0.0.1:19639/api/v1/report", hidden)
	}
	return report
}
