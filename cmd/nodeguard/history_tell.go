package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nodeguard/nodeguard/internal/journal"
)

// telling is one run of `history`.
type telling struct {
	reader  *journal.Reader
	wanted  wanted
	printer *historyPrinter
	stderr  io.Writer

	blind map[string]time.Time // since when, by condition
	said  journal.Damage
}

// all tells what there is.
func (t *telling) all() error {
	if err := t.rest(); err != nil {
		return err
	}
	t.damage(t.reader.Damage())
	return nil
}

// follow tells what there is, and what comes, until the context ends.
func (t *telling) follow(ctx context.Context) error {
	changes, err := t.reader.Follow(ctx)
	if err != nil {
		return err
	}
	for {
		if err := t.rest(); err != nil {
			return err
		}
		d := t.reader.Damage()
		d.Torn = false // it is being written
		t.damage(d)
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		}
	}
}

// rest prints what can be read now.
func (t *telling) rest() error {
	var batch []happening
	for {
		e, more, err := t.reader.Next()
		if err != nil {
			return unreadable(err)
		}
		if !more {
			return t.printer.print(batch)
		}
		if h := t.happening(e); t.wanted.is(e) {
			batch = append(batch, h)
		}
	}
}

// happening is an entry of `history -o json`.
type happening struct {
	journal.Entry
	LastedSeconds *float64 `json:"lastedSeconds,omitempty"` // of what ended
}

// happening adds to the end of a finding or of a blind period how long it lasted, if
// the clock did not step back meanwhile.
func (t *telling) happening(e journal.Entry) happening {
	h := happening{Entry: e}
	var began time.Time
	switch {
	case e.Event == journal.Cleared && e.Finding != nil:
		began = e.Finding.Since
	case e.Event == journal.Sighted:
		began = t.blind[e.Condition()]
		delete(t.blind, e.Condition())
	case e.AboutBlindness():
		if t.blind == nil {
			t.blind = map[string]time.Time{}
		}
		t.blind[e.Condition()] = e.At
	}
	if seconds := e.At.Sub(began).Seconds(); !began.IsZero() && seconds >= 0 {
		h.LastedSeconds = &seconds
	}
	return h
}

// damage says what the journal lacks to be evidence, as far as that was not said yet.
func (t *telling) damage(d journal.Damage) {
	if d == t.said {
		return
	}
	t.said = d
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{
		{d.Lines, "damaged"},
		{d.Newer, "of a later nodeguard"},
	} {
		if p.n > 0 {
			parts = append(parts, counted(p.n, "line")+" "+p.what)
		}
	}
	if d.Gaps > 0 {
		parts = append(parts, counted(d.Gaps, "gap")+" where lines were taken out, put in or moved")
	}
	if d.Torn {
		parts = append(parts, "the last line has no end")
	}
	fmt.Fprintf(t.stderr, "nodeguard: the journal is not whole: %s\n", strings.Join(parts, ", "))
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
