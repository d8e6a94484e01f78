package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/nodeguard/nodeguard/internal/baseline"
	"github.com/nodeguard/nodeguard/internal/control"
	"github.com/nodeguard/nodeguard/internal/drift"
	"github.com/nodeguard/nodeguard/internal/journal"
)

// control answers the commands of this host until the context ends. Without it
// they are refused, and the rest goes on.
func (d *daemon) control(ctx context.Context) {
	if !d.state.held() {
		return // the state is not ours, or cannot be written
	}
	l, err := control.Listen(ctx, d.host)
	if err != nil {
		d.log.Warn("commands on this host cannot ask the agent", "error", err)
		return
	}
	if err := control.Serve(ctx, l, control.Answers{Accept: d.acceptAsked, Report: d.lastReport}); err != nil {
		d.log.Warn("commands on this host cannot ask the agent any more", "error", err)
	}
}

// lastReport is what `nodeguard check` adds to its own: who did it, and since when.
func (d *daemon) lastReport() (drift.Report, bool) {
	s := d.agent.Snapshot()
	return s.Report, s.Complete
}

// acceptAsked does what `nodeguard baseline accept` asks for.
func (d *daemon) acceptAsked(ctx context.Context, asked control.AcceptRequest) control.AcceptResponse {
	changed, err := d.acceptNow(ctx, asked)
	out := control.AcceptResponse{Changed: changed}
	var h hinted
	if errors.As(err, &h) {
		out.Hint = h.hint
	}
	if err != nil {
		out.Error = err.Error()
	}
	return out
}

// acceptNow looks at the node and accepts what is there, as far as it was asked for.
func (d *daemon) acceptNow(ctx context.Context, asked control.AcceptRequest) (changed int, err error) {
	d.mu.Lock()
	checks, err := d.checks()
	d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	seen, err := lookAtAll(ctx, checks)
	if err != nil {
		return 0, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	from := d.baseline
	if from == nil {
		if len(asked.Subjects) > 0 {
			return 0, nothingToAcceptInto(d.baseErr)
		}
		from = d.newBaseline()
	}
	after, changed, err := accepting(from, seen, asked.Subjects)
	if err != nil {
		return 0, err
	}
	if d.unusable() != nil {
		if _, err := d.store.Archive(now()); err != nil {
			return 0, err
		}
	}
	after.Machine = d.machine().On(after.Machine.NodeUID)
	after.Note(baseline.Acceptance{At: now(), Reason: asked.Reason, Subjects: asked.Subjects, Changed: changed})
	d.baseline, d.baseErr = after, nil
	d.saved(journal.Entry{At: now(), Event: journal.Accepted, Detail: fmt.Sprintf("%d subjects by baseline accept: %s", changed, asked.Reason)})
	return changed, nil
}
