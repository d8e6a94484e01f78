package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/host"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// historyOptions are the flags of `history`.
type historyOptions struct {
	*options
	since     string
	operation string
	condition string
	follow    bool
}

func newHistory(o *options) *cobra.Command {
	h := &historyOptions{options: o}
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Print what happened on this host, as the agent journalled it",
		Long: `Prints the agent's journal, the oldest line first: what was raised, cleared, waived,
accepted and absorbed, when, and by whom where the kernel could tell. Times are those of
the host's clock. Lines that were damaged, and places where lines are missing, are
counted on stderr.

Exit code: 0 when the journal could be read, 2 when not or when there is none.`,
		Example: `  nodeguard history --since 24h
  nodeguard history --operation 'ack.net.*' -o wide
  nodeguard history --follow -o json | jq -c '{at, event, who: .finding.actor.comm}'`,
		Args: noArgs,
	}
	outputFlag(cmd, o, "table", "wide", "json", "yaml")
	flags := cmd.Flags()
	flags.StringVar(&h.since, "since", "", "only what is not older: 24h, 7d, 2026-01-31 or RFC 3339")
	flags.StringVar(&h.operation, "operation", "", "only findings of this operation: an id, or a glob")
	flags.StringVar(&h.condition, "condition", "", "only what is about this condition")
	flags.BoolVarP(&h.follow, "follow", "f", false, "go on with what happens, until interrupted; -o json is one line each then")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return history(cmd.Context(), h) }
	return cmd
}

func history(ctx context.Context, o *historyOptions) error {
	wanted, err := o.wanted(time.Now())
	if err != nil {
		return err
	}
	root, err := host.Open(o.root)
	if err != nil {
		return usage(err, "--root names the host's root directory")
	}
	defer root.Close()
	r, err := journal.NewReader(root)
	if err != nil {
		return unreadable(err)
	}
	defer r.Close()
	t := &telling{reader: r, wanted: wanted, printer: newHistoryPrinter(o.stdout, o.output, o.follow), stderr: o.stderr}
	if o.follow {
		return t.follow(ctx)
	}
	return t.all()
}

func unreadable(err error) error {
	switch {
	case errors.Is(err, journal.ErrNone):
		return usage(errors.New("no journal on this host: the agent has not run here"),
			"nodeguard agent keeps one in %s/journal; --root names the host's root directory", host.StateDir)
	case errors.Is(err, fs.ErrPermission):
		return usage(err, "the journal is root's")
	case errors.Is(err, journal.ErrGone):
		return usage(err, "the agent begins another one with what is open")
	}
	return err
}

// wanted tells which entries are asked for.
type wanted struct {
	since     time.Time
	operation string
	condition string
}

func (o *historyOptions) wanted(now time.Time) (wanted, error) {
	since, err := sinceTime(o.since, now)
	if err != nil {
		return wanted{}, usage(err, "write it like 24h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z")
	}
	if o.condition != "" && !slices.Contains(conditionNames(), o.condition) {
		return wanted{}, usage(fmt.Errorf("--condition: there is no %q", o.condition), "there are %s", list(conditionNames()))
	}
	return wanted{since, o.operation, o.condition}, nil
}

func conditionNames() (out []string) {
	for _, a := range areas() {
		out = append(out, a.condition)
	}
	return out
}

// sinceTime is when the wanted time begins; zero for ever since.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if number, isDays := strings.CutSuffix(text, "d"); isDays {
		if days, err := strconv.ParseUint(number, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(days)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--since: %q is no time", text)
}

func (w wanted) is(e journal.Entry) bool {
	if e.At.Before(w.since) {
		return false
	}
	operation, condition := "", ""
	switch {
	case e.Finding != nil:
		operation, condition = e.Finding.Operation, e.Finding.Condition
	case e.AboutBlindness():
		condition = e.Condition()
	}
	return (w.operation == "" || operation != "" && drift.Glob(w.operation, operation)) && (w.condition == "" || w.condition == condition)
}
