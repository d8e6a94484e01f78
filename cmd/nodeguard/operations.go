package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/catalog"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/export/text"
)

func newOperations(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "operations",
		Short: "List the documented operations of a profile",
		Example: `  nodeguard operations --profile ack
  nodeguard operations --coverage
  nodeguard operations -o json | jq -r '.[].id'`,
		Args: noArgs,
	}
	outputFlag(cmd, o, "table", "wide", "json", "yaml")
	byProvider := cmd.Flags().Bool("coverage", false, "count, by provider, what a node can tell")
	cmd.RunE = func(*cobra.Command, []string) error {
		if *byProvider {
			s, err := open(o)
			if err != nil {
				return err
			}
			return s.listCoverage()
		}
		s, err := openHost(o)
		if err != nil {
			return err
		}
		defer s.host.Close()
		return s.listOperations()
	}
	return cmd
}

// operation is one entry of `operations -o json`.
type operation struct {
	ID        string   `json:"id"`
	Condition string   `json:"condition"`
	Severity  string   `json:"severity"`
	Title     string   `json:"title"`
	Impact    string   `json:"impact"`
	Recovery  recovery `json:"recovery"`
	Source    source   `json:"source"`
	Tiers     []tier   `json:"tiers,omitempty"`
	Unseen    *unseen  `json:"unseen,omitempty"`
}

// unseen says why a node cannot tell.
type unseen struct {
	Reason  string `json:"reason"`
	Symptom string `json:"symptom,omitempty"`
}

type recovery struct {
	Text            string   `json:"text"`
	Commands        []string `json:"commands"`
	PendingCommands []string `json:"pendingCommands,omitempty"`
	Class           string   `json:"class"`
}

type source struct {
	Document string `json:"document"`
	Section  string `json:"section"`
}

// tier is a degree of an operation; what it leaves out is the operation's.
type tier struct {
	Name     string    `json:"name"`
	Severity string    `json:"severity"`
	Title    string    `json:"title,omitempty"`
	Recovery *recovery `json:"recovery,omitempty"`
}

func (s *session) listOperations() error {
	list := []operation{}
	for _, o := range s.profile.Operations {
		list = append(list, s.operation(o))
	}
	switch s.output {
	case "json":
		return text.JSON(s.stdout, list)
	case "yaml":
		return text.YAML(s.stdout, list)
	}
	rows := [][]string{{"ID", "CONDITION", "SEVERITY", "TITLE"}}
	if s.output == "wide" {
		rows = [][]string{{"ID", "CONDITION", "SEVERITY", "CLASS", "TITLE", "SOURCE"}}
	}
	for _, o := range list {
		if o.Condition == "" {
			o.Condition = "-"
		}
		row := []string{o.ID, o.Condition, o.Severity, o.Title}
		if s.output == "wide" {
			row = []string{o.ID, o.Condition, o.Severity, o.Recovery.Class, o.Title, o.Source.Document + ", " + o.Source.Section}
		}
		rows = append(rows, row)
	}
	return text.Columns(s.stdout, rows)
}

func (s *session) operation(o catalog.Operation) operation {
	said := o.In(s.language)
	severity := said.Severity
	if own, ok := s.config.Severities[o.ID]; ok {
		severity = own
	}
	out := operation{
		ID: o.ID, Condition: o.Condition, Severity: string(severity), Title: said.Title, Impact: said.Impact,
		Recovery: recoveryOf(said.Recovery), Source: source(said.Source),
	}
	if u := o.Unseen; u != nil {
		out.Unseen = &unseen{Reason: u.Reason.In(s.language), Symptom: u.Symptom}
	}
	for _, name := range sortedTiers(said.Tiers) {
		t := said.Tiers[name]
		shown := tier{Name: name, Severity: string(cmp.Or(t.Severity, severity)), Title: t.Title}
		if t.Recovery != nil {
			r := recoveryOf(*t.Recovery)
			shown.Recovery = &r
		}
		out.Tiers = append(out.Tiers, shown)
	}
	return out
}

func recoveryOf(r drift.Recovery) recovery {
	return recovery{Text: r.Text, Commands: append([]string{}, r.Commands...), PendingCommands: r.PendingCommands, Class: string(r.Class)}
}
