package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// logged logs what the journal has of it, one line each, for whoever collects logs.
// What is not here is logged where it happens, with more about it.
func logged(log *slog.Logger, e journal.Entry) {
	event := slog.String("event", string(e.Event))
	switch e.Event {
	case journal.Raised:
		logFinding(log, "raised", event, *e.Finding)
	case journal.Unwaived:
		logFinding(log, "not waived any more", event, *e.Finding)
	case journal.Waived:
		logFinding(log, "waived", event, *e.Finding)
	case journal.Attributed:
		logFinding(log, "attributed", event, *e.Finding)
	case journal.Cleared:
		f := e.Finding
		log.Info("cleared", "operation", f.Operation, "subject", f.Subject, "state", f.State, "since", f.Since, "id", f.ID, event)
	case journal.Blind:
		_, why, _ := strings.Cut(e.Detail, ": ")
		log.Warn("cannot tell", "condition", e.Condition(), "message", why, event)
	case journal.Sighted:
		log.Info("can tell again", "condition", e.Condition(), event)
	case journal.Recorded, journal.Accepted, journal.Upgraded, journal.Absorbed:
		log.Info("baseline recorded", "detail", e.Detail, event)
	case journal.Recreated:
		log.Info("recreated", "detail", e.Detail, event)
	}
}

// logFinding warns of what counts.
func logFinding(log *slog.Logger, message string, event slog.Attr, f drift.FindingReport) {
	level := slog.LevelInfo
	if f.Counts() {
		level = slog.LevelWarn
	}
	attrs := []slog.Attr{
		slog.String("operation", f.Operation), slog.String("subject", f.Subject), slog.String("observed", f.Observed), slog.String("supported", f.Supported),
		slog.String("state", string(f.State)), slog.String("severity", string(f.Severity)), slog.String("condition", f.Condition),
		slog.Time("since", f.Since), slog.String("id", f.ID), event,
	}
	if f.Actor != nil {
		attrs = append(attrs, actorGroup(*f.Actor))
	}
	if w := f.Waiver; w != nil {
		group := []any{"reason", w.Reason, "owner", w.Owner}
		if w.Expires != nil {
			group = append(group, "expires", *w.Expires)
		}
		attrs = append(attrs, slog.Group("waiver", group...))
	}
	log.LogAttrs(context.Background(), level, message, attrs...)
}

func actorGroup(a drift.Actor) slog.Attr {
	group := []any{"pid", a.PID, "comm", a.Comm, "command", a.Command, "exe", a.Exe, "uid", a.UID}
	if a.LoginUID != drift.NoLogin {
		group = append(group, "loginUid", a.LoginUID)
	}
	if parents := ancestry(a); parents != "" {
		group = append(group, "parents", parents)
	}
	if a.Pod != "" || a.Container != "" {
		group = append(group, "pod", a.Pod, "container", a.Container)
	}
	return slog.Group("actor", append(group, "at", a.At)...)
}

// ancestry names the processes above an actor, the nearest first.
func ancestry(a drift.Actor) string {
	var out []string
	for _, p := range a.Parents {
		out = append(out, fmt.Sprintf("%s(%d)", p.Comm, p.PID))
	}
	return strings.Join(out, " ")
}
